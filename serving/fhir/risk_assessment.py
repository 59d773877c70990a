"""From an answer to ``RiskAssessment`` resources: one for the leak at each vertebra, one for new fractures.

``probabilityDecimal`` is a percentage in R4. The interval has no place in R4 beside the probability: it stands in an
extension of ours, in per cent too, and in words in ``rationale``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from features.outcome import CAUSES, HORIZON_DAYS, ROUTES
from serving.fhir.codes import DICTIONARY, LEVELS, SNOMED
from serving.fhir.reading import Json
from serving.fhir.units import UCUM

OUTCOME = "urn:cemrisk:outcome"
MODEL = "urn:cemrisk:model"
REQUEST = "urn:cemrisk:request"
INTERVAL = "urn:cemrisk:interval"

_ROUTE_TEXTS = {
    "B": "through the basivertebral vein",
    "S": "through a segmental vein",
    "C": "through a cortical defect",
    "D": "into the disc",
}
_CAUSE_TEXTS = {
    "same": "of a treated vertebra",
    "adjacent": "of an adjacent vertebra",
    "remote": "of a remote vertebra",
}


@dataclass(frozen=True, slots=True)
class About:
    """Whom and what an assessment is of: references, and the day of the operation from which horizons count."""

    subject: str | None
    basis: Sequence[str]
    operation: date
    notes: Sequence[str] = ()


def risk_assessments(answer: Mapping[str, Any], about: About) -> list[Json]:
    """The resources of an answer of ``/v1/risk``."""
    found = [_leakage(vertebra, answer, about) for vertebra in answer["leakage"] or ()]
    if answer["refracture"] is not None:
        found.append(_refracture(answer["refracture"], answer, about))
    return found


def bundle(answer: Mapping[str, Any], about: About) -> Json:
    """A collection of the assessments."""
    entries = [{"resource": resource} for resource in risk_assessments(answer, about)]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": answer["answered_at"], "entry": entries}


def _leakage(vertebra: Mapping[str, Any], answer: Mapping[str, Any], about: About) -> Json:
    level, way = vertebra["level"], vertebra["detection"]
    when = _period(about.operation, 0)
    outcome = _outcome("leakage", f"Cement leakage at {level}, as {way} would show it")
    predictions = [_prediction(outcome, vertebra["risk"], when, vertebra["interval"])]
    for route in ROUTES if vertebra["routes"] is not None else ():
        outcome = _outcome(
            f"leakage-{route}", f"Cement leakage at {level} {_ROUTE_TEXTS[route]}, as {way} would show it"
        )
        predictions.append(_prediction(outcome, vertebra["routes"][route], when))
    made = _assessment("leakage", "Risk of cement leakage", answer, about, predictions, vertebra["explanation"])
    made["code"]["coding"].append({"system": DICTIONARY, "code": level})
    site = next((line for line in LEVELS if line.value == level and line.system == SNOMED), None)
    if site is not None:
        made["code"]["coding"].append({"system": SNOMED, "code": site.code, "display": site.display})
    made["code"]["text"] = f"Risk of cement leakage at {level}"
    return made


def _refracture(found: Mapping[str, Any], answer: Mapping[str, Any], about: About) -> Json:
    predictions = []
    for place, months in enumerate(found["horizons_months"]):
        when = _period(about.operation, HORIZON_DAYS[months])
        within = f"within {months} months of the operation"
        outcome = _outcome("refracture", f"New vertebral fracture {within}, death competing")
        predictions.append(_prediction(outcome, found["risk"][place], when, found["interval"][place]))
        for cause in CAUSES[:3]:
            outcome = _outcome(
                f"refracture-{cause}", f"New fracture {_CAUSE_TEXTS[cause]} {within}, as the first event"
            )
            predictions.append(_prediction(outcome, found["causes"][cause][place], when))
        outcome = _outcome("death", f"Death {within} before any new vertebral fracture")
        predictions.append(_prediction(outcome, found["death"][place], when))
    return _assessment(
        "refracture", "Risk of a new vertebral fracture", answer, about, predictions, found["explanation"]
    )


def _assessment(
    outcome: str,
    title: str,
    answer: Mapping[str, Any],
    about: About,
    predictions: list[Json],
    explanation: Mapping[str, Any],
) -> Json:
    model = answer["models"][outcome]
    described = f"{model['name']} version {model['version']} ({model['learner']}), sha256 {model['sha256']}"
    made: Json = {
        "resourceType": "RiskAssessment",
        "identifier": [{"system": REQUEST, "value": f"{answer['request_id']}"}],
        "status": "final",
        "method": {"coding": [{"system": MODEL, "code": model["name"]}], "text": described},
        "code": {"coding": [{"system": OUTCOME, "code": outcome}], "text": title},
        "subject": {"reference": about.subject} if about.subject else {"display": "the Patient that was sent"},
        "occurrenceDateTime": answer["answered_at"],
        "prediction": predictions,
        "note": [{"text": said} for said in _notes(outcome, answer, about, explanation)],
    }
    if about.basis:
        made["basis"] = [{"reference": reference} for reference in about.basis]
    return made


def _notes(outcome: str, answer: Mapping[str, Any], about: About, explanation: Mapping[str, Any]) -> list[str]:
    ranked = sorted(explanation["contributions"], key=lambda entry: -abs(entry["contribution"]))
    missing = sorted({entry["variable"] for entry in answer["missing"] if entry["outcome"] == outcome})
    said = [answer["notice"], *(entry["text"] for entry in ranked[:5])]
    if missing:
        said.append(f"not known: {', '.join(missing)}")
    said += [entry["detail"] for entry in answer["warnings"] if entry["outcome"] in (None, outcome)]
    return [*dict.fromkeys([*said, *about.notes])]


def _outcome(code: str, text: str) -> Json:
    return {"coding": [{"system": OUTCOME, "code": code}], "text": text}


def _prediction(outcome: Json, risk: float, when: Json, interval: Sequence[float] | None = None) -> Json:
    made = {"outcome": outcome, "probabilityDecimal": 100 * risk, "whenPeriod": when}
    if interval is None:
        return made
    low, high = (100 * bound for bound in interval)
    made["rationale"] = f"95 % interval {low:.1f} to {high:.1f} %"
    made["extension"] = [{"url": INTERVAL, "valueRange": {"low": _percent(low), "high": _percent(high)}}]
    return made


def _percent(value: float) -> Json:
    return {"value": value, "unit": "%", "system": UCUM, "code": "%"}


def _period(start: date, days: int) -> Json:
    return {"start": start.isoformat(), "end": (start + timedelta(days=days)).isoformat()}
