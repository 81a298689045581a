// Pictures of the planner: what every width wastes, and where memory goes. They draw what they are given.

import { gigabytes, percent } from "./quantity.js";

const SVG_SPACE = "http://www.w3.org/2000/svg";
export function svg(name, attributes = {}, ...children) {
  const out = document.createElementNS(SVG_SPACE, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  out.append(...children);
  return out;
}
export function element(name, attributes = {}, ...children) {
  const out = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key === "class") out.className = value;
    else if (value === true) out.setAttribute(key, "");
    else if (value !== false && value !== null) out.setAttribute(key, value);
  out.append(...children);
  return out;
}
// Whether the address bar is the widget's to write: not in JupyterLab, nor in a frame without an address.
export const hasAddress = (model) => !model.widget_manager && /^(https?|file):$/.test(location.protocol);
// Ground for what is not known: lines at 45 degrees, 6 px apart.
export function hatch(id, ...classes) {
  const lines = svg("path", { d: "M-1 7L7 -1M-1 1L1 -1M5 7L7 5", class: ["hatch", ...classes].join(" ") });
  return svg("defs", {}, svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, lines));
}

const TICKS = [0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 100, 1e3, 1e4, 1e6];
const CEILING = 1e6;
const lift = (extra) => Math.log10(1 + 200 * Math.min(extra, CEILING)); // logarithmic, with 0 at the bottom

// rows: { key, name, extra or null, between: [low, high] or null, color, dotted, best, pinned }; pick(key) is called.
export function curve(box, rows, { pick, label, assumed, axis }) {
  const width = Math.max(Math.floor(box.clientWidth), 260), height = width < 560 ? 220 : 250;
  const edge = { left: 62, right: 12, top: 16, bottom: 48 };
  const finite = rows.filter((r) => r.extra !== null && Number.isFinite(r.extra));
  const top = Math.max(lift(0.05), ...finite.map((r) => lift(Math.max(r.extra, Number.isFinite(r.between?.[1]) ? r.between[1] : 0)))) * 1.08;
  const step = (width - edge.left - edge.right) / rows.length;
  const x = (i) => edge.left + (i + 0.5) * step;
  const y = (extra) => height - edge.bottom - (Math.min(lift(extra), top) / top) * (height - edge.top - edge.bottom);
  const id = `ps-none-${Math.random().toString(36).slice(2)}`;
  const out = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, hatch(id));
  let last = Infinity;
  for (const tick of TICKS) {
    if (lift(tick) > top || last - y(tick) < 16) continue;
    last = y(tick);
    out.append(svg("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick) }));
    out.append(svg("text", { x: edge.left - 8, y: y(tick) + 4, "text-anchor": "end" }, percent(tick)));
  }
  const ok = (r) => r && r.extra !== null && Number.isFinite(r.extra);
  const line = rows.map((r, i) => (ok(r) ? `${ok(rows[i - 1]) ? "L" : "M"}${x(i).toFixed(1)} ${y(r.extra).toFixed(1)}` : "")).join("");
  if (line) out.append(svg("path", { class: "path", d: line }));
  rows.forEach((row, i) => {
    const group = svg("g", { class: `mark${row.pinned ? " pinned" : ""}`, "data-bits": row.name });
    group.append(svg("rect", { class: "column", x: x(i) - step / 2, y: edge.top, width: step, height: height - edge.top - edge.bottom, fill: row.extra === null ? `url(#${id})` : "transparent" }));
    const known = row.extra !== null && Number.isFinite(row.extra);
    if (known && row.between && Number.isFinite(row.between[0])) {
      const [low, high] = [y(row.between[0]), y(row.between[1])];
      group.append(svg("line", { class: `bar${assumed ? " assumed" : ""}`, x1: x(i), x2: x(i), y1: low, y2: high, stroke: row.color }));
      for (const end of [low, high]) group.append(svg("line", { class: "bar", x1: x(i) - 5, x2: x(i) + 5, y1: end, y2: end, stroke: row.color }));
    }
    if (known) group.append(svg("circle", { class: row.dotted ? "dotted" : "", cx: x(i), cy: y(row.extra), r: row.best ? 8 : 6, fill: row.dotted ? "none" : row.color, stroke: row.color }));
    else if (row.extra !== null) group.append(svg("path", { class: "never", d: `M${x(i) - 6} ${edge.top + 12}l6 -9l6 9z`, fill: row.color }));
    group.append(svg("text", { class: row.best ? "best" : "", x: x(i), y: height - edge.bottom + 22, "text-anchor": "middle" }, row.name));
    group.addEventListener("click", () => pick(row.key));
    out.append(group);
  });
  out.append(svg("text", { x: (edge.left + width - edge.right) / 2, y: height - 5, "text-anchor": "middle" }, axis));
  box.replaceChildren(out);
}

// One bar of parts of memory, against what there is.
export function memoryBar(title, memory, note) {
  const scale = Math.max(memory.total, memory.held);
  const bar = element("div", { class: "bar", role: "img", "aria-label": `${title}: ${memory.parts.map(([name, bytes]) => `${name} ${gigabytes(bytes)}`).join(", ")}; ${gigabytes(memory.total)} of ${gigabytes(memory.held)}` });
  memory.parts.forEach(([, bytes], i) => {
    const part = element("span", { class: `part p${i}` });
    part.style.width = `${(100 * bytes) / scale}%`;
    bar.append(part);
  });
  const end = element("i", { class: "end" });
  end.style.left = `${(100 * memory.held) / scale}%`;
  if (memory.held < scale * 0.999) bar.append(end);
  const keys = element("p", { class: "keys" }, ...memory.parts.map(([name, bytes], i) => element("span", { class: `key p${i}` }, `${name} ${gigabytes(bytes)}`)));
  const total = element("span", {}, `${gigabytes(memory.total)} of ${gigabytes(memory.held)}`);
  const head = element("p", { class: "head" }, element("strong", {}, title), total, element("span", { class: `state ${memory.state}` }, memory.word));
  return element("div", { class: "memory" }, head, bar, keys, element("p", { class: "echo" }, note));
}
