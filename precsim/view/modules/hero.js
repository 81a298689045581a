// The question of the book as one picture: a network trained in few bits, or rounded to them afterwards.
// All numbers and sentences come with the state; this file draws, and says what was computed.

const SVG = "http://www.w3.org/2000/svg";
const node = (name, attributes, ...children) => {
  const out = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  out.append(...children);
  return out;
};
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const millions = (tokens) => `${tokens >= 1e7 ? Math.round(tokens / 1e6) : Math.round(tokens / 1e5) / 10}M`;

function render({ model, el }) {
  const { tokens, bits, runs, answers, ways, top, bottom } = model.get("data");
  const box = document.createElement("div");
  box.className = "ps-hero";

  // Left: the picture. Right, or below where there is little room: the answer, then what can be chosen.
  const picture = document.createElement("div");
  picture.className = "picture";
  const answer = document.createElement("output");
  answer.setAttribute("aria-live", "polite");
  const controls = document.createElement("div");
  controls.className = "controls";

  const choice = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "The weights are";
  choice.append(legend);
  const group = `ps-hero-${Math.random().toString(36).slice(2)}`;
  const radios = Object.entries(ways).map(([way, words]) => {
    const label = document.createElement("label");
    label.className = way;
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: group, value: way });
    input.addEventListener("change", () => put("way", way));
    label.append(input, words);
    choice.append(label);
    return input;
  });

  const slider = (name, title, values, words) => {
    const label = document.createElement("label");
    const text = document.createElement("span");
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: values.length - 1, step: 1 });
    input.addEventListener("input", () => put(name, Number(input.value)));
    label.className = "slider";
    label.append(text, input);
    controls.append(label);
    return () => {
      input.value = model.get(name);
      input.setAttribute("aria-valuetext", words(values[model.get(name)]));
      text.textContent = `${title}: ${words(values[model.get(name)])}`;
    };
  };
  controls.append(choice);
  const bitsWords = (b) => (b === null ? "full precision" : `${b} bits`);
  const sync = [
    slider("bit", "Bits", bits, bitsWords),
    slider("stop", "Data", tokens, (d) => `${millions(d)} tokens`),
  ];
  const put = (name, value) => {
    model.set(name, value); // which calls show
    model.save_changes();
  };

  // Means and runs of a way at the chosen bits; full precision is the same either way.
  const series = (way) => runs[way][model.get("bit")];

  function draw() {
    const width = Math.max(Math.floor(picture.clientWidth), 280);
    const height = Math.round(Math.min(Math.max(width * 0.62, 260), 420));
    const narrow = width < 480;
    const edge = { left: 46, right: narrow ? 14 : 134, top: 14, bottom: 42 };
    const x = (d) =>
      edge.left + ((Math.log(d) - Math.log(tokens[0])) / (Math.log(tokens.at(-1)) - Math.log(tokens[0]))) * (width - edge.left - edge.right);
    const y = (gap) => edge.top + ((top - gap) / (top - bottom)) * (height - edge.top - edge.bottom);
    const way = model.get("way"), stop = model.get("stop");
    const svg = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": answer.textContent });

    for (let gap = bottom; gap <= top + 1e-9; gap += 0.1) {
      svg.append(node("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(gap), y2: y(gap) }));
      svg.append(node("text", { x: edge.left - 8, y: y(gap) + 4, "text-anchor": "end" }, gap.toFixed(1)));
    }
    tokens.forEach((d, k) => {
      if (!narrow || k % 2 === 1)
        svg.append(node("text", { x: x(d), y: height - edge.bottom + 18, "text-anchor": "middle" }, millions(d)));
    });
    svg.append(node("text", { x: (edge.left + width - edge.right) / 2, y: height - 6, "text-anchor": "middle" }, "training tokens"));
    svg.append(node("text", { x: 12, y: (height - edge.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(height - edge.bottom) / 2})` }, "gap to the best possible [nats]"));

    const full = runs.trained[bits.indexOf(null)];
    const inside = (gap) => gap <= top;
    const line = (values, name, active) => {
      const means = values.map(mean);
      const seen = means.map((m, k) => [x(tokens[k]), y(m), inside(m)]);
      // a line that leaves the picture stops at its upper edge
      let path = "";
      seen.forEach(([px, py, ok], k) => {
        if (ok) path += `${path === "" || !seen[k - 1][2] ? "M" : "L"}${px.toFixed(1)} ${py.toFixed(1)}`;
        else if (k && seen[k - 1][2]) {
          const [qx, qy] = seen[k - 1];
          const share = (qy - edge.top) / (qy - py);
          path += `L${(qx + (px - qx) * share).toFixed(1)} ${edge.top}`;
        }
      });
      svg.append(node("path", { class: `${name}${active ? " active" : ""}`, d: path }));
      if (active)
        values.forEach((some, k) =>
          some.filter(inside).forEach((gap) => svg.append(node("circle", { class: name, cx: x(tokens[k]), cy: y(gap), r: 3 }))),
        );
      means.forEach((m, k) => {
        if (!inside(m) && active) {
          svg.append(node("path", { class: `${name} beyond`, d: `M${x(tokens[k]) - 5} ${edge.top + 9}l5 -8l5 8z` }));
          svg.append(node("text", { x: x(tokens[k]), y: edge.top + 22, "text-anchor": "middle" }, m.toFixed(2)));
        }
      });
      return means;
    };
    const other = way === "trained" ? "rounded" : "trained";
    const drawn = [["full", full, true]];
    if (bits[model.get("bit")] !== null) drawn.push([other, series(other), false], [way, series(way), true]);
    const b = bits[model.get("bit")];
    const names = { full: "full precision", trained: `trained in ${b} bits`, rounded: `rounded to ${b} bits` };
    const ends = drawn.map(([name, values, active]) => [name, line(values, name, active).at(-1)]);

    // names at the ends of the lines, moved apart where they would touch
    if (!narrow) {
      const labels = ends.map(([name, m]) => [name, y(Math.min(m, top))]).sort((a, b) => a[1] - b[1]);
      labels.forEach((label, k) => k && (label[1] = Math.max(label[1], labels[k - 1][1] + 16)));
      for (const [name, py] of labels)
        svg.append(node("text", { class: name, x: width - edge.right + 14, y: py + 4 }, names[name]));
    }
    const means = (bits[model.get("bit")] === null ? full : series(way)).map(mean);
    const least = means.indexOf(Math.min(...means));
    if (least < means.length - 1 && inside(means[least])) {
      const [px, py] = [x(tokens[least]), y(means[least])];
      svg.append(node("path", { class: "least", d: `M${px} ${py - 8}l7 8l-7 8l-7 -8z` }));
    }
    svg.append(node("circle", { class: "ring", cx: x(tokens[stop]), cy: y(Math.min(means[stop], top)), r: 9 }));
    picture.replaceChildren(svg);
  }

  function show() {
    for (const radio of radios) radio.checked = radio.value === model.get("way");
    sync.forEach((call) => call());
    answer.textContent = answers[model.get("way")][model.get("bit")][model.get("stop")];
    draw();
  }
  for (const name of ["way", "bit", "stop"]) model.on(`change:${name}`, show);
  const side = document.createElement("div");
  side.className = "side";
  side.append(answer, controls);
  box.append(picture, side);
  el.append(box);
  new ResizeObserver(() => draw()).observe(picture);
  show();
}

export default { render };
