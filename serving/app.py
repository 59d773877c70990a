"""The routes: from an HTTP request to the pure functions and back. No BentoML, no environment, no state of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from features import VERSION
from features.build import Outcome
from features.errors import CemriskError, NotReady
from serving import administer, answering, openapi, switch, web
from serving.cds_hooks import routes as cds_hooks
from serving.cds_hooks.clients import Ehr
from serving.cds_hooks.cors import Cors
from serving.docs_page import docs_page
from serving.door import Door, GuardedRoute
from serving.exchange import json_of, json_response
from serving.fhir import routes as fhir
from serving.fhir.operation_outcome import outcome_response, speaks_fhir
from serving.guard import Guard, Observer
from serving.nomograms import SVG_TYPE, nomogram_of
from serving.policy import caller
from serving.problem import (
    Fault,
    QuestionRejected,
    problem_of,
    refusal_of,
    response_of,
)
from serving.query_log import Answered, QueryLog
from serving.schema import MOST_CASES
from serving.served import Served
from serving.shelf import Shelf
from serving.strict_json import BATCH_LIMIT_BYTES, BODY_LIMIT_BYTES, MEDIA_TYPE

Provider = Callable[[], Mapping[Outcome, Served]]

KNOWN_OUTCOMES = ("leakage", "refracture", "refracture-postop")


def create_app(
    provider: Provider,
    observe: Observer | None = None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    door: Door | None = None,
    log: QueryLog | None = None,
    shelf: Shelf | None = None,
    ehr: Ehr | None = None,
) -> FastAPI:
    """The application.

    ``provider`` gives what is served now, empty if nothing has been released; ``metrics`` the text of ``/metrics`` and
    its media type; ``door`` lets in who may ask, by default everybody; ``log`` keeps a record of each answer before
    it is sent; ``shelf`` tells the probes how the models stand and follows the off switches; ``ehr`` knows the health
    records that may call, by default none from a browser.
    """
    # A redirect would answer a wrong address with a Location that repeats it, and lose the body of a POST.
    app = FastAPI(
        title="cemrisk", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.router.route_class = GuardedRoute
    app.state.door = door or Door()
    app.state.ehr = ehr or Ehr()
    _add_questions(app, provider, log)
    _add_descriptions(app, provider)
    _add_nomogram(app, provider)
    cds_hooks.add_routes(app, provider, log)
    fhir.add_routes(app, provider, log)
    _add_pages(app)
    if shelf is not None:
        administer.add_routes(app, shelf)
    if metrics is not None:
        _add_metrics(app, metrics)
    app.add_exception_handler(CemriskError, _on_error)
    app.add_exception_handler(HTTPException, _on_error)
    app.add_middleware(Cors)
    app.add_middleware(Guard, observe=observe)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    """An error in the form of the address that was asked."""
    problem = refusal_of(error)
    return outcome_response(problem) if speaks_fhir(request.url.path) else response_of(problem)


def _add_questions(app: FastAPI, provider: Provider, log: QueryLog | None) -> None:
    async def risk(request: Request) -> Response:
        """Risk of cement leakage and of a new vertebral fracture for one patient."""
        value = await json_of(request, BODY_LIMIT_BYTES)
        found = await answering.one(value, provider(), log, "/v1/risk", caller(request).key_id)
        return Response(found.sent, media_type=MEDIA_TYPE)

    async def batch(request: Request) -> Response:
        """The same for up to 1,000 patients: each gets an answer or its own problem, in the order of the cases."""
        cases = _cases_of(await json_of(request, BATCH_LIMIT_BYTES))
        request.app.state.door.meter.charge(caller(request).key_id, len(cases) - 1)  # the route has charged for one
        served = provider()  # once: a promotion meanwhile must not split a batch between two versions
        found = [await _case(case, served, caller(request).key_id) for case in cases]
        await answering.keep([case for case in found if isinstance(case, Answered)], log)
        return json_response({"cases": [_case_json(case) for case in found]})

    codes = (400, 408, 413, 415, 422, 503)
    app.add_api_route(
        "/v1/risk",
        risk,
        methods=["POST"],
        operation_id="risk",
        openapi_extra=openapi.body("Question"),
        responses=openapi.responses(openapi.ref("Answer"), *codes),
    )
    app.add_api_route(
        "/v1/risk/batch",
        batch,
        methods=["POST"],
        operation_id="risk_batch",
        openapi_extra=openapi.body("Batch"),
        responses=openapi.responses(openapi.ref("BatchAnswer"), *codes),
    )


def _add_descriptions(app: FastAPI, provider: Provider) -> None:
    async def dictionary(request: Request) -> Response:
        """All variables: kind, unit, limits, moment, which of them may be asked and which the models use."""
        return json_response(web.dictionary())

    async def models(request: Request) -> Response:
        """The released models."""
        return json_response({"models": {outcome: _described(served) for outcome, served in provider().items()}})

    async def model(request: Request) -> Response:
        """The card of a released model: what it was trained on, how good it is; and those of its fellows."""
        return json_response(_card(request.path_params["outcome"], provider()))

    anything: dict[str, Any] = {"type": "object"}
    outcome = {"name": "outcome", "in": "path", "required": True, "schema": {"enum": list(KNOWN_OUTCOMES)}}
    app.add_api_route("/v1/dictionary", dictionary, operation_id="dictionary", responses=openapi.responses(anything))
    app.add_api_route("/v1/models", models, operation_id="models", responses=openapi.responses(anything))
    app.add_api_route(
        "/v1/models/{outcome}",
        model,
        operation_id="model_card",
        openapi_extra={"parameters": [outcome]},
        responses=openapi.responses(anything, 404, 503),
    )


def _add_nomogram(app: FastAPI, provider: Provider) -> None:
    async def nomogram(request: Request) -> Response:
        """The nomogram of the released model: SVG, or its points as JSON if the Accept header prefers that."""
        served = _served(request.path_params["outcome"], provider())
        found = await asyncio.to_thread(nomogram_of, served)
        if _prefersjson_response(request.headers.get("accept", "")):
            return json_response({**_described(served), **found.to_dict()})
        return Response(found.svg(), media_type=SVG_TYPE)

    outcome = {"name": "outcome", "in": "path", "required": True, "schema": {"enum": list(KNOWN_OUTCOMES)}}
    answered = openapi.responses({"type": "object"}, 404, 503)
    answered[200]["content"][SVG_TYPE] = {"schema": {"type": "string"}}
    app.add_api_route(
        "/v1/nomogram/{outcome}",
        nomogram,
        operation_id="nomogram",
        openapi_extra={"parameters": [outcome]},
        responses=answered,
    )


def _prefersjson_response(accept: str) -> bool:
    """Whether JSON is named before SVG; without either of them a picture is meant."""
    named = [entry.split(";")[0].strip() for entry in accept.split(",")]
    return MEDIA_TYPE in named and (SVG_TYPE not in named or named.index(MEDIA_TYPE) < named.index(SVG_TYPE))


def _add_pages(app: FastAPI) -> None:
    async def page(request: Request) -> Response:
        return Response(web.asset("index.html"), media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in web.STATIC:
            raise HTTPException(404)
        return Response(web.asset(name), media_type=web.STATIC[name])

    async def docs(request: Request) -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html")

    async def document(request: Request) -> Response:
        return json_response(app.openapi())

    for path, endpoint in (("/", page), ("/static/{name}", static), ("/docs", docs), ("/openapi.json", document)):
        app.add_api_route(path, endpoint, include_in_schema=False)


def _add_metrics(app: FastAPI, metrics: Callable[[], tuple[bytes, str]]) -> None:
    async def measured(request: Request) -> Response:
        text, media_type = await asyncio.to_thread(metrics)
        return Response(text, media_type=media_type)

    app.add_api_route("/metrics", measured, include_in_schema=False)


def _cases_of(value: Any) -> list[Any]:
    if not isinstance(value, dict) or set(value) != {"cases"} or not isinstance(value["cases"], list):
        raise QuestionRejected([Fault("/cases", "wrong_type", "expected an object with one field, cases, a list")])
    if not 1 <= len(value["cases"]) <= MOST_CASES:
        raise QuestionRejected([Fault("/cases", "count", f"cases: expected 1 to {MOST_CASES} questions")])
    return value["cases"]


async def _case(value: Any, served: Mapping[Outcome, Served], key_id: str | None) -> Answered | CemriskError:
    await asyncio.sleep(0)  # a batch must not keep single questions waiting until it is done
    try:
        return answering.computed(value, served, "/v1/risk/batch", key_id)
    except CemriskError as error:
        return error


def _case_json(case: Answered | CemriskError) -> dict[str, Any]:
    if isinstance(case, Answered):
        return {"answer": orjson.Fragment(case.sent), "problem": None}
    return {"answer": None, "problem": problem_of(case).as_json()}


def _served(outcome: str, served: Mapping[Outcome, Served]) -> Served:
    if outcome not in KNOWN_OUTCOMES:
        raise HTTPException(404)
    switch.require_running(outcome, served)
    found = next((one for name, one in served.items() if name == outcome), None)
    if found is None:
        raise NotReady(f"no model of {outcome} has been released")
    return found


def _card(outcome: str, served: Mapping[Outcome, Served]) -> dict[str, Any]:
    found = _served(outcome, served)
    cards = {learner: asdict(model.card) for learner, model in found.release.models.items() if model.card is not None}
    return {**_described(found), **cards[found.release.champion], "cards": cards}


def _described(served: Served) -> dict[str, Any]:
    return {**served.identity, "data_status": served.data_status, "notice": " ".join(served.notices)}


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            summary="Risk of cement leakage and refracture before vertebroplasty or kyphoplasty",
            routes=app.routes,
        )
        document["components"] = {"schemas": openapi.schemas()}
        openapi.guard(document)
        app.openapi_schema = document
    return app.openapi_schema
