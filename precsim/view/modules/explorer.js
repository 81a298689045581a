// Laws with sliders: loss, effective parameters, damage, critical data and best bits, with intervals from draws.
// One file for the page of the book and for JupyterLab: render({ model, el }) as in anywidget.

import { best, critical, evaluate, interval, parametersOf, worth } from "./law.js";

// -- the page -------------------------------------------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
const make = (name, attributes = {}, text) => {
  const e = name === "svg" || attributes.svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (key !== "svg") e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
};
const short = (x, digits = 3) => {
  if (Number.isNaN(x)) return "none";
  if (!Number.isFinite(x)) return "∞";
  for (const [size, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(x) >= size && Math.abs(x) < 1e15) return `${Number((x / size).toPrecision(digits))}${prefix}`;
  return Math.abs(x) >= 1e15 ? x.toExponential(digits - 1).replace("e+", "e") : String(Number(x.toPrecision(digits)));
};
const FULL = 16.5; // the right end of a slider of bits: not quantized
const BITS = [["weights", "bits of weights"], ["activations", "bits of activations"], ["kv", "bits of KV cache"], ["post", "bits when served"]];

// A small line chart: lines with bands, a rule at the slider's place, a diamond at a turn.
function plot(svg, { x, lines, title, ticks, here, turn, label }) {
  const width = Math.max(280, Math.floor(svg.clientWidth || 560)), height = 200, left = 46, bottom = 34, top = 26, right = 10;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren();
  const seen = lines.flatMap((l) => [...l.y, ...(l.low ?? []), ...(l.high ?? [])]).filter(Number.isFinite);
  if (!seen.length) { svg.append(make("text", { svg: 1, x: left, y: height / 2, fill: "currentColor" }, "no prediction")); return; }
  let [low, high] = [Math.min(...lines.flatMap((l) => l.y.filter(Number.isFinite))), Math.max(...lines.flatMap((l) => l.y.filter(Number.isFinite)))];
  [low, high] = [Math.max(Math.min(...seen), low - (high - low)), Math.min(Math.max(...seen), high + 0.6 * (high - low))];
  if (high - low < 1e-9 * Math.abs(high)) [low, high] = [low - 1e-3, high + 1e-3];
  const px = (v) => left + ((v - x[0]) / (x[x.length - 1] - x[0])) * (width - left - right);
  const py = (v) => top + (1 - (Math.min(Math.max(v, low), high) - low) / (high - low)) * (height - top - bottom);
  svg.append(make("text", { svg: 1, x: 0, y: 11, class: "title", fill: "currentColor" }, title));
  for (let k = 0; k <= 3; k++) {
    const v = low + ((high - low) * k) / 3;
    svg.append(make("line", { svg: 1, x1: left, x2: width - right, y1: py(v), y2: py(v), class: "grid" }));
    svg.append(make("text", { svg: 1, x: left - 5, y: py(v) + 4, "text-anchor": "end", fill: "currentColor" }, short(v)));
  }
  for (const [v, text] of ticks) svg.append(make("text", { svg: 1, x: px(v), y: height - 18, "text-anchor": "middle", fill: "currentColor" }, text));
  const path = (xs, ys) => xs.map((v, i) => [v, ys[i]]).filter(([, y]) => Number.isFinite(y)).map(([a, b], i) => `${i ? "L" : "M"}${px(a).toFixed(1)},${py(b).toFixed(1)}`).join("");
  lines.forEach((l, i) => {
    if (l.low) {
      const there = x.map((v, k) => [v, l.low[k], l.high[k]]).filter((r) => r.every(Number.isFinite));
      const outline = [...there.map(([v, , b]) => [v, b]), ...there.reverse().map(([v, a]) => [v, a])];
      if (outline.length) svg.append(make("path", { svg: 1, class: `band c${i}`, d: `M${outline.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join("L")}Z` }));
    }
    svg.append(make("path", { svg: 1, class: `line c${i}`, d: path(x, l.y) }));
  });
  if (here >= x[0] && here <= x[x.length - 1]) svg.append(make("line", { svg: 1, x1: px(here), x2: px(here), y1: top, y2: height - bottom, class: "here" }));
  if (turn && turn[0] >= x[0] && turn[0] <= x[x.length - 1]) {
    const [a, b] = [px(turn[0]), py(turn[1])];
    svg.append(make("path", { svg: 1, class: "turn", d: `M${a},${b - 7}L${a + 7},${b}L${a},${b + 7}L${a - 7},${b}Z` }));
  }
}

function render({ model, el }) {
  const laws = model.get("laws");
  const box = make("div", { class: "ps-explorer" });
  const pick = make("select", { name: "law", "aria-label": "law" });
  laws.forEach((law, i) => pick.append(make("option", { value: i }, law.name)));
  const head = make("label", { class: "law" }, "Law ");
  head.append(pick);
  const note = make("p", { class: "note" });
  const controls = make("div", { class: "controls" });
  const sliders = {};
  const slider = (name, text) => {
    const row = make("label"), input = make("input", { type: "range", name }), out = make("span", { class: "value" });
    row.append(make("span", { class: "name" }, text), input, out);
    controls.append(row);
    sliders[name] = { input, out, row };
    input.addEventListener("input", () => show());
  };
  slider("log_N", "parameters N");
  slider("log_D", "tokens D");
  BITS.forEach(([name, text]) => slider(name, text));
  const ROWS = [["loss", "loss L [nats/token]"], ["n_eff", "effective parameters"], ["share", "N_eff / N"], ["delta", "δ, added by serving bits [nats/token]"], ["critical", "critical tokens at these bits"], ["best", "P*, best common width [bits]"]];
  const table = make("table"), body = make("tbody"), cells = {};
  const wrap = make("div", { class: "ps-scroll" });
  wrap.append(table);
  const top = make("thead"), titles = make("tr");
  ["quantity", "value"].forEach((t) => titles.append(make("th", { scope: "col" }, t)));
  const kind = make("th", { scope: "col" });
  titles.append(kind);
  top.append(titles);
  table.append(top, body);
  for (const [name, text] of ROWS) {
    const row = make("tr", { "data-quantity": name });
    cells[name] = [make("td", { class: "value" }), make("td", { class: "interval" })];
    row.append(make("th", { scope: "row" }, text), ...cells[name]);
    body.append(row);
  }
  const status = make("p", { class: "status", role: "status" });
  const keys = make("p", { class: "keys" });
  [["c0", "as trained"], ["c1", "as served"]].forEach(([c, t]) => keys.append(make("i", { class: c }), t));
  const charts = [0, 1].map(() => make("svg", { role: "img" }));
  box.append(head, note, controls, wrap, status, keys, ...charts);
  el.append(box);

  let drawn = [], widths = [], bestOf = [NaN, []];
  const choose = (moved) => {
    const law = laws[Number(pick.value)];
    drawn = parametersOf(law);
    bestOf = [best(law, law.values), drawn.map((p) => best(law, p))];
    for (const [name, ends] of [["log_N", law.N], ["log_D", law.D]]) {
      const [low, high] = [Math.log10(ends[0]) - 2, Math.log10(ends[1]) + (name === "log_N" ? 3 : 3)];
      const { input } = sliders[name];
      Object.assign(input, { min: low.toFixed(2), max: high.toFixed(2), step: "any" });
      if (moved) input.value = ((Math.log10(ends[0]) + Math.log10(ends[1])) / 2).toFixed(2);
    }
    for (const [name] of BITS) {
      const { input, row } = sliders[name];
      Object.assign(input, { min: 2, max: FULL, step: 0.5 });
      const read = name === "post" ? law.degradation !== null : law.factors.some((f) => f.tensor === name);
      input.disabled = !read;
      row.classList.toggle("off", !read);
      if (moved || !read) input.value = read ? (name === "post" ? 4 : 8) : FULL;
    }
    note.textContent = law.note;
    kind.textContent = drawn.length ? `${Math.round(100 * law.level)} % interval${law.assumed ? `, expected if ${law.assumed}` : ""}` : "interval";
    widths = [...Array(57).keys()].map((k) => 2 + k / 4);
    show();
  };

  const setting = () => {
    const s = { N: 10 ** Number(sliders.log_N.input.value), D: 10 ** Number(sliders.log_D.input.value) };
    for (const [name] of BITS) { const v = Number(sliders[name].input.value); s[name] = v >= FULL ? Infinity : v; }
    return s;
  };

  function show() {
    const law = laws[Number(pick.value)], s = setting();
    sliders.log_N.out.textContent = short(s.N);
    sliders.log_D.out.textContent = short(s.D);
    for (const [name] of BITS) sliders[name].out.textContent = s[name] === Infinity ? "full" : s[name];
    const quantities = (p) => {
      const r = evaluate(law, p, s);
      return { loss: r.loss[0], n_eff: r.n_eff, share: r.n_eff / s.N, delta: r.delta, critical: critical(law, p, s) };
    };
    const here = { ...quantities(law.values), best: bestOf[0] };
    const all = drawn.map(quantities);
    const beyond = [["N", law.N], ["D", law.D]].filter(([k, [a, b]]) => s[k] < a * 0.999 || s[k] > b * 1.001).map(([k]) => k);
    for (const [name] of ROWS) {
      const spread = interval(name === "best" ? bestOf[1] : all.map((q) => q[name]), law.level);
      const [value, between] = cells[name];
      const say = name === "loss" ? (x) => (Number.isNaN(x) ? "none" : x.toFixed(4)) : short;
      value.textContent = name === "critical" && (s.post >= s.weights || !law.degradation) ? "none: served as trained" : say(here[name]);
      if (name === "best" && law.drifts) value.textContent = "depends on N and D";
      between.textContent = Number.isNaN(spread[0]) ? (drawn.length ? "none" : "not known") : `${say(spread[0])} to ${say(spread[1])}`;
      if (beyond.length && drawn.length && name !== "best") between.textContent = "withheld: no runs here";
      value.parentElement.dataset.value = here[name];
      value.parentElement.dataset.low = spread[0];
      value.parentElement.dataset.high = spread[1];
    }
    const texts = [];
    if (Number.isNaN(here.loss)) texts.push("The law has no prediction here: a factor is not positive at these bits.");
    if (beyond.length) texts.push(`${beyond.join(" and ")} beyond the runs this law was fitted to (N ${short(law.N[0])} to ${short(law.N[1])}, D ${short(law.D[0])} to ${short(law.D[1])}): an extrapolation.`);
    if (Number.isFinite(here.critical) && s.D > here.critical) texts.push("More data than critical: fewer tokens would serve better.");
    status.textContent = texts.join(" ");
    const first = Math.log10(law.D[0]) - 1; // below that the loss is so high that nothing else would be seen
    const grid = [...Array(49).keys()].map((k) => first + (k / 48) * (sliders.log_D.input.max - first));
    const over = (p, served) => grid.map((g) => { const r = evaluate(law, p, { ...s, D: 10 ** g }); return served ? r.loss[0] : r.trained; });
    const some = drawn.filter((_, i) => i % Math.ceil(drawn.length / 60) === 0);
    const banded = (fn) => {
      const y = fn(law.values), many = some.map(fn);
      const ends = many.length ? y.map((_, k) => interval(many.map((m) => m[k]), law.level)) : null;
      return ends ? { y, low: ends.map((e) => e[0]), high: ends.map((e) => e[1]) } : { y };
    };
    const lines = [banded((p) => over(p, false))];
    if (law.degradation && s.post < s.weights) lines.push(banded((p) => over(p, true)));
    const ticks = [...Array(30).keys()].map((k) => k + 2).filter((k) => k >= grid[0] && k <= grid[48] && k % 2 === 0).map((k) => [k, short(10 ** k, 1)]);
    const turn = Number.isFinite(here.critical) && here.critical > 0 ? [Math.log10(here.critical), evaluate(law, law.values, { ...s, D: here.critical }).loss[0]] : null;
    plot(charts[0], { x: grid, lines, title: "loss [nats/token] against tokens D", ticks, here: Math.log10(s.D), turn, label: `Loss against tokens for N = ${short(s.N)}: ${short(here.loss, 5)} nats per token at D = ${short(s.D)}.` });
    charts[1].style.display = law.factors.length && !law.drifts ? "" : "none";
    if (law.factors.length && !law.drifts) {
      const curve = (p) => widths.map((P) => { const [v] = worth(law, p, P); return Number.isFinite(v) ? Math.exp(v) * 16 : NaN; });
      plot(charts[1], { x: widths, lines: [banded(curve)], title: "effective parameters for one price, 16 f(P)/P, against P [bits]", ticks: [2, 4, 6, 8, 10, 12, 14, 16].map((k) => [k, k]), turn: [bestOf[0], 16 * Math.exp(worth(law, law.values, bestOf[0])[0])], label: `Effective parameters for one price against bits: most at ${short(bestOf[0])} bits.` });
    }
  }
  pick.addEventListener("change", () => choose(true));
  choose(true);
  if (typeof ResizeObserver !== "undefined") { let last = 0; new ResizeObserver(() => { if (box.clientWidth !== last) { last = box.clientWidth; show(); } }).observe(box); }
}

export default { render };
