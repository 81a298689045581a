// A number format bit by bit: press a bit (or the arrow keys and space) and read the value.
// One file for the page of the book and for JupyterLab: render({ model, el }) as in anywidget.

// Value of a code by IEEE 754-2019, 3.4; NaN and infinities as the format has them.
function decode(code, f) {
  const body = f.bits - (f.signed ? 1 : 0);
  const negative = f.signed && code >> body === 1;
  if (f.exponent_bits === 0) {
    const value = (negative ? code - 2 ** f.bits : code) * 2 ** -f.bias;
    return { value, kind: "integer grid", E: 0, T: code };
  }
  const c = code & (2 ** body - 1);
  const m = f.precision - 1;
  const E = c >> m, T = c & (2 ** m - 1);
  if (c >= f.magnitudes) {
    const infinite = f.has_infinity && c === f.magnitudes;
    return { value: infinite ? (negative ? -Infinity : Infinity) : NaN, kind: infinite ? "infinity" : "not a number", E, T };
  }
  if (negative && c === 0 && !f.has_negative_zero) return { value: NaN, kind: "not a number", E, T };
  const hidden = E > 0 || !f.has_zero;
  const size = (hidden ? 2 ** m + T : T) * 2 ** ((hidden ? E - f.bias : f.emin) - m);
  return { value: negative ? -size : size, kind: hidden ? "normal" : c ? "subnormal" : "zero", E, T };
}

function formula(code, f, { kind, E, T, value }) {
  const m = f.precision - 1;
  const sign = f.signed && code >> (f.bits - 1) ? "−" : "";
  if (kind === "normal") return `${sign}(1 + ${T}/${2 ** m}) · 2^(${E} − ${f.bias})`;
  if (kind === "subnormal") return `${sign}(0 + ${T}/${2 ** m}) · 2^${f.emin}`;
  return kind === "integer grid" && f.signed ? `two's complement` : kind;
}

const text = (v) => (Object.is(v, -0) ? "−0" : Number.isFinite(v) ? String(v).replace("-", "−") : Number.isNaN(v) ? "NaN" : v > 0 ? "∞" : "−∞");

function render({ model, el }) {
  const f = model.get("format");
  const box = document.createElement("div");
  box.className = "ps-bits";
  const row = document.createElement("div");
  row.className = "ps-bits-row";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", `bits of ${f.name}, highest first`);
  const out = document.createElement("output");
  out.setAttribute("aria-live", "polite");

  const part = (place) => {
    if (f.signed && place === f.bits - 1) return "sign";
    return place >= f.precision - 1 && f.exponent_bits > 0 ? "exponent" : "significand";
  };
  const buttons = [];
  for (let place = f.bits - 1; place >= 0; place--) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = part(place);
    button.dataset.place = place;
    button.addEventListener("click", () => {
      model.set("code", model.get("code") ^ (1 << place));
      model.save_changes();
      show();
    });
    buttons.push(button);
  }
  row.append(...buttons);
  row.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
  });

  const names = document.createElement("div");
  names.className = "names";
  for (const name of [...new Set(buttons.map((b) => b.className))]) {
    const item = document.createElement("span");
    const sample = document.createElement("i");
    sample.className = name;
    item.append(sample, name);
    names.append(item);
  }

  function show() {
    const code = model.get("code");
    for (const button of buttons) {
      const bit = (code >> button.dataset.place) & 1;
      button.textContent = bit;
      button.setAttribute("aria-pressed", bit === 1);
      button.setAttribute("aria-label", `${button.className} bit ${button.dataset.place}`);
    }
    const result = decode(code, f);
    out.dataset.value = Object.is(result.value, -0) ? "-0" : String(result.value);
    out.textContent = `${f.name}, code ${code}: ${text(result.value)}\n${formula(code, f, result)} (${result.kind})`;
  }
  model.on("change:code", show);
  box.append(names, row, out);
  el.append(box);
  show();
}

export default { render };
