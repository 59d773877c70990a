// The answer as a person reads it. Numbers are rounded here and in the drawings, and nowhere else.

import { bars, contributions, curve, gauge, icons, spans } from "/static/charts.js";
import { details, element, table } from "/static/dom.js";
import { percent, points } from "/static/language.js";

export const EXPLAINED = 1; // position of 12 months among the horizons
const HORIZON_OF_NUMBER = { leakage: null, refracture: EXPLAINED };
const ROUTES_SHOWN = ["B", "S", "C", "D"];

const range = (words, [low, high]) => words.say("range", { low: percent(low), high: percent(high) });
export const pointsRange = (words, [low, high]) => words.say("range", { low: points(low), high: points(high) });

export function leakTitle(words, one) {
  return words.say(one.detection === "CT" ? "leak.ct" : "leak.radiograph", { level: one.level });
}

export function fractureTitle(words, found) {
  return words.say("fracture", { months: found.horizons_months[EXPLAINED] });
}

/** The number with its interval, beside that of the average patient. */
function headline(words, risk, interval, average) {
  return element("p", { class: "big" }, element("strong", {}, percent(risk)),
    element("span", {}, words.say("headline", { low: percent(interval[0]), high: percent(interval[1]), average: percent(average) })));
}

/** A hundred patients like this one, beside a hundred average ones. */
function hundreds(words, event, risk, average, death = null) {
  const one = (title, share, dying) => {
    const count = Math.round(100 * share), dead = dying === null ? 0 : Math.min(Math.round(100 * dying), 100 - count);
    const said = words.say(dying === null ? "icons.leak" : "icons.fracture", { count, dead, rest: 100 - count - dead, event: words.say(event) });
    return element("figure", {}, element("figcaption", {}, element("b", {}, title), " ", said),
      icons(said, [["event", count], ["death", dead]]));
  };
  return element("div", { class: "two hundreds" }, one(words.say("icons.own"), risk, death), one(words.say("icons.average"), average, null));
}

function why(words, explanation) {
  return [element("h4", {}, words.say("why")), contributions(words, explanation),
    element("p", { class: "small" }, words.say(`scale.${explanation.scale}`))];
}

function whatIf(words, entries, horizon) {
  if (!entries.length) return null;
  const pick = (value) => (horizon === null ? value : value[horizon]);
  const rows = entries.map((entry) => [
    `${words.label(entry.variable)}${horizon !== null && entry.level ? ` (${entry.level})` : ""}${words.say("colon")}${words.value(entry.variable, entry.from)} → ${words.value(entry.variable, entry.to)}`,
    percent(pick(entry.risk)), range(words, pick(entry.interval)), points(pick(entry.difference)), pointsRange(words, pick(entry.difference_interval)),
    evidenceTag(words, entry.evidence)]);
  return details(words.say("whatif"), table(words.say("whatif.caption"),
    ["change", "#risk", "#interval", "#points", "#interval", "evidence"].map((key) => heading(words, key)), rows));
}

const heading = (words, key) => (key.startsWith("#") ? `#${words.say(`head.${key.slice(1)}`)}` : words.say(`head.${key}`));

/** What stands behind a change of plan; an icon beside the words, so that colour is not needed. */
export function evidenceTag(words, evidence, said = words.say(`evidence.${evidence}`)) {
  return element("span", { class: `tag ${evidence}` }, `${evidence === "trial" ? "◆" : "○"} ${said}`);
}

function learners(words, byLearner, horizon) {
  const rows = Object.entries(byLearner).map(([name, risk]) => [words.say(`learner.${name}`), percent(horizon === null ? risk : risk[horizon])]);
  return details(words.say("learners"), table(words.say("learners.caption"), [heading(words, "model"), heading(words, "#risk")], rows));
}

function leakageCard(words, one) {
  const routes = one.routes === null ? null : ROUTES_SHOWN.map((route) => [`${route} ${words.say(`route.${route}`)}`, one.routes[route]]);
  return element("article", { class: "card", "data-card": one.level }, element("h3", {}, leakTitle(words, one)),
    headline(words, one.risk, one.interval, one.average), gauge(words, one.risk, one.interval, one.average),
    hundreds(words, "event.leak", one.risk, one.average),
    routes && element("h4", {}, words.say("routes")), routes && bars(routes, Math.max(one.risk, 0.01)),
    routes && element("p", { class: "small" }, words.say("routes.note")),
    ...why(words, one.explanation), whatIf(words, one.what_if, HORIZON_OF_NUMBER.leakage), learners(words, one.by_learner, null));
}

function refractureCard(words, found) {
  const rows = found.horizons_months.map((months, i) => [words.say("months", { months }), percent(found.risk[i]), range(words, found.interval[i]),
    percent(found.average[i]), ...["same", "adjacent", "remote"].map((cause) => percent(found.causes[cause][i])), percent(found.death[i])]);
  const causes = ["same", "adjacent", "remote"].map((cause) => [words.say(`cause.${cause}`), found.causes[cause][EXPLAINED]]);
  return element("article", { class: "card", "data-card": "refracture" }, element("h3", {}, fractureTitle(words, found)),
    headline(words, found.risk[EXPLAINED], found.interval[EXPLAINED], found.average[EXPLAINED]),
    gauge(words, found.risk[EXPLAINED], found.interval[EXPLAINED], found.average[EXPLAINED]),
    hundreds(words, "event.fracture", found.risk[EXPLAINED], found.average[EXPLAINED], found.death[EXPLAINED]),
    found.landmark_day ? element("p", { class: "small" }, words.say("landmark", { days: found.landmark_day })) : null,
    element("h4", {}, words.say("curve")), element("div", { class: "curve" }, curve(words, found)),
    element("p", { class: "small" }, words.say("curve.note")),
    table(words.say("fracture.table"), ["within", "#risk", "#interval", "#average", "#same", "#adjacent", "#remote", "#death"].map((key) => heading(words, key)), rows),
    element("h4", {}, words.say("causes")), bars(causes, Math.max(found.risk[EXPLAINED], 0.01)),
    ...why(words, found.explanation), whatIf(words, found.what_if, EXPLAINED), learners(words, found.by_learner, EXPLAINED));
}

function missingCard(words, answer) {
  const now = (entry) => {
    if (entry.outcome === "refracture") return answer.refracture.risk[EXPLAINED];
    return (answer.leakage.find((one) => one.level === entry.level) ?? answer.leakage[0]).risk;
  };
  const of = (outcome) => answer.missing.filter((entry) => entry.outcome === outcome)
    .sort((a, b) => b.highest_risk - b.lowest_risk - (a.highest_risk - a.lowest_risk))
    .map((entry) => ({ name: `${words.label(entry.variable)}${entry.level ? ` (${entry.level})` : ""}`, low: entry.lowest_risk, high: entry.highest_risk, now: now(entry) }));
  const parts = ["leakage", "refracture"].map((outcome) => [outcome, of(outcome)]).filter(([, entries]) => entries.length);
  if (!parts.length) return null;
  return element("article", { class: "card", "data-card": "missing" }, element("h3", {}, words.say("missing")),
    element("p", { class: "small" }, words.say("missing.note")),
    parts.flatMap(([outcome, entries]) => [element("h4", {}, words.say(`missing.${outcome}`)), spans(words, entries)]));
}

function warningsCard(words, warnings) {
  if (!warnings.length) return null;
  return element("article", { class: "card", "data-card": "warnings" }, element("h3", {}, words.say("warnings")),
    element("ul", { class: "plain" }, warnings.map((warning) => words.warning(warning))));
}

/** What was asked, for the printed page: facts without the form. */
function askedCard(words, question) {
  const said = (facts) => Object.entries(facts).filter(([name]) => name !== "level").map(([name, value]) => `${words.label(name)} ${words.value(name, value)}`).join(words.say("list.next"));
  const rows = [[words.say("patient"), said(question.patient)], ...question.vertebrae.map((facts, i) => [facts.level ?? String(i + 1), said(facts) || words.say("unknown")])];
  return element("article", { class: "card asked" }, element("h3", {}, words.say("asked")),
    element("dl", {}, rows.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])));
}

function origin(words, answer) {
  const models = Object.values(answer.models).map((m) => words.say("model", { name: m.name, version: m.version, learner: words.say(`learner.${m.learner}`), digest: m.sha256.slice(0, 12) }));
  const notice = words.notice(answer.data_status, answer.notice, Object.values(answer.models).map((model) => model.release));
  return element("p", { class: "small origin" }, notice, " ", words.say("origin", {
    time: new Date(answer.answered_at).toLocaleString(words.code, { dateStyle: "medium", timeStyle: "short" }), models: models.join(words.say("list.next")), id: answer.request_id }));
}

/** One sentence with the risks, for who hears the page. */
export function sentence(words, answer) {
  const leaks = (answer.leakage ?? []).map((one) => `${leakTitle(words, one)}${words.say("colon")}${percent(one.risk)}`);
  const fracture = answer.refracture ? [`${fractureTitle(words, answer.refracture)}${words.say("colon")}${percent(answer.refracture.risk[EXPLAINED])}`] : [];
  return [...leaks, ...fracture].join(words.say("list.next"));
}

export function show(host, words, question, answer) {
  const open = [...host.querySelectorAll("details")].map((one) => one.open); // an answer that follows a slider keeps what is open
  const cards = [askedCard(words, question), ...(answer.leakage ?? []).map((one) => leakageCard(words, one)),
    answer.refracture && refractureCard(words, answer.refracture), missingCard(words, answer), warningsCard(words, answer.warnings), origin(words, answer)];
  host.replaceChildren(...cards.filter(Boolean));
  const made = [...host.querySelectorAll("details")];
  if (made.length === open.length) made.forEach((one, i) => { one.open = open[i]; });
  document.body.classList.toggle("several", question.vertebrae.length > 1);
}
