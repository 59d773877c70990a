"""The three addresses of CDS Hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from features.build import Outcome
from serving import openapi
from serving.cds_hooks.call import Call, read_call
from serving.cds_hooks.cards import cards, refusal_card
from serving.cds_hooks.discovery import BASE, SERVICE, services
from serving.cds_hooks.feedback import keep, read_feedback
from serving.exchange import json_of, json_response
from serving.fhir.guidance import TEXTS
from serving.fhir.mapping import Mapped, planned_by, read_resources
from serving.fhir.reading import items_of, objects
from serving.fhir.routes import ask
from serving.policy import caller
from serving.problem import DataMissing, Fault, QuestionRejected
from serving.query_log import QueryLog
from serving.served import Served
from serving.strict_json import BATCH_LIMIT_BYTES, BODY_LIMIT_BYTES

PATH = f"{BASE}/{SERVICE}"
#: Faults of the EHR's software: nobody who treats the patient could mend them.
_MIXED_UP = frozenset({"other_patient", "several_patients"})

Provider = Callable[[], Mapping[Outcome, Served]]


def add_routes(app: FastAPI, provider: Provider, log: QueryLog | None) -> None:
    """Discovery, the service, feedback."""

    async def discovery(request: Request) -> Response:
        """The services for an EHR, CDS Hooks 2.0: their hooks, and the data that they would like to be sent."""
        return json_response(services())

    async def call(request: Request) -> Response:
        """Cards for a patient with an order of a vertebroplasty or kyphoplasty; none for any other patient."""
        asked = read_call(await json_of(request, BATCH_LIMIT_BYTES))
        base_url = app.state.ehr.settings.base_url
        found = await asyncio.to_thread(_read, asked)
        if not found.planned or not _concerns(asked):
            return json_response({"cards": []})
        try:
            if found.faults:
                raise QuestionRejected(found.faults)
            answered = await ask(found, provider(), log, PATH, caller(request).key_id)
        except QuestionRejected as rejected:
            return json_response({"cards": [refusal_card(rejected.faults, base_url)]})
        return json_response({"cards": cards(answered.answer, base_url, found.notes)})

    async def feedback(request: Request) -> Response:
        """What became of cards: accepted or overridden, and why. Free text is not kept."""
        found = read_feedback(await json_of(request, BODY_LIMIT_BYTES))
        await asyncio.to_thread(keep, app.state.ehr.home, found, caller(request).key_id)
        return json_response({})

    codes = (400, 408, 413, 415, 422, 503)
    app.add_api_route(
        BASE,
        discovery,
        operation_id="cds_services",
        responses=openapi.responses(openapi.ref("CdsServices")),
    )
    app.add_api_route(
        PATH,
        call,
        methods=["POST"],
        operation_id="cds_call",
        openapi_extra=openapi.body("CdsCall"),
        responses=openapi.responses(openapi.ref("CdsCards"), *codes, 412),
    )
    app.add_api_route(
        f"{PATH}/feedback",
        feedback,
        methods=["POST"],
        operation_id="cds_feedback",
        openapi_extra=openapi.body("CdsFeedback"),
        responses=openapi.responses({"type": "object"}, *codes),
    )


def _read(asked: Call) -> Mapped:
    """What was sent, as a question. Raises ``QuestionRejected`` if it is not of one patient, ``DataMissing``."""
    found = read_resources(asked.resources, datetime.now(UTC).date())
    mixed = [fault for fault in found.faults if fault.code in _MIXED_UP]
    if found.subject is not None and found.subject != f"Patient/{asked.patient}":
        mixed.append(Fault("/prefetch/patient", "other_patient", "patient: is not the patient of the context"))
    if mixed:
        raise QuestionRejected(mixed)
    if "patient" in found.missing:
        raise DataMissing([Fault("/prefetch/patient", "required", TEXTS["patient"])])
    if asked.hook == "patient-view" and "orders" not in asked.sent:
        detail = "orders: were not prefetched, so nobody knows whether an operation is planned"
        raise DataMissing([Fault("/prefetch/orders", "required", detail)])
    if found.planned and found.missing and _concerns(asked):
        raise DataMissing([Fault("/prefetch", "required", TEXTS[name]) for name in found.missing])
    found.notes += [f"of {name} only the first page was sent" for name in _cut(asked.resources)]
    return found


def _concerns(asked: Call) -> bool:
    """Whether the moment is one to speak up: at ``order-sign`` only when an augmentation itself is signed."""
    drafts = [item for pointer, value in asked.resources[-1:] for item in items_of(value, pointer)]
    return asked.hook != "order-sign" or any(planned_by(item) is not None for item in drafts)


def _cut(resources: tuple[tuple[str, Any], ...]) -> list[str]:
    """Names of the bundles that say there is more of them elsewhere."""
    return [
        pointer.rpartition("/")[2]
        for pointer, value in resources
        if isinstance(value, dict) and any(link.get("relation") == "next" for link in objects(value.get("link")))
    ]
