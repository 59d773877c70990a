"""Cards of an answer: what a clinician reads in the EHR. One for leakage, one for refracture.

A card warns if even the lower end of the 95 % interval lies above the risk of the reference patient; else it informs.
No suggestions: what another plan would change rests on models, and an EHR would carry out a suggestion at a click.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from features.dictionary import VARIABLES
from serving.fhir.risk_assessment import OUTCOME
from serving.problem import Fault
from serving.served import EXPLAINED

Json = dict[str, Any]

LONGEST_SUMMARY = 139
REASONS_SYSTEM = "urn:cemrisk:override-reason"
#: Why advice is set aside: code -> what the clinician reads. The codes come back with the feedback.
REASONS = {
    "benefit-outweighs": "The benefit outweighs this risk",
    "plan-adapted": "The plan already takes account of it",
    "patient-preference": "The patient decided so",
    "data-wrong": "The data that it rests on are wrong or old",
    "not-credible": "The estimate does not fit this patient",
}
_MARKS = {"synthetic": "Simulated data, not for clinical use"}
_ROUTES = {"B": "basivertebral vein", "S": "segmental vein", "C": "cortical defect", "D": "disc"}


def cards(answer: Mapping[str, Any], base_url: str | None, notes: Sequence[str]) -> list[Json]:
    """The cards of an answer of ``/v1/risk``; ``notes``: what was left out of what the EHR sent.

    ``base_url``: where people reach the service; without it a card links nowhere. The name by which a caller
    addressed the service is not asked: whoever calls can write there what he likes.
    """
    found = []
    if answer["leakage"]:
        found.append(_leakage(answer, base_url, notes))
    if answer["refracture"]:
        found.append(_refracture(answer, base_url, notes))
    return found


def refusal_card(faults: Sequence[Fault], base_url: str | None) -> Json:
    """Instead of an answer: which data stand in its way. No value, as everywhere."""
    scope = {fault.code for fault in faults} == {"out_of_scope"}
    summary = "No risk estimate: the models do not know such a patient"
    if not scope:
        summary = f"No risk estimate: {len(faults)} of the data sent cannot be used"
    lines = [f"- {fault.detail}" for fault in faults]
    return {
        "uuid": str(uuid.uuid4()),
        "summary": summary,
        "detail": "\n".join(["Risk before vertebroplasty or kyphoplasty could not be estimated:", "", *lines]),
        "indicator": "info",
        "source": _source(base_url, None),
    }


def _leakage(answer: Mapping[str, Any], base_url: str | None, notes: Sequence[str]) -> Json:
    found = answer["leakage"]
    ranked = sorted(found, key=lambda one: -one["risk"])
    risks = ", ".join(f"{one['level']} {_percent(one['risk'])}" for one in ranked)
    if len(found) == 1:
        risks += f" ({_range(found[0]['interval'])})"
    warns = any(one["interval"][0] > one["average"] for one in found)
    lines = ["| Vertebra | Any leak | 95 % interval | Average patient |" + "".join(f" {r} |" for r in _ROUTES.values())]
    lines.append("|---" * (4 + len(_ROUTES)) + "|")
    for one in found:
        routes = [_percent(one["routes"][route]) if one["routes"] else "not told" for route in _ROUTES]
        cells = [one["level"], _percent(one["risk"]), _range(one["interval"]), _percent(one["average"]), *routes]
        lines.append(f"| {' | '.join(cells)} |")
    for one in ranked[:1]:
        lines += _why(f"What moves the risk at {one['level']}", one["explanation"])
    summary = f"Cement leakage, as {answer['detection']} shows it: {risks}"
    return _card("leakage", summary, warns, lines, answer, base_url, notes)


def _refracture(answer: Mapping[str, Any], base_url: str | None, notes: Sequence[str]) -> Json:
    found = answer["refracture"]
    rows = list(zip(found["horizons_months"], found["risk"], found["interval"], found["average"], strict=True))
    warns = found["interval"][EXPLAINED][0] > found["average"][EXPLAINED]
    lines = [
        "| Within | New vertebral fracture | 95 % interval | Average patient | Death before |",
        "|---|---|---|---|---|",
    ]
    for (months, risk, interval, average), death in zip(rows, found["death"], strict=True):
        cells = [f"{months} months", _percent(risk), _range(interval), _percent(average), _percent(death)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += _why("What moves the risk within 12 months", found["explanation"])
    told = ", ".join(f"{months} mo {_percent(risk)}" for months, risk, _, _ in rows)
    return _card("refracture", f"New vertebral fracture: {told}", warns, lines, answer, base_url, notes)


def _card(
    outcome: str,
    summary: str,
    warns: bool,
    lines: Sequence[str],
    answer: Mapping[str, Any],
    base_url: str | None,
    notes: Sequence[str],
) -> Json:
    mark = _MARKS.get(answer["data_status"])
    model = answer["models"][outcome]
    unknown = sorted({VARIABLES[entry["variable"]].label for entry in answer["missing"] if entry["outcome"] == outcome})
    said = [entry["detail"] for entry in answer["warnings"] if entry["outcome"] in (None, outcome)]
    tail = [f"Not known: {', '.join(unknown)}."] if unknown else []
    tail += [f"- {one}" for one in dict.fromkeys([*said, *notes])]
    tail += ["", f"{model['name']} version {model['version']} ({model['learner']}); answer {answer['request_id']}"]
    return {
        # The same for the same answer: feedback leads back to the record in the query log.
        "uuid": str(uuid.uuid5(uuid.UUID(answer["request_id"]), outcome)),
        "summary": _short(summary, f". {mark}" if mark else ""),
        "detail": "\n".join([f"**{answer['notice']}**", "", *lines, "", *tail]),
        "indicator": "warning" if warns else "info",
        "source": _source(base_url, outcome),
        "overrideReasons": [{"system": REASONS_SYSTEM, "code": c, "display": text} for c, text in REASONS.items()],
    } | _links(base_url)


def _source(base_url: str | None, outcome: str | None) -> Json:
    source: Json = {"label": "cemrisk"} | ({"url": f"{base_url}/docs"} if base_url else {})
    return source | ({"topic": {"system": OUTCOME, "code": outcome, "display": outcome}} if outcome else {})


def _links(base_url: str | None) -> Json:
    label = "Ask what another plan would change"
    return {"links": [{"label": label, "url": f"{base_url}/", "type": "absolute"}]} if base_url else {}


def _short(summary: str, mark: str) -> str:
    """A mark is never what falls off."""
    room = LONGEST_SUMMARY - len(mark)
    return (summary if len(summary) <= room else f"{summary[: room - 1]}…") + mark


def _why(title: str, explanation: Mapping[str, Any], most: int = 5) -> list[str]:
    ranked = sorted(explanation["contributions"], key=lambda entry: -abs(entry["contribution"]))[:most]
    return ["", f"{title}:", "", *(f"- {entry['text']}" for entry in ranked)]


def _percent(risk: float) -> str:
    return f"{100 * risk:.{1 if risk < 0.0995 else 0}f} %"


def _range(bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{_percent(low).removesuffix(' %')} to {_percent(high)}"
