// The drawings of an answer. Each says in words what it shows, and none tells anything by colour alone.

import { drawing, element, shape, strip } from "/static/dom.js";
import { percent } from "/static/language.js";

const WIDE = 340; // units of a drawing, about the pixels of a phone
const tops = [0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1];
const topOf = (value) => tops.find((top) => top >= value) ?? 1;

/** A scale from 0 with interval, risk and the average patient. */
export function gauge(words, risk, interval, average) {
  const top = topOf(Math.max(interval[1], average) * 1.05), width = WIDE - 24;
  const x = (value) => 10 + (width * Math.min(value, top)) / top;
  const said = words.say("gauge", { risk: percent(risk), low: percent(interval[0]), high: percent(interval[1]), average: percent(average) });
  const ticks = [0, 0.5, 1].map((share) => shape("text", { x: x(share * top), y: 66, class: "soft",
    "text-anchor": ["start", "middle", "end"][2 * share] }, percent(share * top).replace(".0%", "%")));
  const caption = shape("text", { x: Math.min(Math.max(x(average), 52), WIDE - 52), y: 12, "text-anchor": "middle", class: "soft" }, words.say("average", { risk: percent(average) }));
  return drawing(WIDE, 72, said,
    shape("rect", { x: 10, y: 30, width, height: 14, rx: 3, class: "track" }),
    shape("rect", { x: x(interval[0]), y: 30, width: Math.max(x(interval[1]) - x(interval[0]), 1), height: 14, class: "band" }),
    shape("line", { x1: x(average), x2: x(average), y1: 17, y2: 50, class: "mean" }),
    shape("rect", { x: x(risk) - 3, y: 25, width: 6, height: 24, rx: 2, class: "mark" }), caption, ticks);
}

/** A hundred patients; ``kinds``: [class, how many] from the first on, the rest unharmed. */
export function icons(said, kinds) {
  const marks = kinds.flatMap(([kind, count]) => Array(count).fill(kind));
  const figures = Array.from({ length: 100 }, (_, index) => figure(14 * (index % 20), 22 * Math.floor(index / 20), marks[index] ?? "well"));
  return drawing(280, 110, said, figures);
}

function figure(x, y, kind) {
  const whole = shape("g", { class: `figure ${kind}`, transform: `translate(${x} ${y})` },
    shape("circle", { cx: 7, cy: 4.6, r: 2.6 }), shape("path", { d: "M3 19 v-7 a4 4 0 0 1 8 0 v7 z" }));
  if (kind === "death") whole.append(shape("path", { d: "M3 4 L11 18 M11 4 L3 18", class: "cross" }));
  return whole;
}

/** Cumulative incidence at the horizons of the answer, from 0 at the start. */
export function curve(words, found) {
  const months = [0, ...found.horizons_months], last = months.at(-1);
  const top = topOf(Math.max(...found.interval.map((pair) => pair[1]), ...found.death, ...found.average) * 1.05);
  const x = (month) => 34 + (254 * month) / last, y = (risk) => 150 - (130 * Math.min(risk, top)) / top;
  const path = (risks) => [0, ...risks].map((risk, i) => `${i ? "L" : "M"}${x(months[i])} ${y(risk)}`).join(" ");
  const low = found.interval.map((pair) => pair[0]), high = found.interval.map((pair) => pair[1]);
  const band = `${path(high)} ${[...low].reverse().map((risk, i) => `L${x(months[months.length - 1 - i])} ${y(risk)}`).join(" ")} Z`;
  const grid = [0, 0.5, 1].flatMap((share) => [
    shape("line", { x1: 34, x2: 288, y1: y(share * top), y2: y(share * top), class: "grid-line" }),
    shape("text", { x: 30, y: y(share * top) + 4, "text-anchor": "end", class: "soft" }, percent(share * top).replace(".0%", "%"))]);
  const labels = found.risk.map((risk, i) => shape("text", { x: x(months[i + 1]), y: y(high[i]) - 6, "text-anchor": "middle", class: "strong" }, percent(risk)));
  const ends = apart([["line-own", found.risk, "curve.own"], ["line-average", found.average, "curve.average"], ["line-death", found.death, "curve.death"]]
    .map(([kind, risks, key]) => ({ kind, key, y: y(risks.at(-1)) + 4 })));
  return drawing(WIDE, 184, words.say("curve.words", { list: found.horizons_months.map((month, i) => words.say("curve.word",
    { months: month, risk: percent(found.risk[i]), average: percent(found.average[i]), death: percent(found.death[i]) })).join(words.say("list.and")) }),
    grid, shape("path", { d: band, class: "band" }),
    shape("path", { d: path(found.death), class: "line-death" }), shape("path", { d: path(found.average), class: "line-average" }),
    shape("path", { d: path(found.risk), class: "line-own" }),
    found.risk.map((risk, i) => shape("circle", { cx: x(months[i + 1]), cy: y(risk), r: 3.5, class: "mark" })), labels,
    ends.map((end) => shape("text", { x: 293, y: end.y, class: "soft" }, words.say(end.key))),
    months.map((month) => shape("text", { x: x(month), y: 166, "text-anchor": "middle", class: "soft" }, String(month))),
    shape("text", { x: 161, y: 181, "text-anchor": "middle", class: "soft" }, words.say("curve.axis")));
}

/** Labels at their height, moved until none covers another. */
function apart(labels) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  sorted.forEach((label, i) => { if (i) label.y = Math.max(label.y, sorted[i - 1].y + 13); });
  const over = sorted.at(-1).y - 154;
  if (over > 0) sorted.forEach((label) => { label.y -= over; });
  return sorted;
}

/** Rows of a name, a bar and a number. */
export function bars(entries, top) {
  return element("ul", { class: "rows" }, entries.map(([name, value]) => element("li", {},
    element("span", {}, name), strip(
      shape("rect", { x: 0, y: 1, width: 100, height: 10, class: "track" }),
      shape("rect", { x: 0, y: 1, width: Math.max((100 * value) / top, 0.5), height: 10, class: "bar" })),
    element("b", {}, percent(value)))));
}

/** What raises and what lowers a risk: to the right with an upward sign, to the left with a downward one. */
export function contributions(words, explanation) {
  const entries = explanation.contributions;
  const largest = Math.max(...entries.map((entry) => Math.abs(entry.contribution)), 0.01);
  return element("ol", { class: "rows why" }, entries.map((entry) => {
    const up = entry.contribution > 0, hardly = Math.abs(entry.contribution) < 0.01; // as the service words it
    const width = (50 * Math.abs(entry.contribution)) / largest;
    const effect = words.say(hardly ? "hardly" : up ? "raises" : "lowers");
    const size = Math.abs(entry.contribution).toFixed(2), sign = Number(size) === 0 ? "" : up ? "+" : "−";
    return element("li", {}, element("span", {}, words.reason(entry)),
      strip(shape("line", { x1: 50, x2: 50, y1: 0, y2: 12, class: "zero", "vector-effect": "non-scaling-stroke" }),
        shape("rect", { x: up ? 50 : 50 - width, y: 1, width: Math.max(width, 0.5), height: 10, class: up ? "raises" : "lowers" })),
      element("b", {}, element("span", { class: "unseen" }, `${effect} `),
        `${hardly ? "" : up ? "▲" : "▼"} ${sign}${size}`));
  }));
}

/** From the lowest to the highest risk that an unknown could bring, with the risk as it is. */
export function spans(words, entries) {
  const top = topOf(Math.max(...entries.map((entry) => entry.high)));
  return element("ul", { class: "rows spans" }, entries.map((entry) => element("li", {}, element("span", {}, entry.name),
    strip(shape("rect", { x: 0, y: 4, width: 100, height: 4, class: "track" }),
      shape("rect", { x: (100 * entry.low) / top, y: 2, width: Math.max((100 * (entry.high - entry.low)) / top, 0.8), height: 8, class: "span" }),
      shape("rect", { x: (100 * entry.now) / top - 0.7, y: 0, width: 1.4, height: 12, class: "mark" })),
    element("b", {}, words.say("range", { low: percent(entry.low), high: percent(entry.high) })))));
}
