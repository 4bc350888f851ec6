/* What the pages cannot do without a script: charts. A [data-chart] holds the options of a chart as JSON; its numbers
   stand in a table beside it, for whoever does not see it. Nothing here builds HTML. */
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  function ink() {
    const probe = document.createElement("span");
    document.body.append(probe);
    const found = {};
    for (const name of ["ink", "soft", "line", "paper", "cold", "iql", "mql", "sql", "other", "good", "bad", "warn", "link"]) {
      probe.style.color = `var(--${name})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return found;
  }

  /* "@sql" in the options is a colour of the sheet, which is another one in the dark. */
  function coloured(value, inks) {
    if (typeof value === "string") return value.startsWith("@") ? inks[value.slice(1)] ?? value : value;
    if (Array.isArray(value)) return value.map((each) => coloured(each, inks));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, inks)]));
    }
    return value;
  }

  /* Numbers as the page's language writes them. */
  function spelled(options) {
    const numbers = new Intl.NumberFormat(document.documentElement.lang);
    const spell = (value) => (typeof value === "number" ? numbers.format(value) : value);
    for (const axis of [options.xAxis, options.yAxis].flat()) {
      if (axis?.type === "value") axis.axisLabel = { formatter: spell, ...axis.axisLabel };
    }
    if (options.tooltip) options.tooltip = { valueFormatter: spell, ...options.tooltip };
    return options;
  }

  function draw(place) {
    if (!window.echarts) return;
    const inks = ink();
    drawn.get(place)?.dispose();
    const chart = window.echarts.init(place, null, { renderer: "svg" });
    chart.setOption({
      animation: false,
      textStyle: { color: inks.ink, fontFamily: "inherit" },
      ...spelled(coloured(JSON.parse(place.dataset.chart), inks)),
    });
    drawn.set(place, chart);
  }

  function drawAll(root) {
    for (const [place, chart] of drawn) {
      if (!place.isConnected) { chart.dispose(); drawn.delete(place); }
    }
    for (const place of root.querySelectorAll("[data-chart]")) if (!drawn.has(place)) draw(place);
  }

  addEventListener("DOMContentLoaded", () => drawAll(document));
  document.addEventListener("htmx:after:swap", () => drawAll(document));
  addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  dark.addEventListener("change", () => drawn.forEach((_, place) => draw(place)));
})();
