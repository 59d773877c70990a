// The page: asks the service and shows what it says. Nothing is stored but an access key, for as long as the tab is open.

import { at, element } from "/static/dom.js";
import { Form, pointForComma } from "/static/form.js";
import { Words, chosen, translate } from "/static/language.js";
import { nomograms } from "/static/nomogram.js";
import { Plan } from "/static/plan.js";
import { sentence, show } from "/static/result.js";
import { Refusal, askRisk, getJson, heldKey, holdKey } from "/static/service.js";

const FOLLOW_AFTER_MS = 250; // a slider on its way is not asked about
const KEY_PROBLEMS = new Set(["no_key", "wrong_key", "key_expired", "key_revoked", "role_missing"]);
const MOMENTS = { preop: ["leakage", "refracture"], postop: ["refracture-postop"] };

class Page {
  constructor(languages, variables, example) {
    Object.assign(this, { languages, variables, example, models: null, asked: null, answer: null, now: null, asking: null, timer: 0 });
  }

  /** Draw everything in a language, keeping what was typed and answered. */
  async speak(code) {
    this.words = new Words(code, await getJson(`/static/${code}.json`), this.variables);
    translate(this.words);
    at("language").value = code;
    const typed = this.form?.read();
    this.drawForm();
    if (typed) this.form.fill(typed);
    this.plan = new Plan(at("plan"), this.words, this.variables, (question) => this.followLater(question));
    this.hideFaults();
    this.tellModels();
    at("stale").hidden = true; // said anew, in this language
    if (!this.answer) return;
    this.plan.begin(this.asked, this.answer);
    this.showNow(this.asked, this.answer);
  }

  drawForm() {
    const released = this.models ? Object.keys(this.models) : MOMENTS.preop;
    const moments = Object.keys(MOMENTS).filter((moment) => MOMENTS[moment].some((outcome) => released.includes(outcome)));
    this.form = new Form(at("fields"), this.variables, this.words, moments.length ? moments : ["preop"]);
  }

  /** What is released and under which notice; a service with keys tells only who has one. */
  async learn() {
    try {
      this.models = (await getJson("/v1/models")).models;
      this.showKey(null);
    } catch (error) {
      if (!this.refuse(error)) this.showProblem(error);
      return;
    }
    const typed = this.form.read();
    this.drawForm();
    this.form.fill(typed);
    this.tellModels();
  }

  tellModels() {
    if (!this.models) return;
    const found = Object.values(this.models);
    const notices = found.map((model) => this.words.notice(model.data_status, model.notice, [model.release]));
    at("notice").textContent = [...new Set(notices)].join(" ") || this.words.say("no.model");
    at("notice").hidden = false;
    at("nomograms").replaceChildren(...nomograms(this.words, this.models, (error) => this.words.problem(error.problem ?? { code: "unreachable", errors: [] })));
  }

  async submit() {
    clearTimeout(this.timer);
    this.hideFaults();
    at("submit").disabled = true;
    try {
      const question = this.form.read();
      const answer = await this.fetchAnswer(question);
      if (!answer) return;
      Object.assign(this, { asked: question, answer });
      this.plan.begin(question, answer);
      this.showNow(question, answer);
      reveal(at("result"));
    } catch (error) {
      if (!this.refuse(error)) this.showProblem(error);
    } finally {
      at("submit").disabled = false;
    }
  }

  /** The answer, or nothing if another question has been asked meanwhile. */
  async fetchAnswer(question) {
    this.asking?.abort();
    this.asking = new AbortController();
    try {
      return await askRisk(question, this.asking.signal);
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    }
  }

  followLater(question) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.followPlan(structuredClone(question)), FOLLOW_AFTER_MS);
  }

  async followPlan(question) {
    try {
      const answer = await this.fetchAnswer(question);
      if (!answer) return;
      this.hideFaults();
      this.plan.refresh(answer);
      this.showNow(question, answer);
    } catch (error) {
      if (!this.refuse(error)) this.showProblem(error);
    }
  }

  showNow(question, answer) {
    show(at("output"), this.words, question, answer);
    at("print").hidden = false;
    at("status").textContent = sentence(this.words, answer);
    this.compare();
  }

  /** An answer must not be taken for that to another question: whether the form still asks what was answered. */
  compare() {
    const stale = this.answer !== null && JSON.stringify(this.form.read()) !== JSON.stringify(this.asked);
    if (stale === !at("stale").hidden) return;
    at("stale").hidden = !stale;
    at("stale").textContent = stale ? this.words.say("stale") : "";
  }

  /** Whether the service refused for want of a key; then one is asked for. */
  refuse(error) {
    if (!(error instanceof Refusal) || !KEY_PROBLEMS.has(error.problem.code)) return false;
    this.showKey(error.problem);
    return true;
  }

  showKey(problem) {
    at("access").hidden = !problem;
    at("holding").hidden = Boolean(problem) || !heldKey();
    const wrong = Boolean(problem) && problem.code !== "no_key";
    at("key-fault").hidden = !wrong;
    at("key-fault").textContent = wrong ? this.words.problem(problem) : "";
    if (problem) at("key").focus();
  }

  async useKey(key) {
    holdKey(key.trim());
    at("key").value = "";
    await this.learn();
  }

  showProblem(error) {
    if (!(error instanceof Refusal)) throw error;
    const faults = this.form.inOrder(error.problem.errors).map((fault) => this.form.showFault(fault));
    at("faults").replaceChildren(element("p", {}, this.words.problem(error.problem)), element("ul", {}, faults));
    at("faults").hidden = false;
    at("faults").focus();
  }

  hideFaults() {
    at("faults").hidden = true;
    this.form.clearFaults();
  }

  clear() {
    this.form.clear();
    this.hideFaults();
    Object.assign(this, { asked: null, answer: null });
    at("plan").replaceChildren();
    at("output").replaceChildren(element("p", { class: "empty" }, this.words.say("empty")));
    at("print").hidden = true;
    this.compare();
    at("status").textContent = "";
  }

  listen() {
    const on = (id, event, act) => at(id).addEventListener(event, (found) => { found.preventDefault(); act(); });
    on("form", "submit", () => this.submit());
    on("example", "click", () => { this.form.fill(this.example); this.submit(); });
    on("clear", "click", () => this.clear());
    on("add", "click", () => this.form.add()?.querySelector("select, input").focus());
    for (const event of ["input", "change", "click"]) at("form").addEventListener(event, () => this.compare());
    at("form").addEventListener("beforeinput", pointForComma);
    on("print", "click", () => window.print());
    on("access", "submit", () => this.useKey(at("key").value));
    on("forget", "click", () => { this.models = null; this.useKey(""); });
    on("language", "change", () => {
      const address = new URL(window.location.href);
      address.searchParams.set("lang", at("language").value);
      window.history.replaceState(null, "", address);
      this.speak(at("language").value);
    });
  }
}

/** Put the focus there, and its beginning into view if it is not: on a phone it lies below, behind a long form above. */
function reveal(place) {
  place.focus({ preventScroll: true });
  const { top } = place.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight / 2) place.scrollIntoView();
}

async function start() {
  const [languages, dictionary, example] = await Promise.all(["/static/languages.json", "/v1/dictionary", "/static/example.json"].map(getJson));
  at("language").append(...Object.entries(languages).map(([code, name]) => element("option", { value: code, lang: code }, name)));
  const page = new Page(languages, dictionary.variables, example);
  page.listen();
  await page.speak(chosen(languages, window.location.search, navigator.languages ?? []));
  await page.learn();
  if (window.location.hash === "#example") at("example").click(); // a link to the worked example
}

start();
