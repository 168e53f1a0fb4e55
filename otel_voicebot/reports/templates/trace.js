
"use strict";
(() => {
  // The data is text: it is only ever put into the page as text nodes.
  const data = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("panel");
  const title = document.getElementById("panel-title");
  const list = document.getElementById("attributes");
  let chosen = null;

  const written = (key, value) => {
    if (key === "resource_attributes") value = JSON.parse(data.resources[value]);
    if (typeof value === "string") return value;
    return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
  };
  const tell = (name, text) => {
    const term = document.createElement("dt");
    const meaning = document.createElement("dd");
    term.textContent = name;
    meaning.textContent = text;
    list.append(term, meaning);
  };
  const spread = (key, value) => {
    // attributes one by one; what was withheld is said
    for (const [name, one] of Object.entries(value)) tell(name, one === null ? "(withheld)" : written("", one));
  };
  const show = (button) => {
    const span = data.spans[button.dataset.span];
    if (!span) return;
    close(false);
    chosen = button;
    chosen.setAttribute("aria-pressed", "true");
    title.textContent = span.name || "span";
    list.replaceChildren();
    for (const [key, value] of Object.entries(span)) {
      if (key === "attributes" || key === "attributes_typed") spread(key, value);
      else tell(key, written(key, value));
    }
    panel.hidden = false;
    panel.scrollTop = 0;
    title.focus();
  };
  const close = (back) => {
    panel.hidden = true;
    if (!chosen) return;
    chosen.removeAttribute("aria-pressed");
    if (back) chosen.focus();
    chosen = null;
  };
  const rows = () => [...document.querySelectorAll(".row")].filter((row) => row.checkVisibility());

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-span]");
    if (button) show(button);
    else if (event.target.closest("#close")) close(true);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) close(true);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !document.activeElement.matches(".row")) return;
    const all = rows();
    const next = all[all.indexOf(document.activeElement) + step];
    if (next) next.focus();
    event.preventDefault();
  });
  // a segment in the bar and its line in the list are lit together
  const light = (event, on) => {
    const part = event.target.closest("[data-segment]");
    if (!part) return;
    const card = part.closest(".turn");
    for (const one of card.querySelectorAll(`[data-segment="${CSS.escape(part.dataset.segment)}"]`)) one.classList.toggle("on", on);
  };
  document.addEventListener("mouseover", (event) => light(event, true));
  document.addEventListener("mouseout", (event) => light(event, false));
  // a link to a turn opens it
  const open = () => {
    const turn = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (turn && turn.matches("details")) turn.open = true;
  };
  window.addEventListener("hashchange", open);
  open();
})();
