/* What all pages need a script for: charts, and parts of a page that htmx asks for. Nothing here builds HTML. */
"use strict";

/* A [data-chart] holds the options of a chart as JSON; its numbers stand in a table beside it, for whoever does not see
   it. */
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

/* Where a part cannot be had, the page stays as it is (`noSwap` in base.html.j2), and #trouble says what went wrong. */
(() => {
  const againMs = 5000, leavingMs = 1000;
  let missing = null; // the id of the part that could not be had

  const comesByItself = (ctx) => ctx.sourceElement.matches("[hx-trigger^='load']");
  const mayPass = (ctx) => !ctx.response || ctx.response.status >= 500 || ctx.response.status === 429;

  function askAgain(ctx) {
    const place = ctx.sourceElement;
    setTimeout(() => place.isConnected && htmx.ajax("GET", place.getAttribute("hx-get"), { source: place }), againMs);
  }

  function tell(ctx, said) {
    const place = document.getElementById("trouble"), again = comesByItself(ctx) && mayPass(ctx);
    missing = ctx.target?.id;
    place.textContent = again ? place.dataset.again : said || place.dataset.later;
    place.hidden = false;
    if (again) askAgain(ctx);
  }

  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.hx.redirect) return;
    if (ctx.request.headers["HX-History-Restore-Request"]) return location.reload();
    ctx.push = ctx.replace = null; // the address stays that of what is shown
    const page = new DOMParser().parseFromString(ctx.text, "text/html");
    tell(ctx, page.getElementById("problem")?.textContent.trim());
  });
  /* No answer at all. Somebody who is just leaving the page need not read of it. */
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (ctx) setTimeout(() => tell(ctx), leavingMs);
  });
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    if (ctx.response.status < 400 && ctx.target?.id === missing) document.getElementById("trouble").hidden = true;
  });
})();

/* Who stood in a part that is replaced goes on at what came in its place: at its first [tabindex="-1"]. */
(() => {
  let inside = false;

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    inside = ctx.swap !== "none" && ctx.target.contains(document.activeElement);
  });
  document.addEventListener("htmx:after:swap", ({ target }) => {
    if (inside && document.activeElement === document.body) target.querySelector?.('[tabindex="-1"]')?.focus();
    inside = false;
  });
})();

/* Whoever changes the language stays where htmx has brought them since the page was opened. */
document.addEventListener("submit", ({ target }) => {
  if (target.matches('[action="/language"]')) target.elements.to.value = location.pathname + location.search;
});
