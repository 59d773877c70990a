// The form, made from the dictionary: one control for each variable that a model uses, "unknown" being a choice of each.

const REQUIRED = new Set(["age_years", "sex", "level"]);
const AUTOMATIC = new Set(["treated_count"]); // counted from the vertebrae of the form

export const EXAMPLE = {
  patient: { age_years: 73, sex: "female", hu_l1: 62, t_score: -3.1, bmi_kg_m2: 22.5, smoking: "never", steroid_use: false,
    diabetes: false, prior_vertebral_fracture: true, anti_osteoporosis_plan: "none" },
  vertebrae: [{ level: "L1", fvah_mm: 17.2, adj_ah_above_mm: 26.0, adj_ah_below_mm: 28.0, cortical_disruption: true,
    intravertebral_cleft: false, procedure: "PVP", cement_product_id: "alliment", planned_viscosity: "medium",
    planned_volume_ml: 4.5 }],
};

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export class Form {
  constructor(host, variables) {
    this.host = host;
    this.variables = variables.filter((v) => v.asked && v.used_before && !AUTOMATIC.has(v.name));
    this.clear();
  }

  clear() {
    this.host.replaceChildren(this.group("patient", "The patient", "/patient"));
    this.vertebrae = 0;
    this.add();
  }

  add() {
    if (this.vertebrae >= 6) return;
    const index = this.vertebrae++;
    const box = this.group("vertebra", index ? `Vertebra ${index + 1}` : "The vertebra to be treated", `/vertebrae/${index}`);
    if (index) {
      const drop = element("button", { type: "button", class: "quiet" }, "Remove this vertebra");
      drop.addEventListener("click", () => this.remove(index));
      box.append(element("div", { class: "sub" }, drop));
    }
    this.host.append(box);
  }

  remove(index) {
    const body = this.read();
    body.vertebrae.splice(index, 1);
    this.fill(body);
  }

  group(scope, title, pointer) {
    const mine = this.variables.filter((v) => v.scope === scope);
    // What is required comes first, then the plan follows the facts, as the dictionary has it.
    const first = mine.filter((v) => v.asked_first).sort((a, b) => REQUIRED.has(b.name) - REQUIRED.has(a.name));
    const box = element("fieldset", { "data-pointer": pointer }, element("legend", {}, title));
    box.append(element("div", { class: "grid" }, ...first.map((v) => this.field(v, pointer))));
    const rest = mine.filter((v) => !v.asked_first);
    if (rest.length) {
      box.append(element("details", {},
        element("summary", {}, "More measurements, from which the models work out what is missing above"),
        element("div", { class: "grid" }, ...rest.map((v) => this.field(v, pointer)))));
    }
    return box;
  }

  field(variable, pointer) {
    const id = `${pointer}/${variable.name}`;
    const must = REQUIRED.has(variable.name);
    const unit = variable.unit && variable.unit !== "count" ? element("span", { class: "unit" }, ` ${variable.unit}`) : null;
    const naming = variable.kind === "multi" ? "span" : "label";
    const label = element(naming, { for: naming === "label" ? id : null, id: `${id}-label`, class: must ? "label must" : "label",
      title: variable.definition }, variable.label, unit);
    const fault = element("span", { class: "fault", id: `${id}-fault`, hidden: true });
    return element("div", { class: "field" }, label, this.control(variable, id, must), fault);
  }

  control(variable, id, must) {
    const common = { id, name: variable.name, "data-kind": variable.kind, "aria-describedby": `${id}-fault`, "aria-required": must || null };
    if (variable.kind === "number" || variable.kind === "integer") {
      return element("input", { ...common, type: "number", step: variable.kind === "integer" ? 1 : "any", min: variable.lowest,
        max: variable.highest, placeholder: must ? "" : "unknown", inputmode: "decimal" });
    }
    if (variable.kind === "multi") {
      const boxes = variable.choices.map((choice) => element("label", {},
        element("input", { type: "checkbox", value: choice }), ` ${choice.replaceAll("_", " ")}`));
      return element("div", { ...common, class: "choices", role: "group", "aria-labelledby": `${id}-label` }, ...boxes);
    }
    const options = variable.kind === "flag" ? [["true", "yes"], ["false", "no"]] : variable.choices.map((c) => [c, c.replaceAll("_", " ")]);
    return element("select", common, element("option", { value: "" }, must ? "choose…" : "unknown"),
      ...options.map(([value, text]) => element("option", { value }, text)));
  }

  read() {
    const boxes = [...this.host.querySelectorAll("fieldset[data-pointer]")].map((box) => {
      const facts = {};
      for (const control of box.querySelectorAll("[data-kind]")) {
        const value = valueOf(control);
        if (value !== null) facts[control.getAttribute("name")] = value;
      }
      return facts;
    });
    return { patient: boxes[0], vertebrae: boxes.slice(1) };
  }

  fill(body) {
    this.clear();
    while (this.vertebrae < body.vertebrae.length) this.add();
    this.put("/patient", body.patient);
    body.vertebrae.forEach((facts, index) => this.put(`/vertebrae/${index}`, facts));
  }

  put(pointer, facts) {
    for (const [name, value] of Object.entries(facts)) {
      const control = document.getElementById(`${pointer}/${name}`);
      if (!control) continue;
      if (control.dataset.kind === "multi") {
        for (const box of control.querySelectorAll("input")) box.checked = value.includes(box.value);
      } else control.value = String(value);
      const more = control.closest("details");
      if (more) more.open = true;
    }
  }

  clearFaults() {
    for (const control of this.host.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
    for (const text of this.host.querySelectorAll(".fault")) text.hidden = true;
  }

  showFault(fault) {
    const control = document.getElementById(fault.pointer);
    const text = document.getElementById(`${fault.pointer}-fault`);
    if (!control || !text) return;
    control.setAttribute("aria-invalid", "true");
    text.textContent = fault.detail.replace(/^[a-z0-9_]+: /, "");
    text.hidden = false;
    const more = control.closest("details");
    if (more) more.open = true;
  }
}

function valueOf(control) {
  const kind = control.dataset.kind;
  if (kind === "multi") {
    const chosen = [...control.querySelectorAll("input:checked")].map((box) => box.value);
    return chosen.length ? chosen : null;
  }
  // A number that the browser cannot read is sent as text, so that the service can say what is wrong with it.
  if (control.validity && control.validity.badInput) return "not a number";
  if (control.value === "") return null;
  if (kind === "flag") return control.value === "true";
  return kind === "number" || kind === "integer" ? Number(control.value) : control.value;
}
