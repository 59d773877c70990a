"""A call of a hook, read strictly where the specification is strict, and tolerant of what EHRs add to it.

``fhirServer`` and ``fhirAuthorization`` are not read: the service asks nobody for data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from serving.cds_hooks.discovery import HOOKS, PREFETCH
from serving.fhir.reading import at
from serving.problem import DataMissing, Fault, QuestionRejected

UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """``resources``: pointer into the call and what stands there; ``sent``: the prefetch keys that came with it."""

    hook: str
    patient: str
    resources: tuple[tuple[str, Any], ...]
    sent: frozenset[str]


def read_call(body: Any) -> Call:
    """Raises ``QuestionRejected`` with all faults, ``DataMissing`` if the patient was not sent."""
    if not isinstance(body, dict):
        raise QuestionRejected([Fault("", "wrong_type", "expected an object with hook, hookInstance and context")])
    faults: list[Fault] = []
    if body.get("hook") not in HOOKS:
        faults.append(Fault("/hook", "unknown_choice", f"hook: expected one of {', '.join(HOOKS)}"))
    instance = body.get("hookInstance")
    if not isinstance(instance, str) or not re.fullmatch(UUID.strip("^$"), instance):
        faults.append(Fault("/hookInstance", "wrong_type", "hookInstance: expected a UUID"))
    patient, drafts = _context(body, faults)
    prefetch = _prefetch(body.get("prefetch"), faults)
    if faults:
        raise QuestionRejected(faults)
    sent = frozenset(name for name, value in prefetch.items() if _is_data(value))
    if "patient" not in sent:
        detail = "patient: was not prefetched, and the service asks no FHIR server for it"
        raise DataMissing([Fault("/prefetch/patient", "required", detail)])
    resources = [(f"/prefetch/{name}", value) for name, value in prefetch.items()]
    if body["hook"] == "order-sign":
        resources.append(("/context/draftOrders", drafts))
    return Call(body["hook"], patient, tuple(resources), sent)


def _context(body: dict[str, Any], faults: list[Fault]) -> tuple[str, Any]:
    """The id of the patient, and the orders that are about to be signed."""
    patient, drafts = at(body, "context", "patientId"), at(body, "context", "draftOrders")
    if not isinstance(patient, str) or not _ID.fullmatch(patient):
        faults.append(Fault("/context/patientId", "required", "patientId: the id of a FHIR Patient is needed"))
    if body.get("hook") == "order-sign" and not isinstance(drafts, dict):
        detail = "draftOrders: a Bundle of the orders to sign is needed"
        faults.append(Fault("/context/draftOrders", "required", detail))
    return str(patient), drafts


def _prefetch(value: Any, faults: list[Fault]) -> dict[str, Any]:
    """Keys that we did not ask for are passed over, names and all: nobody knows what they hold."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.append(Fault("/prefetch", "wrong_type", "prefetch: expected an object"))
        return {}
    found = {name: value[name] for name in PREFETCH if name in value}
    for name, one in found.items():
        if one is not None and not isinstance(one, dict):
            faults.append(Fault(f"/prefetch/{name}", "wrong_type", f"{name}: expected a resource, a Bundle or null"))
    return found


def _is_data(value: Any) -> bool:
    """A resource; null and an error of the EHR's own server are none."""
    return isinstance(value, dict) and value.get("resourceType") != "OperationOutcome"
