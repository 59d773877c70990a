"""``GuidanceResponse`` with the status ``data-required``: what has to be sent before there can be an answer."""

from __future__ import annotations

from collections.abc import Sequence

from serving.fhir.codes import AUGMENTATIONS, LEVELS, codings_of
from serving.fhir.reading import Json

MODULE = "urn:cemrisk:vertebral-augmentation-risk"
_PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"


def data_required(missing: Sequence[str], subject: str | None, at: str) -> Json:
    """``missing``: names as in ``Mapped.missing``; ``at``: now, ISO 8601."""
    made: Json = {
        "resourceType": "GuidanceResponse",
        "moduleUri": MODULE,
        "status": "data-required",
        "occurrenceDateTime": at,
        "note": [{"text": TEXTS[name]} for name in missing],
        "dataRequirement": [requirement for name in missing for requirement in _requirements(name)],
    }
    return made | ({"subject": {"reference": subject}} if subject else {})


TEXTS = {
    "patient": "The Patient is needed, with gender and birthDate",
    "sex": "Patient.gender must be female or male: the models know the recorded sex only",
    "age_years": "Patient.birthDate is needed to the day, or an Observation of the age in years",
    "procedure": "A ServiceRequest is needed that orders the vertebroplasty or kyphoplasty",
    "level": "ServiceRequest.bodySite must name every vertebra that is to be treated, by a code that is known",
}


def _requirements(name: str) -> list[Json]:
    if name in ("patient", "sex"):
        return [_patient("gender")] + ([_patient("birthDate")] if name == "patient" else [])
    if name == "age_years":
        observed = [{"system": c["system"], "code": c["code"], "display": c["display"]} for c in codings_of(name)]
        code = {"path": "code", "code": observed}
        return [_patient("birthDate"), {"type": "Observation", "mustSupport": ["value"], "codeFilter": [code]}]
    ordered = [{"system": line.system, "code": line.code, "display": line.display} for line in AUGMENTATIONS]
    filters: list[Json] = [{"path": "code", "code": ordered}]
    if name == "level":
        sites = [{"system": line.system, "code": line.code, "display": line.display} for line in LEVELS]
        filters.append({"path": "bodySite", "code": sites})
    must = ["bodySite"] if name == "level" else ["code", "bodySite"]
    return [{"type": "ServiceRequest", "mustSupport": must, "codeFilter": filters}]


def _patient(element: str) -> Json:
    return {"type": "Patient", "profile": [_PATIENT], "mustSupport": [element]}
