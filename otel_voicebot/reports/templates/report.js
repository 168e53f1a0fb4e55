"use strict";
// Draws each figure with the colours of the page's style, and again when light becomes dark.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const style = () => getComputedStyle(document.documentElement);

  function coloured(value, colours, key) {
    if (Array.isArray(value)) return value.map((item) => coloured(item, colours, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, colours, name)]));
    }
    const named = key === "color" && typeof value === "string" && value.startsWith("--");
    return named ? colours.getPropertyValue(value).trim() : value;
  }

  function dressed(layout, colours) {
    const of = (name) => colours.getPropertyValue(name).trim();
    const axis = { gridcolor: of("--line"), linecolor: of("--line"), zerolinecolor: of("--line"), tickcolor: of("--line") };
    for (const name of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) Object.assign(layout[name], axis);
    return Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: of("--quiet"), size: 12, family: getComputedStyle(document.body).fontFamily },
      hoverlabel: { bgcolor: of("--card"), bordercolor: of("--guide"), font: { color: of("--ink") } },
    });
  }

  function draw() {
    const colours = style();
    for (const place of document.querySelectorAll(".chart")) {
      const figure = coloured(figures[place.id], colours);
      const layout = dressed(figure.layout, colours);
      layout.height = Number(place.dataset.height);
      Plotly.react(place, figure.data, layout, { displayModeBar: false, responsive: true, doubleClick: false });
    }
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
