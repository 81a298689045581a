// What the planner answers: a plan as sentences, rows and refusals. Nothing here touches the page.

import { evaluate } from "./law.js";
import { flat, plan } from "./plan.js";
import { changes, paid, servingMemory } from "./question.js";
import { gigabytes, percent, short } from "./quantity.js";


const beyond = (x, [low, high]) => Math.max(low / x, x / high, 1);
const outside = (law, N, D) => ({ N: beyond(N, law.N), D: beyond(D, law.D) });
const farthest = (away) => Math.max(away.N, away.D);

// The plan with everything that is said of it; `spread` has intervals by option once the draws are done.
export function answer(asked) {
  const { law, choices, budget } = asked;
  const found = plan(law, choices, budget);
  const rows = choices.map((choice) => {
    const option = found.options.find((o) => o.choice === choice);
    const why = option ? null : found.refused.find((r) => r.choice === choice).why;
    return { choice, option, why, P: widthOf(asked, choice), notes: notes(asked, choice, option, why) };
  });
  const best = found.best;
  if (!best) return { asked, rows, best: null, reasons: reasons(asked, rows) };
  const away = outside(law, best.N, best.D), far = farthest(away);
  const more = plan(law, [best.choice], { ...budget, flops: 1.25 * budget.flops }).best;
  return {
    asked, rows, best, away, far, binding: found.binding, withheld: far > law.withheld, silent: far > law.furthest,
    sizes: flat(law, best, budget, asked.tolerance), gain: best.loss - more.loss,
  };
}
export const isFar = (asked, option) => farthest(outside(asked.law, option.N, option.D)) > asked.law.withheld;
export const widthOf = (asked, choice) => Math.min(asked.afterOnly ? choice.post : choice[asked.trained[0]] ?? Infinity, 16);
export const widthsText = (asked, choice) => {
  const P = widthOf(asked, choice);
  if (!asked.trained.length && !asked.afterOnly) return "16";
  if (asked.afterOnly) return choice.post === Infinity ? "as trained" : String(choice.post);
  return choice.post < choice.weights ? `${P} → ${choice.post}` : String(P);
};

function notes(asked, choice, option, why) {
  if (why) {
    const said = { memory: `does not fit: ${short(why.times)} times the memory`, compute: `needs ${short(why.times)} times the budget for one token`, "no prediction": "no prediction: a factor is not positive", unread: `the law does not read ${why.tensors?.join(", ")}` };
    return [said[why.kind]];
  }
  const found = [], wider = paid(asked, choice);
  if (wider !== null) found.push(`priced as ${wider} bits`);
  if (choice.post !== Infinity && choice.post >= choice.weights) found.push("same bits: no second rounding");
  if (asked.trained.length && !Number.isInteger(widthOf(asked, choice))) found.push("between widths that were run");
  if (choice.post < choice.weights && option.flops < asked.budget.flops * 0.999 && asked.budget.most_tokens === null) found.push("stopped early: more data would hurt");
  return found;
}

// Nothing can be planned: which limit, by which factor, and what would fit, for the choice that is nearest to it.
function reasons(asked, rows) {
  const predicted = (r) => Number.isFinite(evaluate(asked.law, asked.law.values, { ...r.choice, N: 1e9, D: 1e10 }).loss[0]);
  const sized = rows.filter((r) => r.why.times), able = sized.filter(predicted);
  const near = (able.length ? able : sized).sort((a, b) => a.why.times - b.why.times)[0] ?? rows[0];
  const bits = near.P < 16 ? `${short(near.P)} bits` : "16 bits";
  const said = {
    memory: `Nothing fits. Even at ${bits} served weights and cache need ${gigabytes(near.why.needs)}, ${short(near.why.times)} times the ${gigabytes(asked.budget.memory ?? 0)} there are.`,
    compute: `The budget is too small: at ${bits} one token of training and the serving cost ${short(near.why.times)} times as much.`,
    "no prediction": "This law has no prediction at any of these widths: a factor is not positive.",
    unread: `The law does not read ${near.why.tensors?.join(", ")}.`,
  };
  return { text: said[near.why.kind], changes: changes(asked, near.choice, near.why) };
}

// -- sentences ---------------------------------------------------------------------------------------------------------
const timesWords = (x) => `${Number(x.toPrecision(x >= 100 ? 3 : 2))} times`;
export const lossText = (x, far) => (far ? `≈ ${x.toFixed(2)}` : x.toFixed(4));
const bitsWords = (asked, choice) => {
  const P = widthOf(asked, choice);
  const after = choice.post < choice.weights ? `, rounded to ${short(choice.post)} bits afterwards` : "";
  if (!asked.trained.length) return `16 bits${after}`;
  return `${short(P)} bits${asked.trained.length < 3 ? ` (${asked.trained.map((t) => ({ kv: "KV cache" })[t] ?? t).join(" and ")})` : ""}${after}`;
};

// [["text" | "strong", words], ...]: the verdict in one sentence.
export function verdictParts(found) {
  const { asked, best, silent } = found;
  if (silent) return [["strong", "This law cannot say."], ["text", ` Its plan would lie ${timesWords(found.far)} outside the runs behind it; beyond ${asked.law.furthest.toLocaleString("en")} times nothing on this page is an answer.`]];
  const action = asked.fixed === null ? "Train " : "Train your ";
  return [["text", action], ["strong", `${short(best.N)} parameters`], ["text", " on "], ["strong", `${short(best.D)} tokens`], ["text", " in "], ["strong", bitsWords(asked, best.choice)], ["text", "."]];
}
export function lossSentence(found, spread) {
  const { asked, best } = found, { law } = asked;
  const value = `Predicted ${law.predicts} ${lossText(best.loss, found.withheld)} nats per token`;
  if (found.withheld) return `${value}; no interval, ${timesWords(found.far)} outside the runs.`;
  if (!law.draws) return `${value}; no interval is published.`;
  if (!spread) return `${value}; interval …`;
  const [low, high] = spread.get(best.choice).loss;
  const kind = law.assumed ? `expected ${Math.round(100 * law.level)} % interval` : `${Math.round(100 * law.level)} % interval`;
  return `${value}, ${kind} ${low.toFixed(4)} to ${high.toFixed(4)}${law.assumed ? `, if ${law.assumed}` : ""}.`;
}
export function badge(found) {
  const { law } = found.asked, said = [];
  if (found.away.N > 1.001) said.push(`${timesWords(found.away.N)} ${found.best.N > law.N[1] ? "the largest" : "below the smallest"} model`);
  if (found.away.D > 1.001) said.push(`${timesWords(found.away.D)} ${found.best.D > law.D[1] ? "the most" : "below the fewest"} tokens`);
  return said.length ? `Extrapolation: ${said.join(", ")} of the runs behind this law.` : "";
}
const LIMITS = {
  compute: "compute alone", tokens: "the data: it is used up", nothing: "none: size and data are at their ends, compute is left over",
  damage: "the damage of rounding: more data would hurt, compute is left over", parameters: "the number of parameters",
};
export function limitSentence(found) {
  const { asked, binding, sizes, best, gain } = found;
  const said = [`Limit: ${binding === "parameters" && asked.fixed !== null ? "the fixed model" : binding === "parameters" && asked.limited ? "the serving memory" : LIMITS[binding]}.`];
  said.push(gain > 1e-9 ? `25 % more compute would buy ${gain < 0.001 ? gain.toExponential(0).replace("e-", "e−") : gain.toFixed(3)} nats.` : "More compute would buy nothing.");
  if (asked.fixed === null && sizes[1] > sizes[0] * 1.01) said.push(`Any size from ${short(sizes[0])} to ${short(sizes[1])} costs less than ${asked.tolerance} nats.`);
  const rival = found.rows.filter((r) => r.option && r.option !== best).sort((a, b) => a.option.loss - b.option.loss)[0];
  if (rival) said.push(`Next best: ${widthsText(asked, rival.choice)}${asked.afterOnly && rival.choice.post === Infinity ? "" : " bits"}, ${Number.isFinite(rival.option.extra_compute) ? `which would need ${rival.option.extra_compute >= 10 ? `${short(1 + rival.option.extra_compute)} times the` : `${percent(rival.option.extra_compute).replace("+", "")} more`} compute to equal it` : "which no budget makes as good"}.`);
  return said.join(" ");
}

// -- the table in full digits ------------------------------------------------------------------------------------------
export function csv(found, spread) {
  const head = "weights,activations,kv,post,N,D,loss,loss_low,loss_high,extra_compute,extra_low,extra_high,flops,serving_bytes,note";
  const lines = found.rows.map(({ choice, option, notes: said }) => {
    const [loss, extra] = spread?.get(choice) ? [spread.get(choice).loss, spread.get(choice).extra] : [["", ""], ["", ""]];
    const bits = ["weights", "activations", "kv", "post"].map((t) => (choice[t] === Infinity ? "inf" : choice[t]));
    const numbers = option ? [option.N, option.D, option.loss, ...loss, option.extra_compute, ...extra, option.flops, servingMemory(found.asked, option.N, choice).total] : Array(10).fill("");
    return [...bits, ...numbers, `"${said.join("; ")}"`].join(",");
  });
  return [head, ...lines, ""].join("\n");
}
