// The nomogram of each released model, fetched when it is opened.

import { details, element } from "/static/dom.js";
import { getText } from "/static/service.js";

export function nomograms(words, outcomes, refused) {
  return outcomes.map((outcome) => {
    const place = element("div", { class: "nomogram" }, element("p", { class: "small" }, words.say("loading")));
    const made = details(words.say(`nomogram.${outcome}`), place);
    made.classList.add("card");
    made.addEventListener("toggle", () => { if (made.open && !place.querySelector("img")) load(words, outcome, place, refused); });
    return made;
  });
}

async function load(words, outcome, place, refused) {
  try {
    const text = await getText(`/v1/nomogram/${outcome}`);
    const source = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`; // the policy of the page lets no other inline picture in
    const picture = element("img", { src: source, alt: words.say("nomogram.alt", { outcome: words.say(`nomogram.${outcome}`) }) });
    const save = element("a", { href: source, download: `nomogram_${outcome}.svg` }, words.say("nomogram.save"));
    place.replaceChildren(element("p", { class: "small" }, words.say("nomogram.note"), " ", save), picture);
  } catch (error) {
    place.replaceChildren(element("p", { class: "fault" }, refused(error)));
  }
}
