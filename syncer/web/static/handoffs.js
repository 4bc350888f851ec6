/* Lets the time that is left run on. The server has written it in words; here the same words are said again. */
"use strict";
(() => {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const language = document.documentElement.lang || "en";

  /* As the server says it: from two of a unit on, rounded down. */
  function span(seconds) {
    const [unit, length] = units.find(([, each]) => seconds >= 2 * each) ?? units.at(-1);
    const words = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
    return words.format(Math.floor(seconds / length));
  }

  /* By the server's clock, which may not be ours. */
  const list = document.querySelector("[data-now]");
  const ahead = list ? Date.now() - Date.parse(list.dataset.now) : 0;

  function tick() {
    for (const place of document.querySelectorAll("time.due")) {
      const left = (Date.parse(place.dateTime) - Date.now() + ahead) / 1000;
      const words = left < 0 ? place.dataset.late : place.dataset.left;
      const text = words.replace("{span}", span(Math.abs(left)));
      if (place.textContent !== text) place.textContent = text;
      place.classList.toggle("bad", left < 0);
    }
  }

  setInterval(tick, 1000);
})();
