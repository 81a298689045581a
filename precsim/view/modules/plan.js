// What to train with a budget, in a page without a kernel: the searches of precsim.planning, choice after choice.
// choice: { weights, activations, kv, post } in bits, Infinity: not quantized.
// budget: { flops, price, served, most_tokens, memory, kv_bytes, parameters, smallest }; limits may be null, and price is
// [[bits, cost of a FLOP over one at 16 bits], ...] of a device's widths, or null for P / 16.

import { evaluate } from "./law.js";

const REFERENCE = 16; // bits at which a FLOP costs one FLOP
const NONE = 1e100; // stands for "no prediction": larger than any loss, and finite
const MOST = 1e40; // tokens that no run reads
const GOLDEN = (Math.sqrt(5) - 1) / 2;

export const training = (c) => Math.min(Math.max(c.weights, c.activations), REFERENCE);
export const stored = (c) => Math.min(c.post, c.weights, REFERENCE);
const servedWidth = (c) => Math.max(stored(c), Math.min(c.activations, REFERENCE));

// A width that the device lacks costs what the next wider one costs.
function price(budget, bits) {
  if (!budget.price) return bits / REFERENCE;
  const wide = budget.price.filter(([width]) => width >= bits);
  return wide.reduce((a, b) => (b[0] < a[0] ? b : a))[1];
}
const prices = (budget, c) => [price(budget, training(c)), price(budget, servedWidth(c))];

export function cost(budget, c, N, D) {
  const [train, serve] = prices(budget, c);
  return 6 * N * D * train + 2 * N * budget.served * serve;
}

// -- one choice: everything that does not change while N, D and the compute are searched ----------------------------
function lane(law, values, c, budget, low, high) {
  const [train, serve] = prices(budget, c);
  const turns = law.drifts || (law.degradation !== null && c.post < c.weights);
  const at = (N, D) => evaluate(law, values, { ...c, N, D });
  const loss = (N, D) => {
    const out = D >= 1 ? at(N, D).loss[0] : NONE;
    return out < NONE ? out : NONE; // false for NaN, too
  };
  const slope = (x, N) => { const D = Math.exp(x); return at(N, [D, D]).loss[1]; };
  // All tokens that are affordable, or fewer where more would hurt: the slope in ln D has one root.
  const tokens = (N, flops) => {
    let most = (flops - 2 * N * budget.served * serve) / (6 * N * train);
    if (budget.most_tokens !== null) most = Math.min(most, budget.most_tokens);
    if (!turns) return most;
    most = Math.min(most, MOST);
    let left = 0, right = Math.log(Math.max(most, 1));
    if (!(slope(right, N) > 0)) return most;
    if (!(slope(left, N) < 0)) return 1; // it rises from the first token
    for (let i = 0; i < 60; i++) {
      const middle = 0.5 * (left + right);
      if (slope(middle, N) < 0) left = middle;
      else right = middle;
    }
    return Math.exp(0.5 * (left + right));
  };
  const each = 6 * train + 2 * budget.served * serve; // FLOPs of a parameter with one token of training
  return { loss, tokens, each, low, high };
}

// (N, D, loss) of least loss for these FLOPs or fewer; loss Infinity where nothing can be had.
function leastLoss(one, flops, near = null, steps = 50) {
  const first = Math.log(one.low), last = Math.log(Math.min(one.high, flops / one.each));
  if (last < first) return [one.low, 0, Infinity];
  const value = (x) => { const N = Math.exp(x); return one.loss(N, one.tokens(N, flops)); };
  const clip = (x) => Math.min(Math.max(x, first), last);
  const [a, b] = near === null ? [first, last] : [clip(Math.log(near) - 4), clip(Math.log(near) + 4)];
  const points = near === null ? 257 : 17, step = (b - a) / (points - 1);
  let place = 0, least = Infinity;
  for (let k = 0; k < points; k++) {
    const v = value(a + k * step);
    if (v < least) [place, least] = [k, v];
  }
  let x = a + place * step;
  if (step > 0) { // golden sections between the neighbors
    let left = Math.max(x - step, a), right = Math.min(x + step, b);
    let p = right - GOLDEN * (right - left), q = left + GOLDEN * (right - left), P = value(p), Q = value(q);
    for (let i = 0; i < steps; i++)
      if (P <= Q) { [right, q, Q] = [q, p, P]; p = right - GOLDEN * (right - left); P = value(p); }
      else { [left, p, P] = [p, q, Q]; q = left + GOLDEN * (right - left); Q = value(q); }
    for (const [y, v] of [[p, P], [q, Q]]) if (v < least) [x, least] = [y, v];
  }
  const N = first === last || x === first ? one.low : Math.exp(x), D = one.tokens(N, flops), loss = one.loss(N, D);
  return [N, D, loss >= NONE ? Infinity : loss];
}

// FLOPs that reach a loss, serving included; Infinity where no budget does.
function leastBudget(one, target, start, near, halvings = 48, steps = 40) {
  const above = (x) => leastLoss(one, Math.exp(x), near * Math.exp((x - Math.log(start)) / 2), steps)[2] - target;
  const origin = Math.log(start), enough = above(origin) <= 0;
  let [left, right] = [origin, origin];
  for (const reach of [2, 8, 32, 60]) {
    const end = origin + (enough ? -reach : reach), short = above(end) > 0;
    if (enough) left = end; else right = end;
    if (short === enough) break;
    if (reach === 60) return Infinity;
  }
  for (let i = 0; i < halvings; i++) {
    const middle = 0.5 * (left + right);
    if (above(middle) > 0) left = middle;
    else right = middle;
  }
  return Math.exp(right);
}

// Bytes of the KV cache, and the most parameters that the memory holds beside it.
export const cache = (c, budget) => budget.kv_bytes * Math.min(c.kv, REFERENCE) / REFERENCE;
export const room = (c, budget) => budget.memory === null ? Infinity : Math.max(budget.memory - cache(c, budget), 0) * 8 / stored(c);

// Why a choice cannot be planned, as { kind, ... } with the numbers that say it; null if it can.
export function refusal(law, c, budget) {
  const unread = ["weights", "activations", "kv"].filter((t) => c[t] < REFERENCE && !law.factors.some((f) => f.tensor === t));
  if (unread.length) return { kind: "unread", tensors: unread };
  if (c.post < Math.min(c.weights, REFERENCE) && law.degradation === null) return { kind: "unread", tensors: ["post"] };
  const least = budget.parameters ?? budget.smallest;
  if (least > room(c, budget)) {
    const needs = least * stored(c) / 8 + cache(c, budget);
    return { kind: "memory", needs, times: needs / budget.memory };
  }
  const [train, serve] = prices(budget, c), one = 6 * train + 2 * budget.served * serve;
  if (budget.flops < least * one) return { kind: "compute", times: least * one / budget.flops };
  return null;
}

// Fewest and most parameters of a choice.
function ends(c, budget) {
  const fixed = budget.parameters;
  return fixed === null ? [budget.smallest, room(c, budget)] : [fixed, fixed];
}

// What binds the best option: compute, tokens, parameters, damage (more data would hurt), or nothing.
function binding(budget, option, [low, high]) {
  const [train, serve] = prices(budget, option.choice);
  const affordable = (budget.flops - 2 * option.N * budget.served * serve) / (6 * option.N * train);
  const most = budget.most_tokens ?? Infinity;
  if (option.D < Math.min(affordable, most) * (1 - 1e-6)) return "damage";
  const short = option.D >= most * (1 - 1e-6);
  const small = option.N >= high * (1 - 1e-6) || option.N <= low * (1 + 1e-6);
  if (small && short && affordable > option.D * (1 + 1e-6)) return "nothing";
  return small ? "parameters" : short ? "tokens" : "compute";
}

// Options in the order of the choices, with the compute that each would need beyond the budget to equal the best.
export function plan(law, choices, budget) {
  const found = [], refused = [];
  for (const choice of choices) {
    const why = refusal(law, choice, budget);
    if (why) { refused.push({ choice, why }); continue; }
    const one = lane(law, law.values, choice, budget, ...ends(choice, budget));
    const [N, D, loss] = leastLoss(one, budget.flops);
    if (loss === Infinity) refused.push({ choice, why: { kind: "no prediction" } });
    else found.push({ choice, N, D, loss, one });
  }
  if (!found.length) return { options: [], refused, best: null, binding: null };
  const best = found.reduce((a, b) => (b.loss < a.loss ? b : a));
  for (const option of found) {
    const needed = option.loss === best.loss ? budget.flops : leastBudget(option.one, best.loss, budget.flops, option.N);
    option.extra_compute = Math.max(needed / budget.flops - 1, 0);
    option.regret = option.loss - best.loss;
    option.flops = cost(budget, option.choice, option.N, option.D);
    delete option.one;
  }
  return { options: found, refused, best, binding: binding(budget, best, ends(best.choice, budget)) };
}

// Draw after draw, each planning for itself around the N of the best estimate: the loss of each option, and the compute
// that it would need beyond the budget to equal the best one. A generator, so that a page can stop between two draws.
export function* draws(law, parameters, options, budget) {
  for (const values of parameters) {
    const lanes = options.map(({ choice }) => lane(law, values, choice, budget, ...ends(choice, budget)));
    const found = options.map(({ N }, i) => leastLoss(lanes[i], budget.flops, N));
    const least = Math.min(...found.map(([, , loss]) => loss));
    const extra = found.map(([N, , loss], i) => {
      if (loss === least) return 0;
      return Math.max(leastBudget(lanes[i], least, budget.flops, N, 15, 24) / budget.flops - 1, 0); // to 1e-4 of the budget
    });
    yield { losses: found.map(([, , loss]) => loss), extra };
  }
}

// Range of N around the best option over which the least loss stays within a tolerance, at the same budget and widths.
export function flat(law, option, budget, tolerance) {
  const [least, most] = ends(option.choice, budget);
  const one = lane(law, law.values, option.choice, budget, least, most);
  const low = Math.log(least), high = Math.log(Math.min(most, budget.flops / one.each));
  if (low >= high) return [option.N, option.N];
  let [from, to] = [option.N, option.N];
  for (let k = 0; k <= 2000; k++) {
    const N = Math.exp(low + (k * (high - low)) / 2000);
    if (one.loss(N, one.tokens(N, budget.flops)) <= option.loss + tolerance) [from, to] = [Math.min(from, N), Math.max(to, N)];
  }
  return [from, to];
}
