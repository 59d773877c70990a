// Another plan for the same patient: controls that ask again when they are moved, each with what stands behind it.

import { at, element } from "/static/dom.js";
import { percent, points } from "/static/language.js";
import { EXPLAINED, evidenceTag, fractureTitle, leakTitle, pointsRange } from "/static/result.js";

const VERTEBRA = ["planned_viscosity", "planned_injection_stage", "planned_volume_ml", "procedure"];
const PATIENT = ["anti_osteoporosis_plan"];
const SLIDERS = new Set(["planned_viscosity", "planned_injection_stage", "planned_volume_ml"]);
const VOLUME_STEP_ML = 0.5;
/** Each says how viscous the cement is, and a stated viscosity wins: to try one, the other must be left open. */
const INSTEAD_OF = { planned_viscosity: "planned_injection_stage", planned_injection_stage: "planned_viscosity" };

export class Plan {
  /** ``follow``: called with the question of another plan. */
  constructor(host, words, variables, follow) {
    Object.assign(this, { host, words, follow });
    this.variables = Object.fromEntries(variables.map((variable) => [variable.name, variable]));
  }

  /** Start from a question and its answer. */
  begin(question, answer, index = 0) {
    Object.assign(this, { question, answer, index, other: structuredClone(question) });
    const usable = (name) => this.variables[name].form[question.moment];
    this.names = [...(question.moment === "preop" ? VERTEBRA : []), ...PATIENT].filter(usable);
    this.draw();
  }

  facts(name, question = this.other) {
    return PATIENT.includes(name) ? question.patient : question.vertebrae[this.index];
  }

  draw() {
    const words = this.words;
    const reset = element("button", { type: "button", class: "quiet", id: "plan-reset", disabled: true }, words.say("plan.reset"));
    reset.addEventListener("click", () => this.reset());
    const which = this.question.vertebrae.length > 1 && this.question.moment === "preop" ? this.chooser() : null;
    this.host.replaceChildren(element("section", { class: "card plan", "aria-labelledby": "plan-title" },
      element("div", { class: "head" }, element("h3", { id: "plan-title" }, words.say("plan")), reset),
      element("table", { class: "effects" }, element("caption", { class: "unseen" }, words.say("plan.effects")),
        element("thead", {}, element("tr", {}, ["outcome", "form", "plan", "points"].map((key) => element("th", { scope: "col" }, words.say(`head.${key}`))))),
        element("tbody", { id: "plan-effects" })),
      which, element("div", { class: "grid" }, this.names.map((name) => this.control(name))),
      element("p", { class: "small" }, words.say("plan.note")), element("p", { class: "small" }, words.say("plan.points")),
      element("p", { class: "other", id: "plan-shown", hidden: true }, words.say("plan.shown"))));
    this.refresh(this.answer);
  }

  chooser() {
    const pick = element("select", { id: "plan-vertebra" }, this.question.vertebrae.map((facts, i) => element("option", { value: i, selected: i === this.index }, facts.level)));
    pick.addEventListener("change", () => { this.index = Number(pick.value); this.draw(); this.refresh(this.shown); at("plan-vertebra").focus(); });
    return element("p", { class: "inline" }, element("label", { for: "plan-vertebra" }, this.words.say("plan.vertebra")), pick);
  }

  control(name) {
    const id = `plan-${name}`, variable = this.variables[name], unit = this.words.unit(name);
    const label = element("label", { for: id, class: "label" }, this.words.label(name), unit ? element("span", { class: "unit" }, ` ${unit}`) : null);
    const made = SLIDERS.has(name) ? this.slider(id, variable) : this.options(id, variable);
    made.addEventListener("input", () => this.change(name, this.valueAt(variable, made.value)));
    const now = SLIDERS.has(name) ? element("output", { for: id, id: `${id}-now` }) : null; // a list shows what is chosen
    return element("div", { class: "field" }, label, made, now,
      element("span", { class: "small", id: `${id}-evidence` }));
  }

  slider(id, variable) {
    const volume = variable.kind === "number";
    const [low, high] = volume ? this.bounds(variable) : [0, variable.choices.length];
    return element("input", { type: "range", id, min: low, max: high, step: volume ? VOLUME_STEP_ML : 1, "aria-describedby": `${id}-evidence` });
  }

  /** The usual range of a number, wide enough for what was asked. */
  bounds(variable) {
    const stated = this.facts(variable.name, this.question)[variable.name] ?? variable.plausible_low;
    return [Math.min(variable.plausible_low, Math.floor(stated)), Math.max(variable.plausible_high, Math.ceil(stated))];
  }

  options(id, variable) {
    const none = element("option", { value: "" }, this.words.say("unknown"));
    return element("select", { id, "aria-describedby": `${id}-evidence` }, none,
      variable.choices.map((choice) => element("option", { value: choice }, this.words.choice(variable.name, choice))));
  }

  valueAt(variable, text) {
    if (variable.kind === "number") return Number(text);
    if (!SLIDERS.has(variable.name)) return text || undefined;
    return Number(text) ? variable.choices[Number(text) - 1] : undefined; // the first position is "unknown"
  }

  positionOf(variable, value) {
    if (variable.kind === "number") return value ?? variable.plausible_low;
    if (!SLIDERS.has(variable.name)) return value ?? "";
    return variable.choices.indexOf(value) + 1;
  }

  change(name, value) {
    const facts = this.facts(name);
    if (value === undefined) delete facts[name];
    else facts[name] = value;
    if (value !== undefined && INSTEAD_OF[name] in facts) delete facts[INSTEAD_OF[name]];
    this.settle();
    this.follow(this.other);
  }

  reset() {
    this.other = structuredClone(this.question);
    this.settle();
    this.follow(this.other);
    at(`plan-${this.names[0]}`).focus(); // the button is disabled now
  }

  get changed() {
    return JSON.stringify(sorted(this.other)) !== JSON.stringify(sorted(this.question));
  }

  /** Bring the controls to the plan as it is. */
  settle() {
    for (const name of this.names) {
      const variable = this.variables[name], control = at(`plan-${name}`), value = this.facts(name)[name];
      control.value = this.positionOf(variable, value);
      if (SLIDERS.has(name)) {
        at(`plan-${name}-now`).textContent = this.words.value(name, value);
        control.setAttribute("aria-valuetext", this.words.value(name, value));
      }
      at(`plan-${name}-evidence`).replaceChildren(this.evidence(variable, value));
    }
    at("plan-reset").disabled = !this.changed;
    at("plan-shown").hidden = !this.changed;
  }

  /** The service says what stands behind a change; a change that it does not list has no trial behind it. */
  evidence(variable, value) {
    const name = variable.name, was = this.facts(name, this.question)[name];
    const level = PATIENT.includes(name) ? null : this.question.vertebrae[this.index].level;
    const all = [...(this.answer.leakage ?? []).flatMap((one) => one.what_if), ...(this.answer.refracture?.what_if ?? [])]
      .filter((entry) => entry.variable === name && entry.level === level);
    const tried = [...new Set(all.filter((entry) => entry.evidence === "trial").map((entry) => entry.to))];
    if (value !== was) return evidenceTag(this.words, tried.includes(value) ? "trial" : "association");
    const others = variable.choices.filter((choice) => choice !== was);
    if (!tried.length || tried.length === others.length) return evidenceTag(this.words, tried.length ? "trial" : "association");
    const list = tried.map((choice) => this.words.choice(name, choice)).join(this.words.say("list.and"));
    return evidenceTag(this.words, "trial", this.words.say("evidence.some", { list }));
  }

  /** Show what the plan does, beside the plan of the form. */
  refresh(answer) {
    this.shown = answer;
    this.settle();
    const was = this.answer;
    const rows = was.leakage && answer.leakage ? answer.leakage.map((one, i) => [leakTitle(this.words, one), was.leakage[i], one, (value) => value]) : [];
    const within = (values) => values[EXPLAINED];
    if (was.refracture && answer.refracture) rows.push([fractureTitle(this.words, answer.refracture), was.refracture, answer.refracture, within]);
    at("plan-effects").replaceChildren(...rows.map(([title, before, now, pick]) => element("tr", {}, element("th", { scope: "row" }, title),
      element("td", {}, percent(pick(before.risk))), element("td", {}, element("strong", {}, percent(pick(now.risk)))),
      element("td", {}, this.effect(before, pick(now.risk) - pick(before.risk), pick)))));
  }

  /** The change in points, with the interval that the answer to the form gives for it: of the same patient under both plans. */
  effect(before, change, pick) {
    if (!this.changed) return "·";
    if (change === 0) return points(0);
    const listed = this.listed(before.what_if), words = this.words;
    if (!listed) return [points(change), element("span", { class: "small" }, words.say("plan.no-interval"))];
    return [points(change), element("span", { class: "small" }, pointsRange(words, pick(listed.difference_interval)))];
  }

  /** Of an answer's changes of one thing the one that this plan is, if it is one. */
  listed(changes) {
    const facts = this.names.flatMap((name) => {
      const places = PATIENT.includes(name) ? [[null, this.other.patient, this.question.patient]]
        : this.other.vertebrae.map((own, i) => [own.level, own, this.question.vertebrae[i]]);
      return places.filter(([, own, was]) => own[name] !== was[name]).map(([level, own]) => [name, level, own[name]]);
    });
    if (facts.length !== 1) return null;
    const [name, level, value] = facts[0];
    return changes.find((entry) => entry.variable === name && entry.level === level && entry.to === value);
  }
}

/** The same question with its facts in one order: taking a fact out and in again changes nothing. */
function sorted(question) {
  const inOrder = (facts) => Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1));
  return [inOrder(question.patient), question.vertebrae.map(inOrder)];
}
