"""What the OpenAPI document says of the FHIR operation."""

from __future__ import annotations

from typing import Any

from serving.fhir.operation_outcome import MEDIA_TYPE

Json = dict[str, Any]

#: A patient, the order, two observations: the example of the API document and of docs/ehr.md.
EXAMPLE: Json = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {
            "resource": {
                "resourceType": "Patient",
                "id": "example",
                "gender": "female",
                "birthDate": "1953-02-01",
            }
        },
        {
            "resource": {
                "resourceType": "ServiceRequest",
                "id": "order",
                "status": "draft",
                "intent": "order",
                "subject": {"reference": "Patient/example"},
                "occurrenceDateTime": "2026-12-01",
                "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "22511"}]},
                "bodySite": [{"coding": [{"system": "http://snomed.info/sct", "code": "66794005"}]}],
            }
        },
        {
            "resource": {
                "resourceType": "Observation",
                "id": "t-score",
                "status": "final",
                "subject": {"reference": "Patient/example"},
                "effectiveDateTime": "2026-11-02",
                "code": {"coding": [{"system": "http://loinc.org", "code": "38267-1"}]},
                "valueQuantity": {"value": -3.1, "system": "http://unitsofmeasure.org", "code": "{T-score}"},
            }
        },
        {
            "resource": {
                "resourceType": "Observation",
                "id": "height",
                "status": "final",
                "subject": {"reference": "Patient/example"},
                "effectiveDateTime": "2026-11-20",
                "code": {"coding": [{"system": "urn:cemrisk:dictionary", "code": "fvah_mm"}]},
                "bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "66794005"}]},
                "valueQuantity": {"value": 1.72, "system": "http://unitsofmeasure.org", "code": "cm"},
            }
        },
    ],
}

_RESOURCE: Json = {"type": "object", "properties": {"resourceType": {"type": "string"}}, "required": ["resourceType"]}
_LIST: Json = {"type": "array", "items": {"type": "object"}}
#: One or the other: what a Bundle holds under "parameter" is not read, so nothing is said of it.
REQUEST: Json = {
    "type": "object",
    "oneOf": [
        {"properties": {"resourceType": {"const": "Bundle"}, "entry": _LIST}},
        {"properties": {"resourceType": {"const": "Parameters"}, "parameter": _LIST}},
    ],
    "required": ["resourceType"],
    "description": "Resources of one patient, FHIR R4",
}
_CONTENT: Json = {"schema": {"$ref": "#/components/schemas/FhirRequest"}, "example": EXAMPLE}
BODY: Json = {"requestBody": {"required": True, "content": {MEDIA_TYPE: _CONTENT, "application/json": _CONTENT}}}

_OUTCOME: Json = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}}
_TEXTS = {
    400: "Not JSON, or JSON that cannot be trusted",
    408: "The body took too long to arrive",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "The resources cannot be used: each issue says why",
    503: "No model has been released",
}
RESPONSES: dict[int | str, Json] = {
    200: {
        "description": "A Bundle of RiskAssessments, or a GuidanceResponse that says what has to be sent",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/FhirAnswer"}}},
    },
    **{code: {"description": said, **_OUTCOME} for code, said in _TEXTS.items()},
}
SCHEMAS: dict[str, Json] = {
    "FhirRequest": REQUEST,
    "FhirAnswer": {**_RESOURCE, "properties": {"resourceType": {"enum": ["Bundle", "GuidanceResponse"]}}},
    "OperationOutcome": {
        "type": "object",
        "properties": {"resourceType": {"const": "OperationOutcome"}, "issue": {**_LIST, "minItems": 1}},
        "required": ["resourceType", "issue"],
    },
}
