"""Errors over HTTP: one shape for all of them, RFC 9457, with every fault at once and never a value that was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import CemriskError, InputRejected, NotReady

PROBLEM_TYPE = "application/problem+json"

#: Code of a problem -> its title. ``/docs`` explains each under its code.
TITLES: Mapping[str, str] = {
    "malformed_http": "The request is not HTTP",
    "malformed_json": "The body is not JSON",
    "not_utf8": "The body is not UTF-8",
    "not_finite": "A number of the body is not finite",
    "lone_surrogate": "The body holds half a character",
    "duplicate_key": "A key stands twice",
    "too_deep": "The body is nested too deeply",
    "no_key": "An access key is needed",
    "wrong_key": "The access key is not known",
    "key_expired": "The access key has expired",
    "key_revoked": "The access key was revoked",
    "tokens_unavailable": "The token of the health record could not be put on record",
    "role_missing": "The access key does not allow this",
    "keys_needed": "Without access keys only this machine is answered",
    "keys_unreadable": "The access keys cannot be read",
    "not_found": "There is nothing at this address",
    "method_not_allowed": "This address does not take this method",
    "body_too_large": "The body is too large",
    "media_type": "The body must be JSON",
    "invalid_question": "The question cannot be answered as it stands",
    "out_of_scope": "The models do not know such a patient",
    "data_missing": "Data that the answer needs were not sent",
    "feedback_unavailable": "The feedback could not be put on record",
    "slow_body": "The body took too long to arrive",
    "too_many_questions": "Too many questions",
    "too_many_at_once": "Too many requests at once",
    "busy": "The service is busy",
    "model_stopped": "The model is stopped",
    "not_ready": "There is no released model to answer with",
    "log_unavailable": "The answer could not be put on record",
    "internal_error": "The service failed",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a question: where (a JSON pointer, RFC 6901), its code, and what to do."""

    pointer: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"pointer": self.pointer, "code": self.code, "detail": self.detail}


class QuestionRejected(InputRejected):
    """A question that was read and cannot be answered; ``faults`` holds all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("the question cannot be answered as it stands; errors says why")
        self.faults = tuple(faults)

    @property
    def code(self) -> str:
        """``out_of_scope`` if nothing else is wrong."""
        return "out_of_scope" if {fault.code for fault in self.faults} == {"out_of_scope"} else "invalid_question"


class DataMissing(QuestionRejected):
    """What the answer needs was not sent, and the service asks nobody else for it."""

    http_status = 412

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.args = ("the answer needs data that were not sent; errors says which",)

    @property
    def code(self) -> str:
        return "data_missing"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is sent instead of an answer."""

    status: int
    code: str
    detail: str
    errors: tuple[Fault, ...] = field(default=())
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "type": f"/docs#{self.code}",
            "title": TITLES[self.code],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [fault.as_json() for fault in self.errors],
        }


INTERNAL = Problem(500, "internal_error", "the service failed; the fault is in its log, without what you sent")
MALFORMED_HTTP = Problem(400, "malformed_http", "the bytes that came are no HTTP request; nothing of it was read")
NOT_FOUND = Problem(404, "not_found", "see /docs for the addresses that there are")
METHOD_NOT_ALLOWED = Problem(405, "method_not_allowed", "see the Allow header, and /docs for what each address takes")


def problem_of(error: CemriskError) -> Problem:
    """The problem that tells of an error which cemrisk raised on purpose."""
    if isinstance(error, QuestionRejected):
        return Problem(error.http_status, error.code, str(error), error.faults)
    code = getattr(error, "code", "not_ready" if isinstance(error, NotReady) else "internal_error")
    if code not in TITLES or code == "internal_error":
        return INTERNAL
    return Problem(error.http_status, code, str(error), headers=getattr(error, "headers", {}))


def response_of(problem: Problem) -> Response:
    """The problem as a response."""
    return Response(orjson.dumps(problem.as_json()), problem.status, dict(problem.headers), PROBLEM_TYPE)


def refusal_of(error: Exception) -> Problem:
    """What cemrisk refused on purpose, and what Starlette raises for an address or a method that there is not."""
    if isinstance(error, CemriskError):
        return problem_of(error)
    assert isinstance(error, HTTPException)
    known = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}.get(error.status_code, INTERNAL)
    return replace(known, headers=dict(error.headers or {}))
