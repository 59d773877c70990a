"""What the OpenAPI document says of CDS Hooks."""

from __future__ import annotations

from typing import Any

from serving.cds_hooks.call import UUID
from serving.cds_hooks.discovery import HOOKS
from serving.cds_hooks.feedback import MOST, OUTCOMES
from serving.fhir.openapi import EXAMPLE as BUNDLE

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_RESOURCE: Json = {"type": ["object", "null"]}


def _prefetch() -> Json:
    patient, *others = (entry["resource"] for entry in BUNDLE["entry"])
    found: Json = {"patient": patient}
    for name, kind in (("orders", "ServiceRequest"), ("observations", "Observation")):
        entries = [{"resource": resource} for resource in others if resource["resourceType"] == kind]
        found[name] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    return found


#: A call of ``patient-view``, with the same patient as the example of the FHIR operation.
EXAMPLE: Json = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/example", "patientId": "example"},
    "prefetch": _prefetch(),
}

_DRAFTS: Json = {"properties": {"draftOrders": {"type": "object"}}, "required": ["draftOrders"]}
_CALL: Json = {
    "type": "object",
    "properties": {
        "hook": {"enum": list(HOOKS)},
        "hookInstance": {"type": "string", "pattern": UUID},
        "context": {
            "type": "object",
            "properties": {"patientId": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}},
            "required": ["patientId"],
        },
        "prefetch": {"type": ["object", "null"], "properties": dict.fromkeys(("patient", "orders"), _RESOURCE)},
    },
    "required": ["hook", "hookInstance", "context"],
    "if": {"properties": {"hook": {"const": "order-sign"}}},
    "then": {
        "properties": {"context": {"properties": {"draftOrders": {"type": "object"}}, "required": ["draftOrders"]}}
    },
}
_FEEDBACK: Json = {
    "type": "object",
    "properties": {
        "feedback": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST,
            "items": {
                "type": "object",
                "properties": {
                    "card": {"type": "string", "pattern": UUID},
                    "outcome": {"enum": list(OUTCOMES)},
                    "overrideReason": {"type": ["object", "null"]},
                    "outcomeTimestamp": {"type": "string", "format": "date-time"},
                },
                "required": ["card", "outcome", "outcomeTimestamp"],
            },
        }
    },
    "required": ["feedback"],
}
_CARD: Json = {
    "type": "object",
    "properties": {
        "uuid": _TEXT,
        "summary": {"type": "string", "maxLength": 139},
        "detail": _TEXT,
        "indicator": {"enum": ["info", "warning"]},
        "source": {"type": "object", "required": ["label"]},
        "overrideReasons": {"type": "array", "items": {"type": "object"}},
        "links": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["uuid", "summary", "indicator", "source"],
}
_SERVICE: Json = {"type": "object", "required": ["hook", "description", "id", "prefetch"]}
SCHEMAS: dict[str, Json] = {
    "CdsCall": _CALL,
    "CdsCards": {
        "type": "object",
        "properties": {"cards": {"type": "array", "items": _CARD}},
        "required": ["cards"],
    },
    "CdsFeedback": _FEEDBACK,
    "CdsServices": {
        "type": "object",
        "properties": {"services": {"type": "array", "items": _SERVICE}},
        "required": ["services"],
    },
}
FEEDBACK_EXAMPLE: Json = {
    "feedback": [
        {
            "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
            "outcome": "overridden",
            "overrideReason": {"reason": {"system": "urn:cemrisk:override-reason", "code": "plan-adapted"}},
            "outcomeTimestamp": "2026-11-21T10:00:00Z",
        }
    ]
}
EXAMPLES: dict[str, Json] = {"CdsCall": EXAMPLE, "CdsFeedback": FEEDBACK_EXAMPLE}
