// The form, made from the dictionary: one control for each variable that a model uses, "unknown" being a choice of each.

import { at, details, element } from "/static/dom.js";

const REQUIRED = new Set(["age_years", "sex", "level"]);
const AUTOMATIC = new Set(["treated_count"]); // counted from the vertebrae of the form
const MOST_VERTEBRAE = 6;

export class Form {
  /** ``moments``: those that a released model can be asked at. */
  constructor(host, variables, words, moments) {
    this.host = host;
    this.all = variables;
    this.words = words;
    this.moments = moments;
    this.moment = moments[0];
    this.clear();
  }

  clear() {
    this.variables = this.all.filter((v) => v.form[this.moment] && !AUTOMATIC.has(v.name));
    this.host.replaceChildren(this.question(), this.group("patient", this.words.say("patient"), "/patient"));
    this.vertebrae = 0;
    this.add();
  }

  /** When is asked, and how leaks are looked for. */
  question() {
    const moment = this.select("moment", "moment", this.moments.map((one) => [one, this.words.say(`moment.${one}`)]));
    moment.querySelector("select").value = this.moment;
    moment.addEventListener("change", (event) => this.at(event.target.value));
    const detection = this.select("detection", "imaging", ["CT", "radiograph"].map((one) => [one, this.words.choice("detection", one)]));
    const shown = [this.moments.length > 1 ? moment : null, this.moment === "preop" ? detection : null];
    if (!shown.some(Boolean)) return element("div");
    return element("fieldset", {}, element("legend", {}, this.words.say("question")), element("div", { class: "grid" }, ...shown));
  }

  select(id, key, options) {
    return element("div", { class: "field" }, element("label", { for: id }, this.words.say(key)),
      element("select", { id }, options.map(([value, text]) => element("option", { value }, text))));
  }

  /** Ask at another moment, keeping what both know. */
  at(moment) {
    this.fill({ ...this.read(), moment });
    at("moment").focus();
  }

  add() {
    if (this.vertebrae >= MOST_VERTEBRAE) return;
    const index = this.vertebrae++;
    const box = this.group("vertebra", this.words.say(index ? "vertebra.next" : "vertebra", { number: index + 1 }), `/vertebrae/${index}`);
    if (index) {
      const drop = element("button", { type: "button", class: "quiet" }, this.words.say("remove"));
      drop.addEventListener("click", () => this.remove(index));
      box.append(element("div", { class: "sub" }, drop));
    }
    this.host.append(box);
    at("add").disabled = this.vertebrae >= MOST_VERTEBRAE;
    return box;
  }

  remove(index) {
    const body = this.read();
    body.vertebrae.splice(index, 1);
    this.fill(body);
    at("add").focus(); // the button that was pressed is gone
  }

  group(scope, title, pointer) {
    const mine = this.variables.filter((v) => v.scope === scope);
    // What is required comes first, then the plan follows the facts, as the dictionary has it.
    const first = mine.filter((v) => v.form[this.moment] === "first").sort((a, b) => REQUIRED.has(b.name) - REQUIRED.has(a.name));
    const rest = mine.filter((v) => v.form[this.moment] === "more");
    const box = element("fieldset", { "data-pointer": pointer }, element("legend", {}, title));
    box.append(element("div", { class: "grid" }, first.map((v) => this.field(v, pointer))));
    if (rest.length) box.append(details(this.words.say("more"), element("div", { class: "grid" }, rest.map((v) => this.field(v, pointer)))));
    return box;
  }

  field(variable, pointer) {
    const id = `${pointer}/${variable.name}`;
    const must = REQUIRED.has(variable.name), many = variable.kind === "multi";
    const unit = this.words.unit(variable.name);
    const label = element(many ? "span" : "label", { for: many ? null : id, id: `${id}-label`, class: must ? "label must" : "label",
      title: this.words.english ? variable.definition : null }, this.words.label(variable.name), unit ? element("span", { class: "unit" }, ` ${unit}`) : null);
    const limits = this.limits(variable, id);
    const fault = element("span", { class: "fault", id: `${id}-fault`, hidden: true });
    return element("div", { class: many ? "field wider" : "field" }, label, this.control(variable, id, must), limits, fault);
  }

  limits(variable, id) {
    if (variable.lowest === null || variable.highest === null) return null;
    const scope = variable.lowest_in_scope; // only an age has one
    const text = scope === null ? this.words.say("limits", { low: variable.lowest, high: variable.highest }) : this.words.say("limits.age", { scope });
    return element("span", { class: "limits", id: `${id}-limits` }, text);
  }

  control(variable, id, must) {
    const limited = variable.lowest !== null && variable.highest !== null;
    const common = { id, name: variable.name, "data-kind": variable.kind, "aria-required": must ? "true" : null,
      "aria-describedby": limited ? `${id}-limits ${id}-fault` : `${id}-fault` };
    if (variable.kind === "number" || variable.kind === "integer") {
      return element("input", { ...common, type: "number", step: variable.kind === "integer" ? 1 : "any", min: variable.lowest_in_scope ?? variable.lowest,
        max: variable.highest, placeholder: must ? null : this.words.say("unknown"), inputmode: variable.lowest < 0 ? null : "decimal" });
    }
    if (variable.kind === "multi") {
      const boxes = variable.choices.map((choice) => element("label", {},
        element("input", { type: "checkbox", value: choice }), ` ${this.words.choice(variable.name, choice)}`));
      return element("div", { ...common, "aria-required": null, class: "choices", role: "group", "aria-labelledby": `${id}-label` }, boxes);
    }
    const options = variable.kind === "flag" ? [["true", this.words.say("yes")], ["false", this.words.say("no")]]
      : variable.choices.map((choice) => [choice, this.words.choice(variable.name, choice)]);
    return element("select", common, element("option", { value: "" }, this.words.say(must ? "choose" : "unknown")),
      options.map(([value, text]) => element("option", { value }, text)));
  }

  /** The question as it stands. */
  read() {
    const [patient, ...vertebrae] = [...this.host.querySelectorAll("fieldset[data-pointer]")].map((box) => {
      const facts = {};
      for (const control of box.querySelectorAll("[data-kind]")) {
        const value = valueOf(control);
        if (value !== null) facts[control.getAttribute("name")] = value;
      }
      return facts;
    });
    return { moment: this.moment, detection: at("detection")?.value ?? "CT", patient, vertebrae };
  }

  fill(body) {
    this.moment = this.moments.includes(body.moment) ? body.moment : this.moments[0];
    this.clear();
    if (at("detection")) at("detection").value = body.detection;
    while (this.vertebrae < body.vertebrae.length) this.add();
    this.put("/patient", body.patient);
    body.vertebrae.forEach((facts, index) => this.put(`/vertebrae/${index}`, facts));
  }

  put(pointer, facts) {
    for (const [name, value] of Object.entries(facts)) {
      const control = at(`${pointer}/${name}`);
      if (!control) continue;
      if (control.dataset.kind === "multi") {
        for (const box of control.querySelectorAll("input")) box.checked = value.includes(box.value);
      } else control.value = String(value);
      open(control);
    }
  }

  clearFaults() {
    for (const control of this.host.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
    for (const text of this.host.querySelectorAll(".fault")) text.hidden = true;
  }

  /** Faults as their fields stand on the page; those without a field come first. */
  inOrder(faults) {
    const place = new Map([...this.host.querySelectorAll("[id]")].map((field, i) => [field.id, i]));
    return [...faults].sort((a, b) => (place.get(a.pointer) ?? -1) - (place.get(b.pointer) ?? -1));
  }

  /** Mark the field and say in a list what is wrong with it. */
  showFault(fault) {
    const control = at(fault.pointer), text = this.words.fault(fault);
    if (!control) return element("li", {}, text);
    control.setAttribute("aria-invalid", "true");
    const beside = at(`${fault.pointer}-fault`);
    beside.textContent = text;
    beside.hidden = false;
    open(control);
    const link = element("a", { href: `#${fault.pointer}` }, this.place(control));
    link.addEventListener("click", (event) => { event.preventDefault(); (control.querySelector("input") ?? control).focus(); });
    return element("li", {}, link, this.words.say("colon"), text);
  }

  place(control) {
    const box = control.closest("fieldset"), label = this.words.label(control.getAttribute("name"));
    return this.vertebrae > 1 && box.dataset.pointer !== "/patient" ? `${box.querySelector("legend").textContent}, ${label}` : label;
  }
}

function open(control) {
  const more = control.closest("details");
  if (more) more.open = true;
}

const MARK = /[.,，．。]/g; // the full-width ones are those of a Chinese keyboard

/**
 * Before text goes into a number field: a comma becomes a point, which is read in every language. A browser drops what its
 * own language does not have in numbers, and 4,5 would be asked as 45. Of 1.234,5 nothing is taken rather than another number.
 */
export function pointForComma(event) {
  const field = event.target, text = event.data ?? event.dataTransfer?.getData("text/plain") ?? "";
  if (field.type !== "number" || !event.cancelable || !/[,，．。]/.test(text)) return;
  event.preventDefault();
  field.focus(); // where text is dropped need not be where was typed
  if (text.match(MARK).length === 1) document.execCommand("insertText", false, text.replace(MARK, "."));
}

function valueOf(control) {
  const kind = control.dataset.kind;
  if (kind === "multi") {
    const chosen = [...control.querySelectorAll("input:checked")].map((box) => box.value);
    return chosen.length ? chosen : null;
  }
  // A number that the browser cannot read is sent as text, so that the service can say what is wrong with it.
  if (control.validity.badInput) return "not a number";
  if (control.value === "") return null;
  if (kind === "flag") return control.value === "true";
  return kind === "number" || kind === "integer" ? Number(control.value) : control.value;
}
