// The explorer: laws with fields and sliders, in a page without a kernel. The arithmetic is law.js; this file is the page.

import { element, hasAddress, hatch, svg } from "./curve.js";
import { best, critical, evaluate, interval, parametersOf, worth } from "./law.js";
import { read, short } from "./quantity.js";

// name, words, ends of the slider [log10], words of a value
const COUNTS = [["N", "parameters", [4, 13], "parameters"], ["D", "tokens", [5, 17], "tokens"]];
const BITS = [["weights", "weights"], ["activations", "activations"], ["kv", "KV cache"], ["post", "when served"]];
const SIXTEEN = 16.5; // the right end of a slider of bits: not quantized
const START = { N: "80M", D: "6B", weights: "8", activations: "8", kv: "8", post: "4" };
const QUANTITIES = [["loss", "loss L [nats/token]"], ["n_eff", "effective parameters"], ["share", "N_eff / N"], ["delta", "δ, added by serving bits [nats/token]"], ["critical", "critical tokens at these bits"], ["best", "P*, best common width [bits]"]];
const LONG = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"], [1e3, "thousand"]];
const spokenCount = (x) => {
  const [size, word] = LONG.find(([s]) => x >= s && x < 1e15) ?? [1, ""];
  return `${Number((x / size).toPrecision(3))} ${word}`.trim();
};
const readAs = (name, text) => (COUNTS.some(([n]) => n === name) ? read(text, "count") : read(text, "bits"));
const outsideOf = (x, [low, high]) => Math.max(low / x, x / high);

// Round steps of an axis: 1, 2 or 5 times a power of ten.
function steps(low, high, wanted) {
  const raw = (high - low) / wanted, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((k) => k * size >= raw) * size;
  const all = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) all.push(Number((k * step).toPrecision(12)));
  return all;
}

// Lines with bands over x; outside `known` the ground is hatched. Bands that are no measurement are outlined, not filled.
function plot(box, { x, lines, title, ticks, here, turn, known, label, assumed }) {
  const width = Math.max(Math.floor(box.clientWidth), 260), height = 230;
  const edge = { left: 52, right: 14, top: 30, bottom: 30 };
  const id = `ps-none-${Math.random().toString(36).slice(2)}`;
  const out = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, hatch(id));
  out.append(svg("text", { x: 0, y: 13, class: "title" }, title));
  box.replaceChildren(out);
  const seen = lines.flatMap((l) => [...l.y, ...(l.low ?? []), ...(l.high ?? [])]).filter(Number.isFinite);
  if (!seen.length) { out.append(svg("text", { x: edge.left, y: height / 2 }, "no prediction at these bits")); return; }
  const drawn = lines.flatMap((l) => l.y.filter(Number.isFinite));
  let [low, high] = [Math.min(...drawn), Math.max(...drawn)];
  [low, high] = [Math.max(Math.min(...seen), low - (high - low)), Math.min(Math.max(...seen), high + 0.6 * (high - low))];
  if (high - low < 1e-9 * Math.abs(high)) [low, high] = [low - 1e-3, high + 1e-3];
  const px = (v) => edge.left + ((v - x[0]) / (x[x.length - 1] - x[0])) * (width - edge.left - edge.right);
  const py = (v) => edge.top + (1 - (Math.min(Math.max(v, low), high) - low) / (high - low)) * (height - edge.top - edge.bottom);
  if (known) {
    const [a, b] = known.map((v) => Math.min(Math.max(px(v), edge.left), width - edge.right));
    for (const [from, to] of [[edge.left, a], [b, width - edge.right]]) {
      if (to - from < 1) continue;
      out.append(svg("rect", { class: "none", x: from, y: edge.top, width: to - from, height: height - edge.top - edge.bottom, fill: `url(#${id})` }));
      if (to - from > 96) out.append(svg("text", { class: "none", x: from === edge.left ? to - 6 : from + 6, y: edge.top + 14, "text-anchor": from === edge.left ? "end" : "start" }, "no runs here"));
    }
  }
  for (const v of steps(low, high, 6)) {
    out.append(svg("line", { x1: edge.left, x2: width - edge.right, y1: py(v), y2: py(v), class: "grid" }));
    out.append(svg("text", { x: edge.left - 6, y: py(v) + 4, "text-anchor": "end" }, short(v, 4)));
  }
  for (const [v, text] of ticks) out.append(svg("text", { x: px(v), y: height - 12, "text-anchor": "middle" }, text));
  const path = (xs, ys) => xs.map((v, i) => [v, ys[i]]).filter(([, y]) => Number.isFinite(y)).map(([a, b], i) => `${i ? "L" : "M"}${px(a).toFixed(1)},${py(b).toFixed(1)}`).join("");
  lines.forEach((l, i) => {
    if (l.low) {
      const there = x.map((v, k) => [v, l.low[k], l.high[k]]).filter((r) => r.every(Number.isFinite) && (!l.within || (r[0] >= l.within[0] && r[0] <= l.within[1])));
      const outline = [...there.map(([v, , b]) => [v, b]), ...there.reverse().map(([v, a]) => [v, a])];
      if (outline.length) out.append(svg("path", { class: `band c${i}${assumed ? " assumed" : ""}`, d: `M${outline.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join("L")}Z` }));
    }
    out.append(svg("path", { class: `line c${i}`, d: path(x, l.y) }));
  });
  if (here >= x[0] && here <= x[x.length - 1]) out.append(svg("line", { x1: px(here), x2: px(here), y1: edge.top, y2: height - edge.bottom, class: "here" }));
  if (turn && turn[0] >= x[0] && turn[0] <= x[x.length - 1]) {
    const [a, b] = [px(turn[0]), py(turn[1])];
    out.append(svg("path", { class: "turn", d: `M${a},${b - 7}L${a + 7},${b}L${a},${b + 7}L${a - 7},${b}Z` }));
    if (turn[2]) out.append(svg("text", { class: "turn", x: Math.min(Math.max(a, edge.left + 70), width - edge.right - 70), y: Math.max(b - 13, edge.top + 30), "text-anchor": "middle" }, turn[2]));
  }
}

function render({ model, el }) {
  const laws = model.get("laws"), paged = hasAddress(model);
  const box = element("div", { class: "ps-explorer" });
  const state = { ...START }, fields = {};
  let law = laws[0];

  // -- controls -----------------------------------------------------------------------------------------------------
  const form = element("form", { class: "controls", "aria-label": "Law and setting" });
  form.addEventListener("submit", (event) => event.preventDefault());
  const pick = element("select", { name: "law", "aria-label": "law" }, ...laws.map((l) => element("option", { value: l.slug }, l.name)));
  const note = element("p", { class: "note" });
  pick.addEventListener("change", () => { choose(pick.value); show(); });
  const presets = element("select", { name: "setting", "aria-label": "Setting" }, element("option", { value: "" }, "A known model …"), ...model.get("settings").map((s, i) => element("option", { value: i }, s.name)));
  presets.addEventListener("change", () => {
    if (presets.value !== "") Object.assign(state, model.get("settings")[presets.value].fields);
    show(true);
  });
  form.append(pick, note, presets);
  // A field takes any number; its slider moves it within its ends.
  const control = (name, words, ends, step) => {
    const text = element("input", { type: "text", name, inputmode: "decimal", autocomplete: "off", id: `ps-explore-${name}`, "aria-describedby": `ps-said-${name}` });
    const slider = element("input", { type: "range", name: `slide_${name}`, min: ends[0], max: ends[1], step, "aria-label": `${words}, slider` });
    const said = element("span", { class: "said", id: `ps-said-${name}` }), runs = element("i", { class: "runs" });
    const counted = COUNTS.some(([n]) => n === name);
    const put = (value) => { state[name] = counted ? short(10 ** value) : value > 16 ? "full" : String(value); };
    text.addEventListener("change", () => { state[name] = text.value; presets.value = ""; show(); });
    slider.addEventListener("input", () => { put(Number(slider.value)); presets.value = ""; show(true); });
    slider.addEventListener("keydown", (event) => {
      const far = { PageUp: 1, PageDown: -1 }[event.key];
      if (!counted || !far) return;
      event.preventDefault();
      slider.value = Number(slider.value) + far;
      put(Number(slider.value));
      show(true);
    });
    const row = element("div", { class: `row-${counted ? "count" : "bits"}`, "data-name": name }, element("label", { for: text.id }, words), text, element("span", { class: "track" }, runs, slider), said);
    fields[name] = { text, slider, said, runs, row, ends, counted };
    form.append(row);
  };
  form.append(element("h2", {}, "Size and data"));
  COUNTS.forEach(([name, words, ends]) => control(name, words, ends, 0.05));
  form.append(element("h2", {}, "Bits"));
  BITS.forEach(([name, words]) => control(name, words, [2, SIXTEEN], 0.5));
  const button = (words, act) => { const out = element("button", { type: "button" }, words); out.addEventListener("click", act); return out; };
  form.append(element("div", { class: "tools" },
    button("Into the runs", () => { for (const [name] of COUNTS) state[name] = short(Math.sqrt(law[name][0] * law[name][1]), 2); show(true); }),
    button("Reset", () => { Object.assign(state, START); pick.value = laws[0].slug; presets.value = ""; choose(laws[0].slug); show(true); })));

  // -- answers ------------------------------------------------------------------------------------------------------
  const kind = element("th", { scope: "col" }), body = element("tbody"), cells = {};
  const table = element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "quantity"), element("th", { scope: "col" }, "value"), kind)), body);
  for (const [name, text] of QUANTITIES) {
    const row = element("tr", { "data-quantity": name }, element("th", { scope: "row" }, text));
    cells[name] = [element("td", { class: "value" }), element("td", { class: "interval" }), row];
    row.append(cells[name][0], cells[name][1]);
    body.append(row);
  }
  const status = element("p", { class: "status", role: "status" });
  const keys = element("p", { class: "keys" }, element("i", { class: "c0" }), "as trained", element("i", { class: "c1" }), "as served", element("b", { class: "nowhere" }), "outside the runs");
  const charts = ["picture main", "picture"].map((name) => element("div", { class: name }));
  box.append(form, element("div", { class: "answer" }, status, ...charts, keys, element("div", { class: "ps-scroll" }, table)));
  el.classList.add("ps-explorer-room"); // the widths of its layouts are of this room, not of the window
  el.append(box);

  let drawn = [], widths = [...Array(57).keys()].map((k) => 2 + k / 4), bestOf = [NaN, []];
  const reads = (name) => (name === "post" ? law.degradation !== null : law.factors.some((f) => f.tensor === name));
  function choose(slug) {
    law = laws.find((l) => l.slug === slug);
    drawn = parametersOf(law);
    bestOf = [best(law, law.values), drawn.map((p) => best(law, p))];
    note.textContent = law.note;
    kind.textContent = drawn.length ? `${law.assumed ? "expected " : ""}${Math.round(100 * law.level)} % interval${law.assumed ? `, if ${law.assumed}` : ""}` : "interval";
  }
  function link() {
    if (!paged) return;
    const changed = Object.entries(state).filter(([name, text]) => text !== START[name]);
    if (law !== laws[0]) changed.unshift(["law", law.slug]);
    history.replaceState(null, "", changed.length ? `#${new URLSearchParams([["v", "1"], ...changed])}` : location.pathname + location.search);
  }
  function follow() {
    const pairs = [...new URLSearchParams(location.hash.slice(1))];
    if (!paged || !pairs.some(([name]) => name === "v")) return;
    Object.assign(state, START);
    let slug = laws[0].slug;
    for (const [name, text] of pairs)
      if (name === "law" && laws.some((l) => l.slug === text)) slug = text;
      else if (START[name] !== undefined) state[name] = text.slice(0, 60);
    pick.value = slug;
    choose(slug);
  }

  // The setting that the fields say, or null with the faulty ones marked; what a law does not read is full.
  function setting(written) {
    const s = {};
    let whole = true;
    for (const [name, f] of Object.entries(fields)) {
      const ok = f.counted || reads(name), found = readAs(name, state[name]);
      f.row.classList.toggle("off", !ok);
      f.text.disabled = f.slider.disabled = !ok;
      if (written || document.activeElement !== f.text) f.text.value = state[name];
      f.said.classList.toggle("error", Boolean(found.error) && ok);
      if (!ok) { s[name] = Infinity; f.said.textContent = "not read by this law"; f.text.removeAttribute("aria-invalid"); continue; }
      if (found.error) { whole = false; f.text.setAttribute("aria-invalid", "true"); f.said.textContent = found.error; continue; }
      f.text.removeAttribute("aria-invalid");
      const x = (s[name] = found.value);
      f.slider.value = f.counted ? Math.log10(x) : Math.min(x, SIXTEEN);
      let words = f.counted ? "" : x === Infinity ? "full precision" : `${x} bits`;
      if (f.counted) {
        const span = f.ends[1] - f.ends[0], far = outsideOf(x, law[name]);
        f.runs.style.left = `${(100 * (Math.log10(law[name][0]) - f.ends[0])) / span}%`;
        f.runs.style.width = `${(100 * Math.log10(law[name][1] / law[name][0])) / span}%`;
        words = far > 1.001 ? `${short(far)} times ${x > law[name][1] ? "the largest" : "below the smallest"} of the runs` : "within the runs";
      }
      f.said.textContent = f.counted ? words : "";
      f.slider.setAttribute("aria-valuetext", f.counted ? `${spokenCount(x)} ${name === "N" ? "parameters" : "tokens"}, ${words}` : words);
    }
    return whole ? s : null;
  }

  function show(written) {
    const s = setting(written);
    link();
    box.classList.toggle("stale", s === null);
    box.dataset.settled = "yes";
    if (s === null) { status.textContent = "A field cannot be read; what is below is of before."; return; }
    const quantities = (p) => {
      const r = evaluate(law, p, s);
      return { loss: r.loss[0], n_eff: r.n_eff, share: r.n_eff / s.N, delta: r.delta, critical: critical(law, p, s) };
    };
    const here = { ...quantities(law.values), best: bestOf[0] }, all = drawn.map(quantities);
    const beyond = COUNTS.map(([k]) => k).filter((k) => outsideOf(s[k], law[k]) > 1.001);
    const withheld = Math.max(...COUNTS.map(([k]) => outsideOf(s[k], law[k]))) > law.withheld;
    const served = law.degradation !== null && s.post < s.weights;
    const absent = { n_eff: !law.factors.length, share: !law.factors.length, delta: !served, critical: !served, best: Number.isNaN(here.best) };
    for (const [name] of QUANTITIES) {
      const spread = interval(name === "best" ? bestOf[1] : all.map((q) => q[name]), law.level);
      const [value, between, row] = cells[name];
      const say = name === "loss" ? (x) => (Number.isNaN(x) ? "none" : x.toFixed(4)) : short;
      value.textContent = name === "loss" && withheld && !Number.isNaN(here.loss) ? `≈ ${here.loss.toFixed(2)}` : say(here[name]);
      between.textContent = Number.isNaN(spread[0]) ? (drawn.length ? "none" : "not known") : `${say(spread[0])} to ${say(spread[1])}`;
      if (withheld && drawn.length && name !== "best") between.textContent = "—";
      row.hidden = Boolean(absent[name]);
      Object.assign(row.dataset, { value: here[name], low: spread[0], high: spread[1] });
    }
    const texts = [];
    if (Number.isNaN(here.loss)) texts.push("The law has no prediction here: a factor is not positive at these bits.");
    if (beyond.length) texts.push(`${beyond.join(" and ")} beyond the runs this law was fitted to (N ${short(law.N[0])} to ${short(law.N[1])}, D ${short(law.D[0])} to ${short(law.D[1])}): an extrapolation${withheld && drawn.length ? `, too far for an interval` : ""}.`);
    if (served && Number.isFinite(here.critical) && s.D > here.critical) texts.push(`More data than critical: stopped at ${short(here.critical)} tokens it would serve better.`);
    status.textContent = texts.join(" ") || "Within the runs of this law.";
    status.classList.toggle("inside", !texts.length);
    draw(s, here, served);
  }
  let last = null;
  function draw(...given) {
    last = given;
    const [s, here, served] = given;
    const first = Math.log10(Math.min(law.D[0], s.D)) - 0.5, end = Math.log10(Math.max(law.D[1], s.D)) + 1;
    const grid = [...Array(61).keys()].map((k) => first + (k / 60) * (end - first));
    const over = (p, after) => grid.map((g) => { const r = evaluate(law, p, { ...s, D: 10 ** g }); return after ? r.loss[0] : r.trained; });
    const some = drawn.filter((_, i) => i % Math.ceil(drawn.length / 60) === 0);
    const near = outsideOf(s.N, law.N) > law.withheld ? [1, 0] : [Math.log10(law.D[0] / law.withheld), Math.log10(law.D[1] * law.withheld)];
    const banded = (fn, within) => {
      const y = fn(law.values), many = some.map(fn);
      const ends = many.length ? y.map((_, k) => interval(many.map((m) => m[k]), law.level)) : null;
      return ends ? { y, low: ends.map((e) => e[0]), high: ends.map((e) => e[1]), within } : { y };
    };
    const lines = [banded((p) => over(p, false), near)];
    if (served) lines.push(banded((p) => over(p, true), near));
    const step = end - first > 8 && charts[0].clientWidth < 560 ? 2 : 1;
    const ticks = [...Array(30).keys()].filter((k) => k > grid[0] && k < grid[60] && k % step === 0).map((k) => [k, short(10 ** k, 1)]);
    const turn = Number.isFinite(here.critical) && here.critical > 0 ? [Math.log10(here.critical), evaluate(law, law.values, { ...s, D: here.critical }).loss[0], `turns at ${short(here.critical)} tokens`] : null;
    const inside = outsideOf(s.N, law.N) > 1.001 ? [first, first] : law.D.map(Math.log10);
    plot(charts[0], { x: grid, lines, title: "loss [nats/token] against tokens D", ticks, here: Math.log10(s.D), turn, known: inside, assumed: Boolean(law.assumed), label: `Loss against tokens for N = ${short(s.N)}: ${short(here.loss, 5)} nats per token at D = ${short(s.D)}.` });
    const worthy = law.factors.length > 0 && !law.drifts;
    charts[1].hidden = !worthy;
    if (!worthy) return;
    const curveOf = (p) => widths.map((P) => { const [v] = worth(law, p, P); return Number.isFinite(v) ? Math.exp(v) * 16 : NaN; });
    plot(charts[1], { x: widths, lines: [banded(curveOf)], title: "effective parameters at one price, by bits P", ticks: [2, 4, 6, 8, 10, 12, 14, 16].map((k) => [k, k]), turn: Number.isFinite(bestOf[0]) ? [bestOf[0], 16 * Math.exp(worth(law, law.values, bestOf[0])[0]), `P* = ${short(bestOf[0])}`] : null, assumed: Boolean(law.assumed), label: `Effective parameters for one price against bits: most at ${short(bestOf[0])} bits.` });
  }
  choose(laws[0].slug);
  follow();
  show(true);
  if (paged) addEventListener("hashchange", () => { follow(); show(true); });
  let seen = 0;
  new ResizeObserver(() => { if (last && charts[0].clientWidth !== seen) { seen = charts[0].clientWidth; draw(...last); } }).observe(charts[0]);
}

export default { render };
