// Asks the service and shows what it says. Nothing is stored and nothing leaves this address.

import { EXAMPLE, Form, element } from "/static/form.js";
import { show } from "/static/result.js";

const at = (id) => document.getElementById(id);

async function fetchJson(path, options) {
  const response = await fetch(path, options);
  return [response.ok, await response.json()];
}

function showProblem(problem, form) {
  const faults = problem.errors.map((fault) => element("li", {}, fault.detail));
  const title = problem.errors.length ? problem.title : problem.detail;
  at("faults").replaceChildren(element("p", {}, `${title}.`), element("ul", {}, ...faults));
  at("faults").hidden = false;
  problem.errors.forEach((fault) => form.showFault(fault));
  at("faults").focus();
}

async function ask(form, labels) {
  at("faults").hidden = true;
  form.clearFaults();
  at("submit").disabled = true;
  try {
    const body = JSON.stringify({ moment: "preop", detection: at("detection").value, ...form.read() });
    const [ok, found] = await fetchJson("/v1/risk", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!ok) return showProblem(found, form);
    show(at("output"), found, labels);
    at("result").focus({ preventScroll: window.innerWidth > 900 });
  } catch {
    showProblem({ title: "The service cannot be reached", detail: "The service cannot be reached; try again", errors: [] }, form);
  } finally {
    at("submit").disabled = false;
  }
}

function detectionField() {
  return element("fieldset", {}, element("legend", {}, "How leaks will be looked for"),
    element("div", { class: "grid" }, element("div", { class: "field" },
      element("label", { for: "detection" }, "Imaging after the operation"),
      element("select", { id: "detection" }, element("option", { value: "CT" }, "CT"), element("option", { value: "radiograph" }, "radiographs only")))));
}

async function start() {
  const [, dictionary] = await fetchJson("/v1/dictionary");
  const labels = Object.fromEntries(dictionary.variables.map((variable) => [variable.name, variable]));
  const form = new Form(at("fields"), dictionary.variables);
  at("fields").before(detectionField());
  at("form").addEventListener("submit", (event) => { event.preventDefault(); ask(form, labels); });
  at("example").addEventListener("click", () => { form.fill(EXAMPLE); ask(form, labels); });
  at("clear").addEventListener("click", () => { form.clear(); at("faults").hidden = true; });
  at("add").addEventListener("click", () => form.add());
  const [, models] = await fetchJson("/v1/models");
  const notices = new Set(Object.values(models.models).map((model) => model.notice));
  at("notice").textContent = [...notices].join(" ") || "No model has been released yet: train and promote one first.";
  at("notice").hidden = false;
  if (window.location.hash === "#example") at("example").click(); // a link to the worked example
}

start();
