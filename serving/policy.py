"""Who may do what over HTTP: one line for each route and method. A route that has no line here cannot be added.

Whoever adds a route adds its line to ``POLICY``; the application refuses to be made otherwise. In an endpoint,
``caller(request)`` tells who asks: ``caller(request).key_id`` is what the query log keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class Role(StrEnum):
    """What a key may be used for. A key has one or more of them; none includes another."""

    ASK = "ask"
    READ_LOG = "read-log"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: ``key_id`` of the key that was shown, None where no keys are in use."""

    key_id: str | None
    roles: frozenset[Role]


#: Who embeds the application without a door has one of his own.
ANYBODY = Caller(None, frozenset(Role))
#: Without keys the service answers its own machine only, and nobody can switch anything over HTTP.
THIS_MACHINE = Caller(None, frozenset({Role.ASK, Role.READ_LOG}))

OPEN: frozenset[Role] = frozenset()
ASK = frozenset({Role.ASK})
READ_LOG = frozenset({Role.READ_LOG})
ADMINISTER = frozenset({Role.ADMINISTER})

#: Method and pattern of a route -> roles of which a key needs one; ``OPEN`` needs no key. Open is only what a page
#: needs before a key was typed into it, and what a supervisor asks: none of it tells of a patient.
POLICY: Mapping[tuple[str, str], frozenset[Role]] = {
    ("POST", "/v1/risk"): ASK,
    ("POST", "/v1/risk/batch"): ASK,
    ("GET", "/v1/dictionary"): OPEN,
    ("GET", "/v1/models"): ASK,
    ("GET", "/v1/models/{outcome}"): ASK,
    ("POST", "/v1/models/{outcome}/stop"): ADMINISTER,
    ("POST", "/v1/models/{outcome}/resume"): ADMINISTER,
    ("GET", "/v1/nomogram/{outcome}"): ASK,
    ("GET", "/cds-services"): OPEN,
    ("POST", "/cds-services/vertebral-augmentation-risk"): ASK,
    ("POST", "/cds-services/vertebral-augmentation-risk/feedback"): ASK,
    ("POST", "/fhir/$vertebral-augmentation-risk"): ASK,
    ("GET", "/"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): READ_LOG | ADMINISTER,
}

#: Asked by supervisors; they are answered however much else there is to do.
PROBES = frozenset({"/livez", "/readyz"})

_CALLER = "cemrisk.caller"


def caller(request: HTTPConnection) -> Caller:
    """Who asks; the door has let him in before an endpoint sees the request."""
    found: Caller = request.scope[_CALLER]
    return found


def set_caller(scope: MutableMapping[str, Any], found: Caller) -> None:
    """Keep who asks with the request."""
    scope[_CALLER] = found
