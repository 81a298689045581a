// A law in a page without a kernel: loss, effective parameters, damage, turn and best bits, and percentiles of draws.
// It comes as trees [operation, argument, ...] (precsim.symbolic.to_tree); nothing is executed but the few operations
// below. Nothing here touches the page.

// -- dual numbers [value, slope]: the same formula gives the loss and its derivative -------------------------------
// A slope from differences would lose half the digits, and the searches below end at the rounding of their slopes. Terms
// of slope zero are skipped in powers: 0 * log(0) would spoil a value that does not depend on the exponent.
export function dual(tree, at) {
  if (typeof tree === "number") return [tree, 0];
  if (typeof tree === "string") return typeof at[tree] === "number" ? [at[tree], 0] : at[tree];
  const x = dual(tree[1], at);
  switch (tree[0]) {
    case "+": {
      let [v, s] = x;
      for (let i = 2; i < tree.length; i++) { const y = dual(tree[i], at); v += y[0]; s += y[1]; }
      return [v, s];
    }
    case "*": {
      let z = x;
      for (let i = 2; i < tree.length; i++) z = times(z, dual(tree[i], at));
      return z;
    }
    case "^": {
      const y = dual(tree[2], at), v = x[0] ** y[0];
      return [v, (x[1] ? v * y[0] * x[1] / x[0] : 0) + (y[1] ? v * Math.log(x[0]) * y[1] : 0)];
    }
    case "exp": { const v = Math.exp(x[0]); return [v, v * x[1]]; }
    case "log": return [Math.log(x[0]), x[1] / x[0]];
    case "max": { const y = dual(tree[2], at); return x[0] >= y[0] ? x : y; }
    default: throw new Error(`no operation ${tree[0]}`);
  }
}
const times = (a, b) => [a[0] * b[0], a[0] * b[1] + a[1] * b[0]];

// -- the law, as in precsim.laws ------------------------------------------------------------------------------------
// s: N [number], D [number or dual], weights, activations, kv, post [bits, Infinity: not quantized]
export function evaluate(law, p, s) {
  const at = { ...p, N: s.N, D: s.D };
  let n = [s.N, 0], d = typeof s.D === "number" ? [s.D, 0] : s.D;
  for (const f of law.factors) {
    at.P = s[f.tensor];
    if (at.P === Infinity) continue;
    const share = dual(f.tree, at);
    const kept = share[0] > 0 ? share : [NaN, NaN]; // two negative factors must not multiply to a plausible one
    if (f.on === "N") n = times(n, kept);
    else d = times(d, kept);
  }
  at.N_eff = n;
  at.D_eff = d;
  at.P_post = s.post;
  const base = dual(law.base, at);
  const rounded = law.degradation && s.post < s.weights; // weights on a grid already are not moved by as many bits
  const delta = rounded ? dual(law.degradation, at) : [0, 0];
  return { loss: [base[0] + delta[0], base[1] + delta[1]], trained: base[0], n_eff: n[0], delta: delta[0] };
}

// D at which the loss stops falling: bisection in ln D on the exact slope.
export function critical(law, p, s) {
  if (!law.degradation || s.post === Infinity) return NaN;
  const slope = (x) => { const D = Math.exp(x); return evaluate(law, p, { ...s, D: [D, D] }).loss[1]; };
  let left = 0, right = Math.log(1e40);
  const end = slope(right);
  if (Number.isNaN(end)) return NaN;
  if (end <= 0) return Infinity;
  for (let i = 0; i < 80; i++) { // 92 e-folds / 2^80: below the last bit of ln D
    const middle = 0.5 * (left + right);
    if (slope(middle) < 0) left = middle;
    else right = middle;
  }
  return Math.exp(0.5 * (left + right));
}

// ln f(P) - ln P for one width P of all tensors, and its slope in P.
export function worth(law, p, P) {
  let value = -Math.log(P), slope = -1 / P;
  const at = { ...p, P: [P, 1] };
  for (const f of law.factors) {
    const [v, s] = dual(f.tree, at);
    if (!(v > 0)) return [-Infinity, NaN];
    value += Math.log(v);
    slope += s / v;
  }
  return [value, slope];
}

// P* = argmax f(P)/P in 1 to 32 bits.
export function best(law, p) {
  if (!law.factors.length || law.drifts || law.factors.some((f) => f.on === "D")) return NaN;
  let left = 1, right = 32;
  for (let i = 0; i < 3; i++) {
    const step = (right - left) / 64;
    let place = 0, most = -Infinity;
    for (let k = 0; k <= 64; k++) {
      const [v] = worth(law, p, left + k * step);
      if (v > most) [place, most] = [k, v];
    }
    if (most === -Infinity) return NaN; // a factor that is positive nowhere
    [left, right] = [left + Math.max(place - 1, 0) * step, left + Math.min(place + 1, 64) * step];
  }
  for (let i = 0; i < 60; i++) { // the bracket of 31 bits / 2^11 shrinks below the last bit of P
    const middle = 0.5 * (left + right);
    if (worth(law, p, middle)[1] > 0) left = middle;
    else right = middle;
  }
  return 0.5 * (left + right);
}

// Percentiles as NumPy's: linear between order statistics, the lower one where a value is infinite.
export function interval(numbers, level) {
  if (!numbers.length || numbers.some(Number.isNaN)) return [NaN, NaN];
  const sorted = [...numbers].sort((a, b) => a - b);
  const finite = sorted.every(Number.isFinite);
  return [(1 - level) / 2, (1 + level) / 2].map((q) => {
    const place = q * (sorted.length - 1), below = Math.floor(place + 1e-9);
    const above = Math.min(below + 1, sorted.length - 1);
    return finite ? sorted[below] + (place - below) * (sorted[above] - sorted[below]) : sorted[below];
  });
}

export const parametersOf = (law) => {
  const n = law.draws ? Object.values(law.draws)[0].length : 0;
  return [...Array(n).keys()].map((i) => {
    const p = { ...law.values };
    for (const name of Object.keys(law.draws)) p[name] = law.draws[name][i];
    return p;
  });
};
