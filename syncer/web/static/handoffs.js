/* Lets the time that is left run on. The server has written it in words; here the same words are said again. */
"use strict";
(() => {
  const units = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const language = document.documentElement.lang || "en";

  /* As the server rounds: a unit is taken from 1.2 of it on. */
  function span(seconds) {
    const [unit, length] = units.find(([, each]) => seconds / each >= 1.2) ?? units.at(-1);
    const words = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
    return words.format(Math.round(seconds / length));
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
