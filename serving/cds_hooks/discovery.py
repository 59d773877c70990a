"""What the service offers to an EHR: one service at two moments, with the data that it would like to be sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serving.fhir import codes
from serving.fhir.codes import Code

SERVICE = "vertebral-augmentation-risk"
BASE = "/cds-services"
HOOKS = ("patient-view", "order-sign")

_PATIENT = "{{context.patientId}}"
_TITLE = "Risk before vertebroplasty or kyphoplasty"
_DESCRIPTION = (
    "Risk of cement leakage by route and of a new vertebral fracture within 3, 12 and 24 months, "
    "for a patient with an order of a vertebroplasty or kyphoplasty"
)


def _tokens(lines: Iterable[Code]) -> str:
    """Codes as a search takes them; of a system of our own, all that it has."""
    given = dict.fromkeys(f"{line.system}|{line.code}" for line in lines if line.system != codes.DICTIONARY)
    return ",".join([*given, f"{codes.DICTIONARY}|"])


#: Prefetch key -> the query. ``patient`` must be sent, at ``patient-view`` the ``orders`` too; the rest is welcome.
PREFETCH = {
    "patient": f"Patient/{_PATIENT}",
    "orders": f"ServiceRequest?patient={_PATIENT}&status=draft,active,on-hold&code={_tokens(codes.AUGMENTATIONS)}",
    "observations": f"Observation?patient={_PATIENT}&status=final,amended,corrected&code={_tokens(codes.OBSERVED)}",
    "conditions": f"Condition?patient={_PATIENT}",
    "procedures": f"Procedure?patient={_PATIENT}&status=completed&code={_tokens(codes.AUGMENTATIONS)}",
    "medicationRequests": f"MedicationRequest?patient={_PATIENT}&status=draft,active",
    "medicationStatements": f"MedicationStatement?patient={_PATIENT}&status=active,intended",
}


def services() -> dict[str, Any]:
    """The answer of the discovery endpoint. One id may stand for several hooks: advice is then updated, not doubled."""
    return {
        "services": [
            {"hook": hook, "title": _TITLE, "description": _DESCRIPTION, "id": SERVICE, "prefetch": PREFETCH}
            for hook in HOOKS
        ]
    }
