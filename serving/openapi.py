"""The OpenAPI 3.1 document: what a question may hold comes from the dictionary, as the reader's own tables do."""

from __future__ import annotations

from typing import Any

from features.ct.warnings import CT_WARNINGS
from features.dictionary import VARIABLES, Moment, Scope, Variable
from features.outcome import CAUSES, ROUTES
from features.rules import MOST_VERTEBRAE
from serving.ask import SAMPLE
from serving.cds_hooks.openapi import EXAMPLES as CDS_EXAMPLES
from serving.cds_hooks.openapi import SCHEMAS as CDS_SCHEMAS
from serving.fhir.openapi import SCHEMAS as FHIR_SCHEMAS
from serving.fhir.operation_outcome import MEDIA_TYPE as FHIR_TYPE
from serving.fhir.operation_outcome import speaks_fhir
from serving.policy import POLICY
from serving.problem import PROBLEM_TYPE, TITLES
from serving.schema import (
    CT_FIELDS,
    DETECTIONS,
    LONGEST_CASE_ID,
    MOMENTS,
    MOST_CASES,
    MOST_CT_WARNINGS,
    REQUIRED,
    accepted_variables,
)
from serving.served import HORIZONS_MONTHS
from serving.switch import LONGEST_REASON, REASON

Json = dict[str, Any]

_JSON_TYPES = {"number": "number", "integer": "integer", "flag": "boolean", "multi": "array"}
_PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}
_INTERVAL: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_TEXT: Json = {"type": "string"}


def ref(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def variable_schema(variable: Variable, required: bool) -> Json:
    """What one variable may be; null is unknown, except where a value is required."""
    kind = _JSON_TYPES.get(variable.kind, "string")
    schema: Json = {"type": kind if required else [kind, "null"], "description": _described(variable)}
    if variable.kind == "multi":
        schema |= {"items": {"enum": list(variable.choices)}, "uniqueItems": True, "minItems": 1}
    elif variable.choices:
        schema["enum"] = [*variable.choices] if required else [*variable.choices, None]
    if variable.lowest is not None:
        schema["minimum"] = variable.lowest
    if variable.highest is not None:
        schema["maximum"] = variable.highest
    return schema


def _described(variable: Variable) -> str:
    unit = f", in {variable.unit}" if variable.unit else ""
    usual = f" Treated patients have {variable.describe_plausible()}." if variable.describe_plausible() else ""
    return f"{variable.label}{unit}. {variable.definition}.{usual}"


def _facts(scope: Scope) -> Json:
    """Variables of later moments are listed too: a question after surgery may hold them."""
    required = REQUIRED[scope]
    variables = accepted_variables(scope, Moment.POSTOP)
    properties = {v.name: variable_schema(v, v.name in required) for v in variables}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def question_schema() -> Json:
    """A question: what is said here is enforced; the rules across variables come on top."""
    vertebrae = {"type": "array", "items": ref("Vertebra"), "minItems": 1, "maxItems": MOST_VERTEBRAE}
    case_id = {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": LONGEST_CASE_ID,
        "description": "A pseudonym of your own; never an admission number",
    }
    return {
        "type": "object",
        "properties": {
            "case_id": case_id,
            "moment": {
                "enum": [*MOMENTS, None],
                "description": "preop (the default): facts and plan; postop: the operation too",
            },
            "detection": {"enum": [*DETECTIONS, None], "description": "How leaks will be looked for; CT by default"},
            "patient": ref("Patient"),
            "vertebrae": vertebrae,
            "ct": _ct_schema(),
        },
        "required": ["patient", "vertebrae"],
        "additionalProperties": False,
    }


def _ct_schema() -> Json:
    """Warnings of a scan: those of the whole scan have no level, the others must have one."""
    codes: Json = {"enum": list(CT_WARNINGS)}
    of_scan = [code for code, known in CT_WARNINGS.items() if known.of_scan]
    level = {"enum": list(VARIABLES["level"].choices)}
    item = {
        "type": "object",
        "properties": {"code": codes, "level": {"enum": [*VARIABLES["level"].choices, None]}},
        "required": [CT_FIELDS[0]],
        "additionalProperties": False,
        "if": {"properties": {"code": {"enum": of_scan}}},
        "then": {"properties": {"level": {"type": "null"}}},
        "else": {"properties": {"level": level}, "required": [CT_FIELDS[1]]},
    }
    described = "What cemrisk ct warned of, in its codes; the answer says each in words among its warnings"
    return {"type": ["array", "null"], "items": item, "maxItems": MOST_CT_WARNINGS, "description": described}


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    """An object of an answer: fields may be added to it later, none of these removed."""
    return {"type": "object", "properties": properties, "required": [p for p in properties if p not in optional]}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _by_horizon(items: Json) -> Json:
    count = len(HORIZONS_MONTHS)
    return {"type": "array", "items": items, "minItems": count, "maxItems": count}


def _what_if(by_horizon: bool) -> Json:
    def wrap(schema: Json) -> Json:
        return _by_horizon(schema) if by_horizon else schema

    return _object(
        {
            "variable": _TEXT,
            "level": {"type": ["string", "null"]},
            "from": {},
            "to": {},
            "risk": wrap(_PROBABILITY),
            "interval": wrap(_INTERVAL),
            "difference": wrap({"type": "number"}),
            "difference_interval": wrap(_INTERVAL),
            "evidence": {"enum": ["trial", "association"]},
        }
    )


def _explanation() -> Json:
    entry = {"variable": _TEXT, "value": {}, "contribution": {"type": "number"}, "text": _TEXT}
    return _object(
        {
            "horizon_months": {"type": "integer"},
            "scale": {"enum": ["log_odds", "complementary_log_log"]},
            "base": {"type": "number"},
            "total": {"type": "number"},
            "contributions": _list(_object(entry)),
        },
        optional=("horizon_months",),
    )


def _leakage() -> Json:
    return _object(
        {
            "level": _TEXT,
            "risk": _PROBABILITY,
            "interval": _INTERVAL,
            "average": _PROBABILITY,
            "detection": {"enum": list(DETECTIONS)},
            "routes": {"anyOf": [_object(dict.fromkeys(ROUTES, _PROBABILITY)), {"type": "null"}]},
            "by_learner": {"type": "object", "additionalProperties": _PROBABILITY},
            "explanation": ref("Explanation"),
            "what_if": _list(_what_if(by_horizon=False)),
        }
    )


def _refracture() -> Json:
    risks = _by_horizon(_PROBABILITY)
    return _object(
        {
            "landmark_day": {"type": "integer", "description": "The day after the procedure from which horizons count"},
            "horizons_months": _by_horizon({"type": "integer"}),
            "risk": risks,
            "interval": _by_horizon(_INTERVAL),
            "average": risks,
            "causes": _object(dict.fromkeys(CAUSES[:3], risks)),
            "death": risks,
            "by_learner": {"type": "object", "additionalProperties": risks},
            "explanation": ref("Explanation"),
            "what_if": _list(_what_if(by_horizon=True)),
        }
    )


def answer_schema() -> Json:
    """An answer to one question."""
    nothing: Json = {"type": "null"}
    missing = {
        "variable": _TEXT,
        "outcome": _TEXT,
        "level": {"type": ["string", "null"]},
        "horizon_months": {"type": ["integer", "null"]},
        "lowest_risk": _PROBABILITY,
        "highest_risk": _PROBABILITY,
    }
    warning = {
        "code": _TEXT,
        "variable": {"type": ["string", "null"]},
        "level": {"type": ["string", "null"]},
        "outcome": {"type": ["string", "null"]},
        "detail": _TEXT,
    }
    return _object(
        {
            "request_id": _TEXT,
            "answered_at": {"type": "string", "format": "date-time"},
            "moment": {"enum": list(MOMENTS)},
            "detection": {"enum": list(DETECTIONS)},
            "data_status": {"enum": ["synthetic", "registry"]},
            "notice": _TEXT,
            "leakage": {"anyOf": [_list(_leakage()), nothing]},
            "refracture": {"anyOf": [_refracture(), nothing]},
            "missing": _list(_object(missing)),
            "warnings": _list(_object(warning)),
            "models": {"type": "object", "additionalProperties": ref("Model")},
        }
    )


def problem_schema() -> Json:
    """An error, RFC 9457."""
    fault = _object({"pointer": _TEXT, "code": _TEXT, "detail": _TEXT})
    return _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "code": {"enum": list(TITLES)},
            "detail": _TEXT,
            "errors": _list(fault),
        }
    )


def _reason_schema() -> Json:
    """Why a model is stopped."""
    why = {"type": "string", "minLength": 1, "maxLength": LONGEST_REASON, "pattern": REASON}
    return {"type": "object", "properties": {"why": why}, "required": ["why"], "additionalProperties": False}


def schemas() -> Json:
    """All schemas of the document by name."""
    version = {"version": _TEXT, "sha256": _TEXT}
    by_learner = {"type": "object", "additionalProperties": _object(version)}
    case = {
        "answer": {"anyOf": [ref("Answer"), {"type": "null"}]},
        "problem": {"anyOf": [ref("Problem"), {"type": "null"}]},
    }
    # Anything may stand in the place of a question; what is none gets a problem in its place.
    case_or_not: Json = {"anyOf": [ref("Question"), {}]}
    cases = {"type": "array", "items": case_or_not, "minItems": 1, "maxItems": MOST_CASES}
    return {
        "Patient": _facts("patient"),
        "Vertebra": _facts("vertebra"),
        "Question": question_schema(),
        "Batch": {
            "type": "object",
            "properties": {"cases": cases},
            "required": ["cases"],
            "additionalProperties": False,
            "description": "A case that is not valid gets a problem in its place; the others are answered.",
        },
        "Reason": _reason_schema(),
        "Explanation": _explanation(),
        "Model": _object(
            {
                "name": _TEXT,
                "learner": _TEXT,
                "training_id": _TEXT,
                "release": _TEXT,
                **version,
                "by_learner": by_learner,
            }
        ),
        "Answer": answer_schema(),
        "BatchAnswer": _object({"cases": _list(_object(case))}),
        "Problem": problem_schema(),
        **CDS_SCHEMAS,
        **FHIR_SCHEMAS,
    }


def body(name: str) -> Json:
    """The request body of an operation."""
    examples: dict[str, Json] = {
        "Question": SAMPLE,
        "Batch": {"cases": [SAMPLE]},
        "Reason": {"why": "is being checked"},
        **CDS_EXAMPLES,
    }
    return {"requestBody": {"required": True, "content": {"application/json": _with_example(name, examples)}}}


def _with_example(name: str, examples: dict[str, Json]) -> Json:
    return {"schema": ref(name)} | ({"example": examples[name]} if name in examples else {})


def guard(document: Json) -> None:
    """Add to every operation what the door may answer, and the key that it asks for, as the policy says."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An access key, where keys are in use"}
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            needed = POLICY[method.upper(), path]
            operation["security"] = [{"key": []}] if needed else []
            if needed:
                operation["description"] += f" Where keys are in use, one with the role {' or '.join(sorted(needed))}."
            # An address with a # in it is cut there by clients, and is then another one.
            cut = (404, 405) if "{" in path else ()
            for code in (*((401, 403, 429, 503) if needed else (403, 503)), *cut):
                operation["responses"].setdefault(str(code), _refused(code, path))
                if code in _HEADERS:
                    operation["responses"][str(code)]["headers"] = _HEADERS[code]


_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    403: {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    405: {"Allow": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
}


def _refused(code: int, path: str) -> Json:
    texts = {
        401: "No access key, or one that opens nothing",
        404: "There is no such thing",
        405: "This address does not take this method",
        403: "The key is good for something else, or there are no keys and this is not the service's own machine",
        429: "More than the key may ask",
        503: "The service is busy, or cannot answer now",
    }
    if speaks_fhir(path):
        return {"description": texts[code], "content": {FHIR_TYPE: {"schema": ref("OperationOutcome")}}}
    return {"description": texts[code], "content": {PROBLEM_TYPE: {"schema": ref("Problem")}}}


def responses(schema: Json, *codes: int) -> dict[int | str, Json]:
    """200 with the schema, and a problem for each of the other statuses."""
    problem = {"content": {PROBLEM_TYPE: {"schema": ref("Problem")}}}
    texts = {
        400: "Not JSON, or JSON that cannot be trusted",
        408: "The body took too long to arrive",
        404: "There is no such thing",
        412: "Data that the answer needs were not sent",
        413: "The body is too large",
        415: "The body is not declared as JSON",
        422: "The question cannot be answered: errors says why",
        503: "No model has been released",
    }
    answered: dict[int | str, Json] = {
        200: {"description": "Answered", "content": {"application/json": {"schema": schema}}}
    }
    return answered | {code: {"description": texts[code], **problem} for code in codes}
