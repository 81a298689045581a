// Draws the charts (Vega-Lite) and widgets of the book. No request leaves this site; nothing is evaluated.
(() => {
  "use strict";
  const assets = new URL(".", document.currentScript.src);
  const dark = () => document.documentElement.dataset.theme === "dark";

  // Scripts come in by tags, which also work for a page opened from a folder (modules do not).
  const loading = {};
  const load = (name) =>
    (loading[name] ??= new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = new URL(`vendor/${name}.js`, assets);
      tag.onload = resolve;
      tag.onerror = () => reject(new Error(`vendor/${name}.js is missing: run make book`));
      document.head.append(tag);
    }));

  const merge = (base, over) => {
    const out = { ...base };
    for (const [key, value] of Object.entries(over))
      out[key] = value && typeof value === "object" && !Array.isArray(value) ? merge(base?.[key] ?? {}, value) : value;
    return out;
  };
  const colors = (ink, faint, line) => ({
    background: "transparent",
    view: { stroke: line },
    title: { color: ink, subtitleColor: ink },
    axis: { labelColor: ink, titleColor: ink, gridColor: faint, domainColor: line, tickColor: line },
    legend: { labelColor: ink, titleColor: ink, symbolBaseFillColor: ink, symbolBaseStrokeColor: ink },
    header: { labelColor: ink, titleColor: ink },
    style: { ink: { color: ink }, faint: { color: line } },
  });
  const LIGHT = colors("#1d2430", "#e3e6ea", "#9aa3ad");
  const DARK = colors("#e4e8ee", "#343b45", "#6d7782");

  // Vega-Lite stretches single views to their container; rows of views get their width here.
  const fit = (spec, width) => {
    if (spec.vconcat) return { ...spec, vconcat: spec.vconcat.map((part) => ({ ...part, width: width - 66 })) };
    return { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } };
  };

  const draw = async (figure) => {
    const canvas = figure.querySelector(".ps-canvas");
    const width = Math.floor(canvas.getBoundingClientRect().width);
    const state = `${dark()} ${width}`;
    if (!width || figure.dataset.state === state) return;
    figure.dataset.state = state;
    await load("vega"); // when the first chart comes near the screen
    const spec = JSON.parse(figure.querySelector("script").textContent);
    // Moved sliders keep their place when the page changes its colors or width.
    for (const param of spec.params ?? [])
      if (figure.view && "bind" in param && "value" in param) param.value = figure.view.signal(param.name);
    spec.config = merge(spec.config ?? {}, dark() ? DARK : LIGHT);
    figure.view?.finalize();
    const { view } = await window.vegaEmbed(canvas, fit(spec, width), { mode: "vega-lite", actions: false, ast: true, renderer: "svg" });
    figure.view = view;
    figure.dataset.drawn = "yes";
  };

  const start = async (box) => {
    await load(`widgets/${box.dataset.module}`);
    const state = JSON.parse(box.querySelector("script").textContent);
    const listeners = {};
    // The part of anywidget's model that our widgets use, so that one file serves the page and JupyterLab.
    const model = {
      get: (name) => state[name],
      set: (name, value) => {
        state[name] = value;
        (listeners[`change:${name}`] ?? []).forEach((call) => call());
      },
      on: (name, call) => (listeners[name] ??= []).push(call),
      save_changes: () => {},
    };
    const el = document.createElement("div");
    await window.precsim[box.dataset.module].render({ model, el });
    box.querySelector(".ps-static").replaceWith(el);
    box.dataset.drawn = "yes";
  };

  const figures = [...document.querySelectorAll(".ps-chart")];
  const near = new IntersectionObserver(
    (entries) =>
      entries.forEach(({ isIntersecting, target }) => {
        if (!isIntersecting) return;
        near.unobserve(target);
        target.dataset.seen = "yes";
        draw(target);
      }),
    { rootMargin: "600px" },
  );
  figures.forEach((figure) => near.observe(figure));
  document.querySelectorAll(".ps-widget").forEach(start);

  let waiting;
  const redraw = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => figures.filter((f) => f.dataset.seen).forEach(draw), 120);
  };
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  window.addEventListener("resize", redraw);
  const all = () => figures.forEach((f) => { f.dataset.seen = "yes"; draw(f); });
  window.addEventListener("beforeprint", all);

  // What the theme leaves to do for keyboards and screen readers: tables and formulas that scroll take the focus, and
  // those that fit do not; the entries of the bibliography are items of its list, and the search button has one name.
  const scrolls = new ResizeObserver((seen) => {
    for (const { target } of seen)
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
  });
  for (const table of document.querySelectorAll("article table")) {
    const box = document.createElement("div");
    box.className = "ps-scroll";
    table.replaceWith(box);
    box.append(table);
    scrolls.observe(box);
  }
  window.addEventListener("load", async () => {
    await window.MathJax?.startup?.promise; // absent where a page has no formula
    document.querySelectorAll('mjx-container[display="true"]').forEach((formula) => scrolls.observe(formula));
  });
  document.querySelectorAll('.citation[role="doc-biblioentry"]').forEach((entry) => entry.setAttribute("role", "listitem"));
  document.querySelectorAll(".search-button__button").forEach((b) => b.setAttribute("aria-label", b.textContent.trim() || "Search"));
})();
