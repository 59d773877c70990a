// The nomogram of each released model, fetched when it is opened.

import { details, element } from "/static/dom.js";
import { getText } from "/static/service.js";

const SVG_TYPE = "image/svg+xml";

export function nomograms(words, models, refused) {
  return Object.entries(models).map(([outcome, model]) => {
    const place = element("div", { class: "nomogram" }, element("p", { class: "small" }, words.say("loading")));
    const made = details(words.say(`nomogram.${outcome}`), place);
    made.classList.add("card");
    made.addEventListener("toggle", () => { if (made.open && !place.querySelector("img")) load(words, outcome, model, place, refused); });
    return made;
  });
}

async function load(words, outcome, model, place, refused) {
  try {
    const text = spoken(await getText(`/v1/nomogram/${outcome}`), words, model);
    const source = `data:${SVG_TYPE};charset=utf-8,${encodeURIComponent(text)}`; // the policy of the page lets no other inline picture in
    const picture = element("img", { src: source, alt: words.say("nomogram.alt", { outcome: words.say(`nomogram.${outcome}`) }) });
    const save = element("a", { href: source, download: `nomogram_${outcome}.svg` }, words.say("nomogram.save"));
    place.replaceChildren(element("p", { class: "small" }, words.say("nomogram.note"), " ", save), picture);
  } catch (error) {
    place.replaceChildren(element("p", { class: "fault" }, refused(error)));
  }
}

/** The picture with its words in the language of the page; it comes in English, each group under the name of its column. */
function spoken(text, words, model) {
  if (words.english) return text;
  const picture = new DOMParser().parseFromString(text, SVG_TYPE);
  const notice = words.notice(model.data_status, model.notice, [model.release]);
  const say = (english) => (english === model.notice ? notice : words.drawn(english));
  for (const group of picture.querySelectorAll("g")) {
    const rows = [...group.querySelectorAll("text")], left = rows.filter((row) => row.getAttribute("text-anchor") === "start");
    for (const row of rows.filter((one) => !left.includes(one))) row.textContent = tick(words, group, row.textContent);
    if (group.dataset.name === "notes") sentences(left, say);
    else if (group.getAttribute("class") === "predictor") rename(left, axisName(words, group.dataset.name, joined(left)));
    else rename(left, say(joined(left)));
  }
  for (const part of picture.querySelectorAll("title, desc")) part.remove(); // the page's own text says it
  return new XMLSerializer().serializeToString(picture);
}

const joined = (rows) => rows.map((row) => row.textContent).join(" ");

/** Words at a line are choices of its variable; numbers and codes stay. */
function tick(words, group, text) {
  if (text === "yes" || text === "no") return words.say(text);
  const choice = words.choice(group.dataset.name, text);
  return choice === text ? words.drawn(text) : choice;
}

/** The variable with its unit, and how the vertebrae of a patient are taken together. */
function axisName(words, column, english) {
  if (english.startsWith("(")) return words.drawn(english); // continued from the line above
  const pooled = /, ([a-z ]+?)(?: \(|$)/.exec(english);
  return words.label(column) + (pooled ? `${words.say("list.next")}${words.drawn(pooled[1])}` : "") + (words.unit(column) ? ` (${words.unit(column)})` : "");
}

/** One text in the middle of where its rows stood. */
function rename(rows, text) {
  if (!rows.length) return;
  const middle = rows.reduce((sum, row) => sum + Number(row.getAttribute("y")), 0) / rows.length;
  rows.forEach((row, i) => { row.textContent = i ? "" : text; });
  rows[0].setAttribute("y", String(middle));
}

/** Sentences run over several rows: rows are joined until they make one that has words in this language. */
function sentences(rows, say) {
  let begun = [];
  for (const row of rows) {
    begun.push(row);
    const english = joined(begun), own = say(english);
    if (own === english) continue;
    begun.forEach((one, i) => { one.textContent = i ? "" : own; });
    begun = [];
  }
}
