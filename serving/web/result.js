// The answer as a person reads it. Numbers are rounded here and nowhere else.

import { element } from "/static/form.js";

const SVG = "http://www.w3.org/2000/svg";
const ROUTES = { B: "basivertebral vein, to the canal", S: "segmental vein", C: "cortical defect", D: "disc" };
const CAUSES = { same: "same", adjacent: "adjacent", remote: "remote" }; // as vertebrae
const LEARNERS = { logistic: "logistic regression", cox: "Cox regression", boosted: "boosted trees" };
const WIDE = 720; // units of the wide drawings, about the pixels of a desktop column
const EXPLAINED = 1; // position of 12 months among the horizons

const percent = (risk) => `${(100 * risk).toFixed(risk < 0.0995 ? 1 : 0)} %`;
const range = ([low, high]) => `${(100 * low).toFixed(low < 0.0995 ? 1 : 0)} to ${percent(high)}`;
const points = (difference) => `${difference > 0 ? "+" : "−"}${Math.abs(100 * difference).toFixed(1)}`;
const pointsRange = ([low, high]) => `${points(low)} to ${points(high)}`;

function svg(width, height, label, ...children) {
  const made = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A scale from 0 to a round number, with interval, risk and the average patient. */
function gauge(risk, interval, average) {
  const top = [0.1, 0.2, 0.4, 0.6, 1].find((limit) => limit >= Math.max(interval[1], average) * 1.05) ?? 1;
  const width = WIDE - 20, x = (value) => 10 + (width * Math.min(value, top)) / top;
  const anchor = { 0: "start", 1: "end" };
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => shape("text", { x: x(share * top), y: 56, "text-anchor": anchor[share] ?? "middle", class: "soft" },
    `${String(+(100 * share * top).toFixed(1))} %`));
  return svg(WIDE, 62, `risk ${percent(risk)}, interval ${range(interval)}, average ${percent(average)}`,
    shape("rect", { x: 10, y: 24, width, height: 14, rx: 3, class: "track" }),
    shape("rect", { x: x(interval[0]), y: 24, width: Math.max(x(interval[1]) - x(interval[0]), 1), height: 14, class: "band" }),
    shape("rect", { x: x(risk) - 3, y: 19, width: 6, height: 24, rx: 2, class: "mark" }),
    shape("line", { x1: x(average), x2: x(average), y1: 15, y2: 43, class: "mean" }),
    shape("text", { x: Math.min(Math.max(x(average), 30), WIDE - 30), y: 11, "text-anchor": "middle", class: "soft" }, "average"),
    ...ticks);
}

function contributions(explanation) {
  const entries = explanation.contributions;
  const largest = Math.max(...entries.map((entry) => Math.abs(entry.contribution)), 0.01);
  const row = 22, middle = 510, reach = 190;
  const shapes = [shape("line", { x1: middle, x2: middle, y1: 0, y2: row * entries.length, class: "zero" })];
  entries.forEach((entry, index) => {
    const width = (reach * Math.abs(entry.contribution)) / largest, y = index * row;
    const up = entry.contribution > 0;
    shapes.push(shape("text", { x: 2, y: y + 15 }, entry.text.split(";")[0]));
    shapes.push(shape("rect", { x: up ? middle : middle - width, y: y + 4, width: Math.max(width, 0.5), height: row - 8, rx: 2, class: up ? "raises" : "lowers" }));
  });
  const words = entries.map((entry) => entry.text).join(". ");
  return svg(WIDE, row * entries.length, words, ...shapes);
}

function bars(entries) {
  const top = Math.max(...entries.map(([, value]) => value), 0.01), row = 24;
  return svg(420, row * entries.length, entries.map(([name, value]) => `${name} ${percent(value)}`).join(", "),
    ...entries.flatMap(([name, value], index) => [
      shape("text", { x: 0, y: index * row + 16 }, name),
      shape("rect", { x: 225, y: index * row + 5, width: Math.max((130 * value) / top, 1), height: row - 10, rx: 2, class: "bar" }),
      shape("text", { x: 418, y: index * row + 16, "text-anchor": "end" }, percent(value)),
    ]));
}

function table(caption, heads, rows) {
  const cells = (row) => row.map((cell, index) => element("td", { class: heads[index].startsWith("#") ? "number" : null }, cell));
  const made = element("table", {}, caption ? element("caption", {}, caption) : null,
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", class: head.startsWith("#") ? "number" : null }, head.replace("#", ""))))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))));
  return element("div", { class: "scroll" }, made);
}

const said = (value) => (value === null ? "unknown" : typeof value === "number" ? String(value) : String(value).replaceAll("_", " "));

function whatIf(entries, labels, at) {
  if (!entries.length) return [];
  const pick = (value) => (at === null ? value : value[at]);
  const rows = entries.map((entry) => [
    `${labels[entry.variable].label}: ${said(entry.from)} → ${said(entry.to)}${labels[entry.variable].unit ? ` ${labels[entry.variable].unit}` : ""}${at !== null && entry.level ? ` (${entry.level})` : ""}`,
    `${percent(pick(entry.risk))}`, range(pick(entry.interval)), points(pick(entry.difference)), pointsRange(pick(entry.difference_interval)),
    element("span", { class: `tag ${entry.evidence}` }, entry.evidence === "trial" ? "direction: trials" : "association only"),
  ]);
  return [element("h4", {}, "If the plan were another"),
    table("Every number here is an association in the data of this model's registry: patients with the other plan differed, and changing the plan need not change the risk by as much. Where trials are named, they support the direction of the change, not its size. None of this is advice.",
      ["Change", "#Risk", "#95 % interval", "#Points", "#95 % interval", "Evidence"], rows)];
}

function learners(byLearner, at) {
  return table("The other models of the same training, for comparison", ["Model", "#Risk"],
    Object.entries(byLearner).map(([name, risk]) => [LEARNERS[name] ?? name, percent(at === null ? risk : risk[at])]));
}

function big(risk, interval, average) {
  return element("p", { class: "big" }, element("strong", {}, percent(risk)),
    element("span", {}, `95 % interval ${range(interval)}; average patient ${percent(average)}`));
}

function leakageCard(one, labels) {
  const seen = one.detection === "CT" ? "on CT" : "on radiographs";
  return element("div", { class: "card" }, element("h3", {}, `Cement leakage at ${one.level}, as seen ${seen}`),
    big(one.risk, one.interval, one.average), gauge(one.risk, one.interval, one.average),
    element("div", { class: "two" },
      one.routes === null ? null
        : element("div", {}, element("h4", {}, "By route"), bars(Object.entries(one.routes).map(([r, v]) => [`${r} ${ROUTES[r]}`, v]))),
      element("div", {}, element("h4", {}, "By model"), learners(one.by_learner, null))),
    element("h4", {}, "What raises (red, right) and lowers (green, left) this risk"), contributions(one.explanation),
    ...whatIf(one.what_if, labels, null));
}

function refractureCard(found, labels) {
  const rows = found.horizons_months.map((months, i) => [`${months} months`, percent(found.risk[i]), range(found.interval[i]), percent(found.average[i]),
    ...Object.keys(CAUSES).map((cause) => percent(found.causes[cause][i])), percent(found.death[i])]);
  return element("div", { class: "card" }, element("h3", {}, "New vertebral fracture within 12 months"),
    big(found.risk[EXPLAINED], found.interval[EXPLAINED], found.average[EXPLAINED]),
    gauge(found.risk[EXPLAINED], found.interval[EXPLAINED], found.average[EXPLAINED]),
    table("", ["Within", "#Risk", "#95 % interval", "#Average", ...Object.values(CAUSES).map((c) => `#${c}`), "#Death"], rows),
    element("p", { class: "small" }, "Same, adjacent and remote vertebra add up to the risk; death is dying before any new fracture."),
    element("h4", {}, "What raises (red, right) and lowers (green, left) this risk"), contributions(found.explanation),
    ...whatIf(found.what_if, labels, EXPLAINED),
    element("h4", {}, "By model, 12 months"), learners(found.by_learner, EXPLAINED));
}

function missingCard(entries, labels) {
  if (!entries.length) return null;
  const where = (entry) => (entry.outcome === "leakage" ? "leakage" : "fracture, 12 months") + (entry.level ? ` (${entry.level})` : "");
  const sorted = [...entries].sort((a, b) => b.highest_risk - b.lowest_risk - (a.highest_risk - a.lowest_risk));
  return element("div", { class: "card" }, element("h3", {}, "What is not known, and how much it could matter"),
    table("The risk over all plausible values of each variable, the others as they are", ["Variable", "Risk of", "#Lowest", "#Highest"],
      sorted.map((entry) => [labels[entry.variable].label, where(entry), percent(entry.lowest_risk), percent(entry.highest_risk)])));
}

export function show(host, answer, labels) {
  const cards = (answer.leakage ?? []).map((one) => leakageCard(one, labels));
  if (answer.refracture) cards.push(refractureCard(answer.refracture, labels));
  cards.push(missingCard(answer.missing, labels));
  if (answer.warnings.length) {
    cards.push(element("div", { class: "card" }, element("h3", {}, "Please note"),
      element("ul", { class: "plain" }, ...answer.warnings.map((w) => element("li", {}, `${w.level ? `${w.level}, ` : ""}${w.detail}`)))));
  }
  const models = Object.values(answer.models).map((m) => `${m.name} version ${m.version} (${LEARNERS[m.learner] ?? m.learner})`).join("; ");
  cards.push(element("p", { class: "small" }, `${answer.notice} Answered ${answer.answered_at} by ${models}.`));
  host.replaceChildren(...cards.filter((card) => card !== null));
}
