// The words of the page in one language. English words of the service stand for themselves; in another language its
// codes are put into words here, and what has no words yet is shown in English and marked as such.

import { element } from "/static/dom.js";

export class Words {
  constructor(code, file, variables) {
    this.code = code;
    this.file = file;
    this.variables = Object.fromEntries(variables.map((variable) => [variable.name, variable]));
    this.english = code === "en";
  }

  /** A text of the page, with {named} places filled in. */
  say(key, values = {}) {
    return fill(this.file.ui[key] ?? key, values);
  }

  label(name) {
    return this.file.variables[name] ?? this.variables[name]?.label ?? name;
  }

  unit(name) {
    const unit = this.variables[name]?.unit;
    return unit ? (this.file.units[unit] ?? unit) : "";
  }

  choice(name, value) {
    return this.file.choices[`${name}.${value}`] ?? this.file.choices[value] ?? String(value).replaceAll("_", " ");
  }

  /** A value as a person says it, with its unit. */
  value(name, value) {
    if (value === null || value === undefined) return this.say("unknown");
    if (typeof value === "boolean") return this.say(value ? "yes" : "no");
    if (Array.isArray(value)) return value.map((one) => this.value(name, one)).join(this.say("list.and"));
    if (typeof value !== "number") return this.choice(name, value);
    const unit = this.unit(name);
    return `${String(Number(value.toPrecision(4))).replace("-", "−")}${unit ? ` ${unit}` : ""}`;
  }

  /** Why a variable moves a risk. The service says it best, in English; pooling over vertebrae is told there alone. */
  reason(entry) {
    if (this.english) return entry.text.split(";")[0];
    return `${this.label(entry.variable)}${this.say("colon")}${this.value(entry.variable, entry.value)}`;
  }

  /** Words of a drawing of the service, which draws in English; numbers in them are kept in their order. */
  drawn(english) {
    const numbers = english.match(/\d+(?:[.,]\d+)*/g) ?? [];
    const own = this.file.drawn?.[english.replace(/\d+(?:[.,]\d+)*/g, "#")];
    return own ? own.replace(/#/g, () => numbers.shift()) : english;
  }

  notice(status, english, releases = []) {
    if (this.english) return english;
    const limits = releases.map((release) => this.file.ui[`release.${release}`]).filter(Boolean);
    return [this.say(`notice.${status}`), ...limits].join(" ");
  }

  /** What is wrong at a field. */
  fault(fault) {
    const name = fault.pointer.split("/").pop(), variable = this.variables[name] ?? {};
    if (this.english) return this.readable(fault.detail.replace(/^[a-z0-9_]+: /, ""));
    const text = this.file.faults[`${fault.code}.${name}`] ?? this.file.faults[fault.code];
    return text ? fill(text, { low: variable.lowest, high: variable.highest, scope: variable.lowest_in_scope, unit: this.unit(name) }) : fault.detail;
  }

  /** English of the service, with the names of variables as the form has them. */
  readable(text) {
    return text.replace(/[a-z0-9]+(_[a-z0-9]+)+/g, (name) => (name in this.variables ? `“${this.label(name)}”` : name));
  }

  problem(problem) {
    const wait = problem.retryAfter ? this.say("retry", { seconds: problem.retryAfter }) : "";
    const title = problem.code === "unreachable" ? this.say("unreachable") : (this.file.problems[problem.code] ?? problem.title);
    const detail = this.english && problem.errors.length === 0 ? problem.detail : "";
    return [title, detail, wait].filter(Boolean).join(this.say("colon"));
  }

  /** One warning as a list item. */
  warning(warning) {
    const text = this.english ? null : this.file.warnings[warning.code];
    const place = [warning.level, warning.variable && !this.english ? this.label(warning.variable) : null].filter(Boolean);
    const before = place.length ? `${place.join(" ")}${this.say("colon")}` : "";
    if (text || this.english) return element("li", {}, `${before}${text ?? this.readable(warning.detail)}`);
    return element("li", {}, before, element("span", { lang: "en" }, warning.detail));
  }
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The language asked for in the address, else the first of the browser's that there is, else English. */
export function chosen(languages, address, browser) {
  const asked = new URLSearchParams(address).get("lang");
  const wanted = [asked, ...browser].filter(Boolean).map((tag) => tag.toLowerCase().split("-")[0]);
  return wanted.find((tag) => tag in languages) ?? "en";
}

/** Write the words into what the document already has. */
export function translate(words) {
  document.documentElement.lang = words.code;
  document.title = words.say("title");
  for (const part of document.querySelectorAll("[data-say]")) part.textContent = words.say(part.dataset.say);
  for (const part of document.querySelectorAll("[data-name]")) part.setAttribute("aria-label", words.say(part.dataset.name));
}

export const percent = (risk) => `${(100 * risk).toFixed(risk < 0.0995 ? 1 : 0)}%`;

/** A difference in percentage points; one that rounds to nothing has no sign. */
export function points(change) {
  const size = Math.abs(100 * change).toFixed(1);
  return `${Number(size) === 0 ? "" : change < 0 ? "−" : "+"}${size}`;
}
