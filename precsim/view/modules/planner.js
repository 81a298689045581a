// The planner: a budget, a law and limits in; parameters, tokens and bits out, with what is not known about them.
// The arithmetic is plan.js, the meaning of fields question.js, the sentences answer.js; this file is the page.

import { answer, badge, csv, isFar, limitSentence, lossSentence, lossText, verdictParts, widthsText } from "./answer.js";
import { curve, element, hasAddress, memoryBar } from "./curve.js";
import { interval, parametersOf } from "./law.js";
import { draws } from "./plan.js";
import { FIELDS, ask, fromLink, initial, python, readBy, servingMemory, toLink, trainingMemory } from "./question.js";
import { gigabytes, percent, short, spokenBudget } from "./quantity.js";

const TENSOR_NAMES = { weights: "weights", activations: "activations", kv: "KV cache", post: "bits after training" };
const NUMERIC = ["C", "gpus", "time", "dollars", "rate", "N", "D", "served", "context", "sequences"];

// Arrow keys multiply: "14 d" -> "15.4 d".
function nudged(text, factor) {
  const found = /^(\$?)([\d.,]+(?:e[+-]?\d+)?)(?![\d^×x])(.*)$/i.exec(text.trim());
  if (!found || /^ ?[\^×x]/.test(found[3])) return text;
  const before = Number(found[2].replace(/,/g, "")), after = before * factor;
  const rounded = Number.isInteger(before) && before >= 10 && before < 1e4 ? Math.max(1, Math.round(after)) : Number(after.toPrecision(3));
  return `${found[1]}${rounded >= 1e6 || /e/i.test(found[2]) ? rounded.toExponential().replace("e+", "e") : rounded}${found[3]}`;
}

async function copy(text, box) {
  try { await navigator.clipboard.writeText(text); return true; }
  catch { // a page without the right to the clipboard still may copy what is selected
    const area = element("textarea", { "aria-label": "text to copy" });
    area.value = text;
    box.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function render({ model, el }) {
  const data = model.get("data");
  const paged = hasAddress(model);
  const linked = paged ? fromLink(location.hash.slice(1), data) : null;
  let fields = linked?.fields ?? initial(data), spread = null, found = null, run = 0;
  const box = element("div", { class: "ps-planner" });

  // -- the form -----------------------------------------------------------------------------------------------------
  const form = element("form", { class: "ask", "aria-label": "What to plan" });
  form.addEventListener("submit", (event) => { event.preventDefault(); commit(); });
  const controls = {}, rows = {}, notes = {};
  const row = (name, text, control, { unit, plain } = {}) => {
    const note = element("span", { class: "echo", id: `ps-note-${name}` });
    control.id = `ps-field-${name}`;
    control.name = name;
    control.setAttribute("aria-describedby", note.id);
    const label = element("label", { for: control.id }, text);
    const line = element("div", { class: `field${plain ? " plain" : ""}` }, label, control, ...(unit ? [element("span", { class: "unit" }, unit)] : []), note);
    [controls[name], rows[name], notes[name]] = [control, line, note];
    return line;
  };
  const text = (name, label, more = {}) => {
    const input = element("input", { type: "text", inputmode: more.words ? "text" : "decimal", autocomplete: "off", spellcheck: "false" });
    let waiting;
    input.addEventListener("input", () => { fields[name] = input.value; clearTimeout(waiting); waiting = setTimeout(commit, 300); });
    input.addEventListener("change", () => { clearTimeout(waiting); fields[name] = input.value; if (name === "C") spoken(); commit(); });
    input.addEventListener("keydown", (event) => {
      if (!NUMERIC.includes(name) || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      const step = event.shiftKey ? 2 : 1.1;
      input.value = fields[name] = nudged(input.value, event.key === "ArrowUp" ? step : 1 / step);
      commit();
    });
    return row(name, label, input, more);
  };
  const select = (name, label, options, more) => {
    const out = element("select", {}, ...options.map(([value, words]) => element("option", { value }, words)));
    out.addEventListener("change", () => { fields[name] = out.value; commit(); });
    return row(name, label, out, more);
  };
  const radios = (name, legend, options) => {
    const group = element("fieldset", { class: "choice" }, element("legend", {}, legend));
    controls[name] = options.map(([value, words]) => {
      const input = element("input", { type: "radio", name: `ps-${name}`, value });
      input.addEventListener("change", () => { fields[name] = value; commit(); });
      group.append(element("label", {}, input, element("span", {}, words)));
      return input;
    });
    return (rows[name] = group);
  };
  // "64 H100 for 14 days" in the field of FLOP turns to the fields of devices.
  const spoken = () => {
    const words = spokenBudget(fields.C, data.devices);
    if (words.error || words.by === "flop") return;
    Object.assign(fields, words, { C: FIELDS.C });
    sync();
    controls[words.by === "gpus" ? "gpus" : "dollars"].focus();
  };
  const group = (title, ...parts) => element("section", {}, element("h2", {}, title), ...parts);
  const presets = element("select", { id: "ps-preset", "aria-label": "Example" }, element("option", { value: "" }, "Begin with an example …"), ...data.presets.map((p, i) => element("option", { value: i }, p.name)));
  presets.addEventListener("change", () => {
    if (presets.value === "") return;
    fields = { ...initial(data), ...data.presets[presets.value].fields };
    sync();
    commit();
  });
  const lawNote = element("p", { class: "echo law" });
  form.append(
    element("div", { class: "field plain" }, presets),
    group("Budget",
      radios("by", "given as", [["flop", "FLOP"], ["gpus", "GPUs"], ["dollars", "dollars"]]),
      text("C", "FLOP", { words: true }), text("gpus", "devices"), text("time", "for", { words: true }), text("dollars", "in all"), text("rate", "at", { unit: "per device hour" }),
      text("use", "used at", { unit: "of the peak" }),
      select("device", "device", Object.values(data.devices).map((d) => [d.slug, d.name])),
      radios("price", "narrow FLOPs cost", [["device", "as on it"], ["paper", "P/16"]])),
    group("Law", select("law", "law", data.laws.map((l) => [l.slug, l.name]), { plain: true }), lawNote,
      text("widths", "bits", { words: true }),
      select("tensors", "of", [["all", "all that it reads"], ["wa", "weights and activations"], ["w", "weights alone"]])),
    group("Model and data",
      radios("size", "size", [["best", "best N"], ["fixed", "fixed"]]), text("N", "parameters"), text("D", "tokens at most")),
    group("Served", text("post", "rounded to", { unit: "bits" }), text("served", "tokens in its life")),
    group("Memory",
      text("train", "to train", { words: true }), select("optimizer", "optimizer", [["adam", "Adam, fp32 master"], ["adam8", "Adam, 8-bit moments"], ["lean", "Adam, no master"]]),
      text("act", "activations", { words: true, unit: "per device" }),
      text("serve", "to serve", { words: true }), text("context", "context"), text("sequences", "sequences"),
      select("shape", "cache as in", [["near", "the nearest Llama 3"], ...Object.entries(data.models).map(([slug, m]) => [slug, m.name])]),
      radios("fit", "served, it", [["", "may exceed"], ["yes", "must fit"]])),
  );
  for (const [name, hint] of [["D", "no limit"], ["post", "as trained"], ["act", "not counted"]]) controls[name].placeholder = hint;

  // -- the answer ---------------------------------------------------------------------------------------------------
  const problem = element("p", { class: "problem", role: "alert" }), strange = element("p", { class: "problem" });
  const line = element("p", { class: "line" }), loss = element("p", { class: "loss" }), warning = element("p", { class: "badge" }), limit = element("p", { class: "limit" });
  const verdict = element("div", { class: "verdict", role: "status" }, line, loss, warning, limit);
  const memory = element("div", { class: "memories" });
  const head = element("tr", {}), body = element("tbody");
  const table = element("table", {}, element("caption", {}, ""), element("thead", {}, head), body);
  const fold = element("details", { class: "fold", open: true }, element("summary", {}, "Every width"), element("div", { class: "ps-scroll" }, table));
  const picture = element("div", { class: "picture" });
  const figure = element("figure", {}, element("figcaption", {}, ""), picture);
  const said = element("span", { class: "said", role: "status" });
  const code = element("code"), shown = element("details", { class: "python" }, element("summary", {}, "The same in Python"), element("pre", { tabindex: "0" }, code));
  const button = (words, act) => {
    const out = element("button", { type: "button" }, words);
    out.addEventListener("click", act);
    return out;
  };
  const copying = (words, give) => button(words, async () => { said.textContent = (await copy(give(), box)) ? "Copied." : "The browser does not let this page copy."; });
  const tools = element("div", { class: "tools" },
    ...(paged ? [copying("Copy link", () => `${location.href.split("#")[0]}#${toLink(fields)}`)] : []),
    copying("Copy as Python", () => code.textContent), copying("Copy table (CSV)", () => csv(found, spread)),
    button("Reset", () => { fields = initial(data); presets.value = ""; sync(); commit(); said.textContent = ""; }), said);
  const answers = element("div", { class: "answer" }, strange, problem, verdict, figure, fold, memory, tools, shown);
  box.append(form, answers);
  el.classList.add("ps-planner-room"); // the widths of its layouts are of this room, not of the window
  el.append(box);

  // -- from fields to the page --------------------------------------------------------------------------------------
  function sync() {
    for (const [name, control] of Object.entries(controls))
      if (Array.isArray(control)) for (const radio of control) radio.checked = radio.value === fields[name];
      else if (control.value !== fields[name]) control.value = fields[name];
  }
  function gray(asked) {
    const shownBy = { C: "flop", gpus: "gpus", time: "gpus", dollars: "dollars", rate: "dollars" };
    for (const [name, by] of Object.entries(shownBy)) rows[name].hidden = fields.by !== by;
    rows.use.hidden = fields.by === "flop";
    rows.N.hidden = fields.size !== "fixed";
    const { law } = asked, off = (name, is, why) => { controls[name].disabled = is; rows[name].classList.toggle("off", is); if (is) notes[name].textContent = why; };
    off("widths", !law.factors.length && !law.degradation, "this law reads no bits");
    off("tensors", law.factors.length < 2, law.factors.length ? `this law reads ${law.factors.map((f) => TENSOR_NAMES[f.tensor])}` : "this law reads no bits in training");
    off("post", asked.afterOnly || !law.degradation, asked.afterOnly ? "the widths above are those of serving" : "this law does not read bits after training");
    controls.train.placeholder = `${asked.rack.devices || 8} × ${gigabytes(asked.device.memory)}`;
    controls.serve.placeholder = gigabytes(asked.device.memory);
    const what = readBy(law).map((t) => TENSOR_NAMES[t]);
    lawNote.replaceChildren(`Reads ${what.length ? what.join(", ") : "no bits"}. Runs: ${short(law.N[0])} to ${short(law.N[1])} parameters, ${short(law.D[0])} to ${short(law.D[1])} tokens. ${law.note} `, element("cite", {}, law.source ? `${law.source}.` : ""));
  }
  function commit() {
    const asked = ask(fields, data);
    for (const name of Object.keys(notes)) {
      const error = asked.errors[name];
      notes[name].textContent = error ?? asked.echo[name] ?? "";
      notes[name].classList.toggle("error", Boolean(error));
      if (error) controls[name].setAttribute("aria-invalid", "true");
      else controls[name].removeAttribute("aria-invalid");
    }
    gray(asked);
    if (paged) history.replaceState(null, "", toLink(fields) === "v=1" ? location.pathname + location.search : `#${toLink(fields)}`);
    run++;
    const wrong = Object.keys(asked.errors);
    if (!found) for (const part of [verdict, figure, fold, memory, tools, shown]) part.hidden = wrong.length > 0;
    box.dataset.settled = "";
    answers.classList.toggle("stale", wrong.length > 0);
    problem.textContent = wrong.length ? `Not planned: “${fields[wrong[0]]}” ${rows[wrong[0]].querySelector("label").textContent ? `(${rows[wrong[0]].querySelector("label").textContent})` : ""} cannot be read.${found ? " What is below is of before." : ""}` : "";
    if (wrong.length) { box.dataset.settled = "yes"; return; }
    spread = null;
    found = answer(asked);
    show();
    const { law } = asked;
    if (found.best && law.draws && !found.withheld && !found.silent) later(law, asked, run);
    else box.dataset.settled = "yes";
  }
  // Draws in slices, which stop when the question changes.
  function later(law, asked, mine) {
    const options = found.rows.filter((r) => r.option).map((r) => r.option), all = [];
    const work = draws(law, parametersOf(law), options, asked.budget);
    const slice = () => {
      if (mine !== run) return;
      for (const until = performance.now() + 14; performance.now() < until; ) {
        const { value, done } = work.next();
        if (!done) { all.push(value); continue; }
        const of = (name, i) => interval(all.map((one) => one[name][i]), law.level);
        spread = new Map(options.map((o, i) => [o.choice, { loss: of("losses", i), extra: of("extra", i) }]));
        show();
        box.dataset.settled = "yes";
        return;
      }
      setTimeout(slice, 0);
    };
    setTimeout(slice, 200);
  }

  // -- drawing ------------------------------------------------------------------------------------------------------
  const colored = (P) => (P >= 16 ? data.gray : data.colors[Math.min(Math.max(Math.round(P) - 2, 0), data.colors.length - 1)]);
  function show() {
    const { asked, best } = found;
    verdict.classList.toggle("refused", !best || found.silent);
    for (const part of [figure, fold, memory, shown]) part.hidden = !best;
    code.textContent = python(asked, best);
    if (!best) {
      line.replaceChildren(element("strong", {}, found.reasons.text));
      loss.replaceChildren(...(found.reasons.changes.length ? ["What would do: ", found.reasons.changes.join("; or "), "."] : []));
      warning.textContent = limit.textContent = "";
      return;
    }
    line.replaceChildren(...verdictParts(found).map(([kind, words]) => (kind === "text" ? words : element("strong", {}, words))));
    loss.textContent = found.silent ? "" : lossSentence(found, spread);
    warning.textContent = badge(found);
    limit.textContent = found.silent ? "" : limitSentence(found);
    fold.open = !found.silent;
    memory.hidden = found.silent;
    drawTable();
    drawCurve();
    drawMemory();
  }
  const pinned = () => found.rows.find((r) => r.option && widthsText(found.asked, r.choice) === fields.pin) ?? found.rows.find((r) => r.option === found.best);
  const pick = (key) => { fields.pin = fields.pin === key ? "" : key; if (paged) history.replaceState(null, "", `#${toLink(fields)}`); show(); };
  const kind = (law) => (law.assumed ? "expected interval" : "interval");
  function drawTable() {
    const { asked } = found, { law } = asked, mine = pinned();
    const titles = ["bits", "N", "D", `${law.predicts} [nats]`, "compute to equal the best", "served", "", ""];
    head.replaceChildren(...titles.map((t, i) => (i < 6 ? element("th", { scope: "col" }, t) : element("td", {}, t))));
    table.caption.textContent = `${law.name}, ${short(asked.budget.flops)} FLOP at 16 bits.${law.draws && spread ? ` Below a number: ${Math.round(100 * law.level)} % ${kind(law)}${law.assumed ? `, if ${law.assumed}` : ""}.` : ""} Choose a row to see its memory.`;
    body.replaceChildren(...found.rows.map((r) => {
      const key = widthsText(asked, r.choice), o = r.option, between = spread?.get(r.choice);
      const name = element("button", { type: "button", "aria-pressed": String(r === mine), disabled: !o }, key);
      name.style.setProperty("--bits", colored(r.P));
      name.addEventListener("click", () => { pick(key); [...body.querySelectorAll("button")].find((b) => b.textContent === key)?.focus(); });
      const first = element("th", { scope: "row" }, name);
      const tr = element("tr", { class: [o === found.best ? "best" : "", o ? "" : "none", r === mine ? "pinned" : ""].join(" "), "data-bits": key }, first);
      if (!o) { tr.append(element("td", { colspan: 7, class: "note" }, r.notes.join("; "))); return tr; }
      const far = isFar(asked, o), served = servingMemory(asked, o.N, r.choice);
      const cell = (title, words, small) => element("td", { "data-title": title }, words, ...(small ? [element("small", {}, small)] : []));
      const ends = (pair, say) => pair && `${say(pair[0])} to ${say(pair[1])}`;
      tr.append(
        cell("N", short(o.N)), cell("D", short(o.D)),
        cell(titles[3], lossText(o.loss, far), far ? (law.draws ? "—" : "") : ends(between?.loss, (v) => v.toFixed(4))),
        cell("extra compute", o === found.best ? "best" : percent(o.extra_compute), far ? (law.draws ? "—" : "") : o === found.best ? "" : ends(between?.extra, percent)),
        cell(titles[5], gigabytes(served.total)), element("td", { "data-title": "", class: `state ${served.state}` }, served.word), element("td", { class: "note" }, r.notes.join("; ")));
      tr.children[4].title = `${o.regret.toPrecision(3)} nats above the best`;
      return tr;
    }));
  }
  function drawCurve() {
    const { asked } = found, mine = pinned();
    figure.hidden = found.silent || found.rows.length < 2;
    if (figure.hidden) return;
    const points = found.rows.map((r) => ({
      key: widthsText(asked, r.choice), name: widthsText(asked, r.choice), color: colored(r.P), best: r.option === found.best, pinned: r === mine,
      extra: r.option ? r.option.extra_compute : null, between: r.option && !isFar(asked, r.option) ? spread?.get(r.choice)?.extra : null, dotted: !Number.isInteger(r.P),
    }));
    const wasted = points.filter((p) => p.extra !== null).map((p) => `${p.name} bits ${p.best ? "best" : percent(p.extra)}`).join(", ");
    figure.querySelector("figcaption").textContent = "What each width wastes: compute to equal the best";
    curve(picture, points, { pick, assumed: Boolean(asked.law.assumed), axis: asked.afterOnly ? "bits when served" : asked.trained.length < 3 ? `bits of ${asked.trained.map((t) => TENSOR_NAMES[t]).join(" and ")}` : "bits of weights, activations and KV cache", label: `Compute to equal the best: ${wasted}.` });
  }
  function drawMemory() {
    const { asked } = found, { option, choice } = pinned(), key = widthsText(asked, choice);
    const train = trainingMemory(asked, option.N, choice), serve = servingMemory(asked, option.N, choice);
    const of = option === found.best ? "the best" : "the chosen row";
    memory.replaceChildren(
      memoryBar("Training", train, `${of}, ${key} bits, on ${short(train.devices)} × ${gigabytes(train.each)}; ${asked.act === null ? "activations not counted" : "activations as given"}.`),
      memoryBar("Serving", serve, `${asked.fields.sequences} sequences of ${asked.fields.context} tokens, ${serve.model ? `cache as in ${serve.model.name}` : "cache not counted: no model on the list is of that size"}; scales left out.`));
  }

  if (paged) addEventListener("hashchange", () => {
    const again = fromLink(location.hash.slice(1), data);
    if (!again) return;
    fields = again.fields;
    sync();
    commit();
    complain(again.strange);
  });
  function complain(unknown) {
    strange.textContent = unknown.length ? `The link has what this page does not know, and it was left out: ${unknown.join(", ")}.` : "";
  }
  let seen = 0;
  new ResizeObserver(() => { if (found?.best && picture.clientWidth !== seen) { seen = picture.clientWidth; drawCurve(); } }).observe(picture);
  sync();
  commit();
  complain(linked?.strange ?? []);
}

export default { render };
