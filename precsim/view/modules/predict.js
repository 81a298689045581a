// A question that the reader answers first: choose, lock in, compare. The guess is kept in this browser alone.

const make = (tag, fields = {}, ...children) => {
  const out = Object.assign(document.createElement(tag), fields);
  out.append(...children);
  return out;
};
const SVG = "http://www.w3.org/2000/svg";
const node = (name, attributes, ...children) => {
  const out = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  out.append(...children);
  return out;
};
const round = (x) => Number(x.toPrecision(3));
const words = (x, unit) => `${round(x).toLocaleString("en", { maximumSignificantDigits: 3 })}${unit ? ` ${unit}` : ""}`;

// Pages opened from a folder, and readers who forbid it, have no store: then nothing is kept.
const store = {
  get: (key) => { try { return JSON.parse(localStorage.getItem(`precsim.predict.${key}`)); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`precsim.predict.${key}`, JSON.stringify(value)); } catch { /* not kept */ } },
  drop: (key) => { try { localStorage.removeItem(`precsim.predict.${key}`); } catch { /* was not kept */ } },
};

function render({ model, el }) {
  const names = ["key", "question", "because", "options", "right", "answer", "low", "high", "unit", "log"];
  const q = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const box = make("div", { className: "ps-predict" });
  const told = make("output");
  told.setAttribute("aria-live", "polite");
  const id = `ps-predict-${q.key}-${Math.random().toString(36).slice(2, 7)}`;
  const title = make("p", { className: "question", id }, q.question);
  el.append(box);

  const place = (share) => (q.log ? q.low * (q.high / q.low) ** share : q.low + (q.high - q.low) * share);
  const share = (x) => (q.log ? Math.log(x / q.low) / Math.log(q.high / q.low) : (x - q.low) / (q.high - q.low));

  function ask() {
    let chosen = null;
    const lock = make("button", { type: "button", className: "lock", textContent: "Lock in", disabled: true });
    const pass = make("button", { type: "button", className: "pass", textContent: "I pass" });
    const choose = (value) => { chosen = value; lock.disabled = false; };
    const field = make("fieldset");
    field.setAttribute("aria-labelledby", id);
    if (q.options.length) {
      q.options.forEach((option, n) => {
        const input = make("input", { type: "radio", name: id, value: n });
        input.addEventListener("change", () => choose(n));
        field.append(make("label", {}, input, option));
      });
    } else {
      const shown = make("span", { className: "value", textContent: "…" });
      const input = make("input", { type: "range", min: 0, max: 200, step: 1, value: 100 });
      input.setAttribute("aria-label", "your guess");
      const moved = () => {
        const x = round(place(input.value / 200));
        choose(x);
        shown.textContent = words(x, q.unit);
        input.setAttribute("aria-valuetext", shown.textContent);
      };
      input.setAttribute("aria-valuetext", "no guess yet");
      input.addEventListener("input", moved);
      input.addEventListener("pointerdown", moved);
      const ends = make("span", { className: "ends" }, make("span", {}, words(q.low, q.unit)), make("span", {}, words(q.high, q.unit)));
      field.append(shown, input, ends);
    }
    lock.addEventListener("click", () => { store.set(q.key, { value: chosen }); tell(chosen); again.focus(); });
    pass.addEventListener("click", () => { store.set(q.key, { value: null }); tell(null); again.focus(); });
    told.replaceChildren();
    box.replaceChildren(title, field, make("div", { className: "buttons" }, lock, pass), told);
  }

  const again = make("button", { type: "button", className: "again", textContent: "Ask me again" });
  again.addEventListener("click", () => {
    store.drop(q.key);
    ask();
    box.querySelector("input").focus();
  });

  function tell(value) {
    const parts = [];
    if (q.options.length) {
      const list = make("ul");
      q.options.forEach((option, n) => {
        const item = make("li", { className: n === q.right ? "right" : n === value ? "wrong" : "" });
        item.append(make("span", { className: "sign", textContent: n === q.right ? "✓" : n === value ? "✗" : "·" }), option);
        if (n === value) item.append(make("span", { className: "yours", textContent: " (yours)" }));
        list.append(item);
      });
      const verdict = value === null ? "" : value === q.right ? "You were right. " : `You said: ${q.options[value]}. `;
      parts.push(list, make("p", {}, make("strong", {}, verdict), q.because));
    } else {
      const off = value === null ? "" : q.log || (value > 0 && q.answer > 0) ? factor(value) : distance(value);
      const said = value === null ? "" : `You said ${words(value, q.unit)}. `;
      if (value !== null) parts.push(axis(value));
      parts.push(make("p", {}, make("strong", {}, `${said}It is ${words(q.answer, q.unit)}. ${off}`), q.because));
    }
    told.replaceChildren(...parts);
    box.replaceChildren(title, told, make("div", { className: "buttons" }, again));
  }
  const factor = (value) => {
    const times = Math.max(value / q.answer, q.answer / value);
    return times < 1.05 ? "That is close. " : `Off by ${round(times)} times. `;
  };
  const distance = (value) => `Off by ${words(Math.abs(value - q.answer), q.unit)}. `;

  // Both on one axis; names go to the side where there is room.
  function axis(value) {
    const width = 480, y = 30;
    const x = (v) => 14 + (width - 28) * Math.min(Math.max(share(v), 0), 1);
    const svg = node("svg", { viewBox: `0 0 ${width} 58`, role: "img", "aria-label": `your guess ${words(value, q.unit)}, found ${words(q.answer, q.unit)}` });
    svg.append(node("line", { x1: 14, x2: width - 14, y1: y, y2: y }));
    for (const [name, v, above] of [["yours", value, true], ["found", q.answer, false]]) {
      const side = x(v) < 60 ? "start" : x(v) > width - 60 ? "end" : "middle";
      svg.append(node("circle", { class: name, cx: x(v), cy: y, r: 6 }));
      svg.append(node("text", { class: name, x: x(v), y: above ? y - 13 : y + 24, "text-anchor": side }, name));
    }
    return svg;
  }

  const before = store.get(q.key);
  if (before && "value" in before) tell(before.value);
  else ask();
}

export default { render };
