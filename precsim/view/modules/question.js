// What the planner is asked: texts of fields, and what they mean as the arguments of a plan. Nothing here touches the page.

import { cache, room, stored, training } from "./plan.js";
import { gigabytes, read, short, spokenBudget } from "./quantity.js";

// Every field by its name in a link, with the text that it begins with.
export const FIELDS = {
  law: "", by: "flop", C: "1e21", gpus: "64", time: "14 d", use: "40 %", dollars: "$100k", rate: "$2",
  device: "h100", price: "device", size: "best", N: "8B", D: "", post: "", served: "0", widths: "3, 4, 5, 6, 7, 8, 12, 16",
  tensors: "all", train: "", optimizer: "adam", act: "", serve: "", fit: "", context: "8k", sequences: "32", shape: "near", pin: "",
};
const CHOICES = { by: ["flop", "gpus", "dollars"], price: ["device", "paper"], size: ["best", "fixed"], tensors: ["all", "wa", "w"],
  optimizer: ["adam", "adam8", "lean"], fit: ["", "yes"] };
// Bytes of a parameter in training beside its working copy: master weights, moments, gradients.
export const OPTIMIZERS = { adam: [4, 8, 2], adam8: [4, 2, 2], lean: [0, 8, 2] };
const TENSORS = { all: ["weights", "activations", "kv"], wa: ["weights", "activations"], w: ["weights"] };

// -- links -----------------------------------------------------------------------------------------------------------
export function toLink(fields) {
  const changed = Object.entries(fields).filter(([name, text]) => FIELDS[name] !== undefined && text !== start(name, fields.first));
  return new URLSearchParams([["v", "1"], ...changed]).toString();
}
const start = (name, first) => (name === "law" ? first : FIELDS[name]);

// Fields of a link, and what in it was not understood; null if it is none of ours.
export function fromLink(text, data) {
  const pairs = [...new URLSearchParams(text)];
  if (!pairs.some(([name]) => name === "v")) return null;
  const fields = initial(data), strange = [];
  const lists = { ...CHOICES, law: data.laws.map((l) => l.slug), device: Object.keys(data.devices), shape: ["near", ...Object.keys(data.models)] };
  for (const [name, value] of pairs) {
    if (name === "v") { if (value !== "1") strange.push(`v=${value}`); }
    else if (FIELDS[name] === undefined || (lists[name] && !lists[name].includes(value))) strange.push(`${name}=${value}`);
    else fields[name] = value.slice(0, 200);
  }
  return { fields, strange };
}
export const initial = (data) => ({ ...FIELDS, law: data.laws[0].slug, first: data.laws[0].slug });

// A time [hours] in words of its size.
const span = (hours) => {
  const [size, word] = hours < 1 / 60 ? [1 / 3600, "seconds"] : hours < 2 ? [1 / 60, "minutes"] : hours < 72 ? [1, "hours"] : hours < 8760 * 3 ? [24, "days"] : [8760, "years"];
  return `${short(hours / size)} ${word}`;
};

// -- the arguments of a plan -----------------------------------------------------------------------------------------
const reads = (law, tensor) => (tensor === "post" ? law.degradation !== null : law.factors.some((f) => f.tensor === tensor));
export const readBy = (law) => ["weights", "activations", "kv", "post"].filter((t) => reads(law, t));

// { law, choices, budget, ... }, what was understood of each field (`echo`), and what could not be read (`errors`).
export function ask(fields, data) {
  const errors = {}, echo = {};
  const take = (name, kind, least) => {
    const found = read(fields[name], kind, least);
    if (found.error) errors[name] = found.error;
    return found;
  };
  const optional = (name, kind) => (fields[name].trim() === "" ? null : take(name, kind).value ?? null);
  const law = data.laws.find((l) => l.slug === fields.law), device = data.devices[fields.device];
  const price = fields.price === "device" ? device.price : null;

  let flops = NaN, devices = 8;
  const speed = () => { const share = take("use", "share").value; return [device.rate, share]; };
  if (fields.by === "flop") {
    const words = spokenBudget(fields.C, data.devices);
    if (words.error || words.by !== "flop") errors.C = words.error ?? "Expected FLOP such as 1e23.";
    else flops = take("C", "flop").value;
    if (flops) echo.C = `= ${short(flops)} FLOP at 16 bits; ${span(flops / device.rate / device.utilization / 3600)} of one ${device.name} at ${short(100 * device.utilization)} %`;
  } else {
    const [rate, share] = speed();
    let hours;
    if (fields.by === "gpus") {
      devices = take("gpus", "count").value;
      hours = devices * take("time", "hours").value;
    } else hours = take("dollars", "dollars").value / take("rate", "dollars").value;
    flops = hours * 3600 * rate * share;
    if (flops > 0) echo[fields.by === "gpus" ? "time" : "rate"] = `= ${short(flops)} FLOP at 16 bits: ${span(hours)} at ${short(100 * share)} % of ${short(rate / 1e12)} TFLOP/s`;
  }

  const fixed = fields.size === "fixed" ? take("N", "count", 1).value ?? null : null;
  const most = optional("D", "count"), served = take("served", "count", 0).value;
  const chosen = take("widths", "widths").value ?? [];
  const post = fields.post.trim() === "" ? Infinity : take("post", "bits").value;
  const context = take("context", "count").value, sequences = take("sequences", "count").value;
  const room1 = fields.serve.trim() === "" ? { value: device.memory, devices: 1, each: device.memory } : take("serve", "bytes");
  const rack = fields.train.trim() === "" ? { value: Math.ceil(devices) * device.memory, devices: Math.ceil(devices), each: device.memory } : take("train", "bytes");
  const act = optional("act", "bytes");
  const limited = fields.fit === "yes";
  const shape = fields.shape === "near" ? null : data.models[fields.shape];
  const away = (model, N) => Math.abs(Math.log(model.N / N));
  const nearest = (N) => { // null where no model on the list is within a factor of 30
    const near = shape ?? Object.values(data.models).reduce((a, b) => (away(b, N) < away(a, N) ? b : a));
    return shape || away(near, N) < Math.log(30) ? near : null;
  };
  const numbers = (model) => (model ? 2 * model.layers * model.kv_heads * model.head_size * context * sequences : 0); // kept in the cache
  const guess = nearest(fixed ?? room1.value); // of a model that is to fit: as many parameters as 8 bits leave room for
  const budget = { flops, price, served, most_tokens: most, memory: limited ? room1.value : null, kv_bytes: limited ? 2 * numbers(guess) : 0, parameters: fixed, smallest: 1 };

  const trained = TENSORS[fields.tensors].filter((t) => reads(law, t));
  const afterOnly = !law.factors.length && law.degradation !== null; // then the widths are those of serving
  const blank = { weights: Infinity, activations: Infinity, kv: Infinity, post: Infinity };
  const choices = law.factors.length
    ? chosen.map((P) => ({ ...blank, ...Object.fromEntries(trained.map((t) => [t, P])), post: law.degradation ? post : Infinity }))
    : afterOnly ? [...chosen.filter((P) => P < 16).map((P) => ({ ...blank, post: P })), blank] : [blank];
  return { law, choices, budget, errors, echo, fields, trained, afterOnly, device, devices: data.devices, fixed, rack, serving: room1, act, limited, guess, nearest, numbers, tolerance: 1e-3 };
}

// -- memory ----------------------------------------------------------------------------------------------------------
// Parts [bytes] of training N parameters at a choice, with what the devices hold.
export function trainingMemory(asked, N, choice) {
  const [master, moments, gradients] = OPTIMIZERS[asked.fields.optimizer];
  const parts = [["master weights", master * N], ["moments", moments * N], ["gradients", gradients * N], ["working copy", (N * Math.min(choice.weights, 16)) / 8]];
  if (asked.act !== null) parts.push(["activations", asked.act * asked.rack.devices]);
  return held(parts.filter(([, bytes]) => bytes > 0), asked.rack);
}
export function servingMemory(asked, N, choice) {
  const model = asked.limited ? asked.guess : asked.nearest(N);
  const parts = [["weights", (N * stored(choice)) / 8], ["KV cache", (asked.numbers(model) * Math.min(choice.kv, 16)) / 8]];
  return { ...held(parts.filter(([, bytes]) => bytes > 0), asked.serving), model };
}
function held(parts, { value, devices, each }) {
  const total = parts.reduce((sum, [, bytes]) => sum + bytes, 0), share = total / value;
  const needs = Math.ceil(total / each / 0.9);
  const word = share < 0.9 ? "fits" : share <= 1 ? "tight" : `needs ${short(needs)} devices`;
  return { parts, total, held: value, devices, each, share, word, state: share < 0.9 ? "fits" : share <= 1 ? "tight" : "over" };
}

// -- the same question in Python -------------------------------------------------------------------------------------
const floating = (x) => x.toExponential().replace("e+", "e"); // 1e21 is a float in Python, 1000000000000000000000 is not
export function python(asked, best) {
  const { law, budget, fields, device, choices } = asked;
  const sheet = fields.price === "device", pieces = ["law"];
  const uses = read(fields.use, "share").value;
  const machine = uses !== undefined && uses !== device.utilization && fields.by !== "flop" ? `replace(HARDWARE["${device.slug}"], utilization=${uses})` : `HARDWARE["${device.slug}"]`;
  if (fields.by === "flop" || !sheet) pieces.push(`compute=${floating(budget.flops)}`);
  else if (fields.by === "gpus") pieces.push(`hours=${read(fields.gpus, "count").value} * ${read(fields.time, "hours").value}`);
  else pieces.push(`dollars=${floating(read(fields.dollars, "dollars").value)}`, `dollars_per_hour=${read(fields.rate, "dollars").value}`);
  if (sheet) pieces.push("hardware=device");
  if (budget.parameters !== null) pieces.push(`parameters=${floating(budget.parameters)}`);
  if (budget.most_tokens !== null) pieces.push(`max_tokens=${floating(budget.most_tokens)}`);
  if (budget.served) pieces.push(`served_tokens=${floating(budget.served)}`);
  if (budget.memory !== null) pieces.push(`memory=${floating(budget.memory)}`, `kv_bytes=${floating(budget.kv_bytes)}`);
  const called = (c) => {
    const given = ["weights", "activations", "kv", "post"].filter((t) => c[t] !== Infinity).map((t) => `${t}=${c[t]}`);
    return `Choice(${given.join(", ")})`;
  };
  pieces.push(`choices=[\n        ${choices.map(called).join(",\n        ")},\n    ]`);
  return [
    ...(machine.startsWith("replace") && sheet ? ["from dataclasses import replace", ""] : []),
    "import precsim as ps", "from precsim import laws",
    `from precsim.planning import ${sheet ? "HARDWARE, " : ""}Choice`, "",
    `# ${law.name}${law.source ? `: ${law.source}` : ""}`, `law = (\n    ${law.python.split(" | ").join("\n    | ")}\n)`,
    ...(sheet ? [`device = ${machine}`] : []),
    `found = ps.plan(\n    ${pieces.join(",\n    ")},\n)`,
    "best = found.best", "print(best.choice.label, best.N, best.D, best.loss)",
    ...(best ? [`# ${label(best.choice)} ${best.N} ${best.D} ${best.loss}`] : []), "",
  ].join("\n");
}
export function label(c) {
  const text = (x) => (x === Infinity ? "16" : String(x));
  return `W${text(c.weights)}A${text(c.activations)}KV${text(c.kv)}${c.post === Infinity ? "" : `>${c.post}`}`;
}

// What a width of a choice pays for on the device, if not for itself.
export function paid(asked, choice) {
  if (!asked.budget.price) return null;
  const width = training(choice), held = asked.budget.price.map(([bits]) => bits);
  return held.includes(width) ? null : Math.min(...held.filter((bits) => bits > width));
}

// -- what would fit ---------------------------------------------------------------------------------------------------
// Changes that would let a refused choice be planned, each a sentence, the nearest first.
export function changes(asked, choice, why) {
  const { budget } = asked, least = budget.parameters ?? budget.smallest;
  if (why.kind === "memory") {
    const left = budget.memory - cache(choice, budget), bits = (8 * left) / least, found = [];
    if (bits >= 1) found.push(`serve it in ${Math.floor(bits * 10) / 10} bits or fewer`);
    found.push(`${Math.ceil(why.needs / asked.serving.each)} devices of ${gigabytes(asked.serving.each)}, ${gigabytes(why.needs)} in all`);
    if (room(choice, budget) >= 1) found.push(`a model of ${short(room(choice, budget))} parameters or fewer`);
    else found.push("a shorter context or fewer sequences: the cache alone takes more than there is");
    return found;
  }
  if (why.kind === "compute") return [`${short(why.times)} times the budget`, `a model of ${short(least / why.times)} parameters or fewer`];
  return [];
}
