"""Errors in the form that FHIR demands. Like every error here they hold no value that was sent, and no identifier."""

from __future__ import annotations

import re

import orjson
from starlette.responses import Response

from serving.fhir.reading import Json
from serving.problem import Problem

MEDIA_TYPE = "application/fhir+json"
#: Addresses below this one speak FHIR, errors and all.
PREFIX = "/fhir/"

#: Code of a problem -> code of an issue (value set issue-type); by status where it does not stand here.
_ISSUES = {"out_of_scope": "business-rule", "no_key": "login", "key_expired": "expired", "log_unavailable": "no-store"}
_BY_STATUS = {
    400: "structure", 401: "security", 403: "forbidden", 404: "not-found", 405: "not-supported", 408: "timeout",
    413: "too-long", 415: "not-supported", 422: "processing", 429: "throttled", 503: "transient",
}  # fmt: skip
_FAULTS = {
    "required": "required",
    "unknown_unit": "code-invalid",
    "unknown_choice": "code-invalid",
    "out_of_scope": "business-rule",
    "differs": "conflict",
    "other_patient": "invariant",
    "several_patients": "invariant",
}


def speaks_fhir(path: str) -> bool:
    """Whether what stands at the address is FHIR."""
    return path.startswith(PREFIX)


def operation_outcome(problem: Problem) -> Json:
    """One issue for each fault, or one for the problem itself."""
    issues = [
        _issue(_FAULTS.get(fault.code, "value"), fault.code, fault.detail, fault.pointer) for fault in problem.errors
    ]
    whole = _ISSUES.get(problem.code, _BY_STATUS.get(problem.status, "exception"))
    return {
        "resourceType": "OperationOutcome",
        "issue": issues or [_issue(whole, problem.code, problem.detail, "")],
    }


def outcome_response(problem: Problem) -> Response:
    """The problem as a response of a FHIR server."""
    return Response(orjson.dumps(operation_outcome(problem)), problem.status, dict(problem.headers), MEDIA_TYPE)


def _issue(issue: str, code: str, detail: str, pointer: str) -> Json:
    made: Json = {
        "severity": "fatal" if issue == "exception" else "error",
        "code": issue,
        "details": {"text": code},
        "diagnostics": detail,
    }
    return made | ({"expression": [expression(pointer)]} if pointer else {})


def expression(pointer: str) -> str:
    """A JSON pointer into a request as a FHIRPath: ``/entry/2/resource`` is ``entry[2].resource``."""
    return re.sub(r"\.([0-9]+)(?=\.|$)", r"[\1]", pointer.strip("/").replace("/", "."))
