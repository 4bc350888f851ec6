/* Sliders beside the numbers, which work without them; and only what is changed goes into the address. */
"use strict";
(() => {
  const same = (field) => field.value !== "" && Number(field.value) === Number(field.dataset.now);
  const mark = (field) => field.closest(".dial").classList.toggle("changed", !same(field));
  const fields = () => document.querySelectorAll(".dials input[data-now]");

  function begin() {
    for (const slider of document.querySelectorAll("[data-slider]")) slider.hidden = false;
    fields().forEach(mark);
  }

  function follow(event) {
    const moved = event.target;
    if (moved.dataset?.slider) {
      const field = document.getElementById(moved.dataset.slider);
      field.value = moved.value;
      mark(field);
    } else if (moved.dataset?.now !== undefined) {
      moved.closest(".dial").querySelector("[data-slider]").value = moved.value;
      mark(moved);
    }
  }

  /* What is wrong with a number stands beside it as well. */
  function tell() {
    const wrong = new Map();
    for (const each of document.querySelectorAll("#result [data-wrong]")) wrong.set(each.dataset.wrong, each.dataset.why);
    for (const place of document.querySelectorAll(".dials [data-problem]")) {
      const why = wrong.get(place.dataset.problem) ?? "";
      place.textContent = why;
      place.hidden = !why;
      const field = place.closest(".dial").querySelector("input[data-now]");
      if (why) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  addEventListener("DOMContentLoaded", begin);
  document.addEventListener("input", follow);
  document.addEventListener("htmx:after:swap", tell);
  document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("input[data-now]")) {
      if (same(field)) event.formData.delete(field.name);
    }
  });
})();
