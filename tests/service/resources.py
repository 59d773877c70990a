"""FHIR resources of one patient in one call each: the contract's example as an EHR would send it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from features.dictionary import VARIABLES
from serving.fhir.codes import DICTIONARY, LEVELS
from serving.fhir.units import NAMES, PURE, UCUM

Json = dict[str, Any]

SUBJECT = {"reference": "Patient/p1"}
#: On the day of the operation she is 73.
PATIENT: Json = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1953-02-01"}
OPERATION = "2026-12-01"


def concept(*codings: tuple[str, str]) -> Json:
    return {"coding": [{"system": system, "code": code} for system, code in codings]}


def site(level: str) -> Json:
    """A body site, by SNOMED CT where it has a code for the level."""
    line = next(line for line in LEVELS if line.value == level)
    return concept((line.system, line.code))


def order(*levels: str, code: tuple[str, str] = (DICTIONARY, "PVP"), **others: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": "order-1",
        "status": "draft",
        "intent": "order",
        "subject": SUBJECT,
        "occurrenceDateTime": OPERATION,
        "code": concept(code),
        "bodySite": [site(level) for level in levels],
        **others,
    }


def quantity(value: float, unit: str) -> Json:
    return {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}


def observation(code: tuple[str, str], value: Json, level: str | None = None, **others: Any) -> Json:
    made: Json = {
        "resourceType": "Observation",
        "id": f"o-{code[1].replace('_', '-')}-{level or 'p'}",
        "status": "final",
        "subject": SUBJECT,
        "effectiveDateTime": "2026-11-01T08:00:00Z",
        "code": concept(code),
        **value,
    }
    return made | ({} if level is None else {"bodySite": site(level)}) | others


def condition(code: tuple[str, str], **others: Any) -> Json:
    return {"resourceType": "Condition", "id": f"c-{code[1]}", "subject": SUBJECT, "code": concept(code), **others}


def bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def _value(name: str, value: Any) -> Json:
    """In the dictionary's own unit and words."""
    variable = VARIABLES[name]
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, str):
        return {"valueCodeableConcept": concept((DICTIONARY, value))}
    if isinstance(value, list):
        return {"valueCodeableConcept": concept(*((DICTIONARY, one) for one in value))}
    unit = next((code for code, unit in NAMES.items() if unit == variable.unit), "1")
    assert unit != "1" or variable.unit in PURE, name
    return quantity(value, unit)


def resources_of(question: Mapping[str, Any]) -> list[Json]:
    """A question of ``/v1/risk`` as resources, every variable under our own code; the age as a birthday."""
    facts, born = question["patient"], f"{2026 - int(question['patient']['age_years'])}-02-01"
    made = [PATIENT | {"gender": facts["sex"], "birthDate": born}]
    for index, vertebra in enumerate(question["vertebrae"]):
        plan = (DICTIONARY, vertebra["procedure"])
        made.append(order(vertebra["level"], code=plan, id=f"order-{index}"))
    for name, value in facts.items():
        if name not in ("sex", "age_years") and value is not None:
            made.append(observation((DICTIONARY, name), _value(name, value)))
    for vertebra in question["vertebrae"]:
        for name, value in vertebra.items():
            if name not in ("level", "procedure") and value is not None:
                made.append(observation((DICTIONARY, name), _value(name, value), vertebra["level"]))
    return copy.deepcopy(made)


def prefetched(resources: list[Json]) -> Json:
    """As an EHR prefetches them: the patient by himself, the others as search results."""
    keys = {
        "orders": "ServiceRequest",
        "observations": "Observation",
        "conditions": "Condition",
        "procedures": "Procedure",
        "medicationRequests": "MedicationRequest",
        "medicationStatements": "MedicationStatement",
    }
    found: Json = {"patient": next(one for one in resources if one["resourceType"] == "Patient")}
    for key, kind in keys.items():
        chosen = [one for one in resources if one["resourceType"] == kind]
        found[key] = bundle(*chosen) | {"type": "searchset"}
    return found
