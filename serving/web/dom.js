// Making elements. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An element of a drawing. */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** A drawing that says in words what it shows; without words it is left out of what a screen reader reads. */
export function drawing(width, height, words, ...children) {
  const named = words ? { role: "img", "aria-label": words } : { "aria-hidden": "true" };
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", ...named }, ...children);
}

/** A bar of a row, as wide as there is room; the row says the same in words. */
export function strip(...children) {
  return shape("svg", { viewBox: "0 0 100 12", class: "chart strip", preserveAspectRatio: "none", "aria-hidden": "true" }, ...children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function details(title, ...children) {
  return element("details", {}, element("summary", {}, title), ...children);
}

/** A table; a head that begins with # is of a column of numbers. The first cell of a row names the row. */
export function table(caption, heads, rows) {
  const side = (head) => (head.startsWith("#") ? "number" : null);
  const cell = (found, i) => i === 0 ? element("th", { scope: "row" }, found) : element("td", { class: side(heads[i]) }, found);
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    element("table", {}, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col", class: side(head) }, head.replace("#", ""))))),
      element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell))))));
}
