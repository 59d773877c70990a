"""``POST /fhir/$vertebral-augmentation-risk``: resources in, RiskAssessments or a GuidanceResponse out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from features.build import Outcome
from serving import answering
from serving.exchange import json_of
from serving.fhir.guidance import data_required
from serving.fhir.mapping import Mapped, read_resources
from serving.fhir.openapi import BODY, RESPONSES
from serving.fhir.operation_outcome import MEDIA_TYPE
from serving.fhir.reading import Json, at, objects, text
from serving.fhir.risk_assessment import About, bundle
from serving.policy import caller
from serving.problem import Fault, QuestionRejected
from serving.query_log import Answered, QueryLog
from serving.schema import DETECTIONS
from serving.served import Served
from serving.strict_json import BATCH_LIMIT_BYTES

PATH = "/fhir/$vertebral-augmentation-risk"
_PARAMETERS = {"detection": "valueCode", "case-id": "valueString"}
_KINDS = ("Bundle", "Parameters")

Provider = Callable[[], Mapping[Outcome, Served]]


def add_routes(app: FastAPI, provider: Provider, log: QueryLog | None) -> None:
    """The operation."""

    async def assess(request: Request) -> Response:
        """Risk of cement leakage and of a new vertebral fracture, from FHIR R4 resources of one patient."""
        value = await json_of(request, BATCH_LIMIT_BYTES, also=MEDIA_TYPE)
        today = datetime.now(UTC)
        settings = _settings(value)
        # Thousands of resources take a second: other questions must not wait for them.
        found = await asyncio.to_thread(read_resources, [("", value)], today.date(), settings)
        refuse(found)
        if found.missing:
            said = today.isoformat(timespec="seconds")
            return _fhir(data_required(found.missing, found.subject, said))
        answered = await ask(found, provider(), log, PATH, caller(request).key_id)
        assert found.operation is not None
        return _fhir(bundle(answered.answer, About(found.subject, found.used, found.operation, found.notes)))

    app.add_api_route(PATH, assess, methods=["POST"], operation_id="fhir_risk", openapi_extra=BODY, responses=RESPONSES)


async def ask(
    found: Mapped, served: Mapping[Outcome, Served], log: QueryLog | None, route: str, key_id: str | None
) -> Answered:
    """The answer to what was read. Raises as ``answering.one``, faults placed where their values came from."""
    try:
        return await answering.one(found.question, served, log, route, key_id)
    except QuestionRejected as rejected:
        raise QuestionRejected([found.placed(fault) for fault in rejected.faults]) from None


def refuse(found: Mapped) -> None:
    """Raise ``QuestionRejected`` if anything that was sent cannot be used."""
    if found.faults:
        raise QuestionRejected(list(dict.fromkeys(found.faults)))


def _settings(value: Any) -> Json:
    """What the parameters say beside resources. Raises ``QuestionRejected``."""
    if not isinstance(value, dict) or value.get("resourceType") not in _KINDS:
        raise QuestionRejected([Fault("/resourceType", "wrong_type", f"expected one of {', '.join(_KINDS)}")])
    faults = []
    name = "entry" if value["resourceType"] == "Bundle" else "parameter"
    parts = value.get(name, [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise QuestionRejected([Fault(f"/{name}", "wrong_type", f"{name}: expected a list of objects")])
    settings: Json = {}
    for index, part in enumerate(objects(value.get("parameter"))):
        kind = _PARAMETERS.get(text(part, "name") or "")
        if kind is None:
            if not isinstance(at(part, "resource"), dict):
                known = ", ".join(_PARAMETERS)
                detail = f"expected a resource, or a parameter named one of {known}"
                faults.append(Fault(f"/parameter/{index}", "unknown_variable", detail))
        else:
            settings[str(part["name"]).replace("-", "_")] = part.get(kind)
    if settings.get("detection") not in (None, *DETECTIONS):
        faults.append(Fault("/parameter", "unknown_choice", f"detection: expected one of {', '.join(DETECTIONS)}"))
    if faults:
        raise QuestionRejected(faults)
    return settings


def _fhir(resource: Json) -> Response:
    return Response(orjson.dumps(resource), media_type=MEDIA_TYPE)
