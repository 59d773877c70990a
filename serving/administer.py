"""The routes of the administrator and of supervisors: off switches and probes."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from features.errors import NotReady
from models.release import OUTCOMES
from serving import openapi, switch
from serving.exchange import json_of, json_response
from serving.policy import caller
from serving.problem import Fault, QuestionRejected
from serving.shelf import Shelf

REASON_LIMIT_BYTES = 4096


def add_routes(app: FastAPI, shelf: Shelf) -> None:
    """``/livez``, ``/readyz`` and the off switch."""
    _add_probes(app, shelf)

    async def stop(request: Request) -> Response:
        """Stop the model of an outcome, with a reason that everybody is told who asks; all workers follow at once."""
        outcome, home = _outcome(request), _home(shelf)
        why = _reason(await json_of(request, REASON_LIMIT_BYTES))
        made = await asyncio.to_thread(switch.stop, home, outcome, why, caller(request).key_id or "nobody")
        shelf.look_at_switches(home)
        return json_response({"outcome": outcome, **asdict(made)})

    async def resume(request: Request) -> Response:
        """Let the model of an outcome answer again; nothing happens if it was not stopped."""
        outcome, home = _outcome(request), _home(shelf)
        was_stopped = await asyncio.to_thread(switch.resume, home, outcome)
        shelf.look_at_switches(home)
        return json_response({"outcome": outcome, "was_stopped": was_stopped})

    parameter = {"name": "outcome", "in": "path", "required": True, "schema": {"enum": list(OUTCOMES)}}
    anything: dict[str, Any] = {"type": "object"}
    app.add_api_route(
        "/v1/models/{outcome}/stop",
        stop,
        methods=["POST"],
        operation_id="stop_model",
        openapi_extra=openapi.body("Reason") | {"parameters": [parameter]},
        responses=openapi.responses(anything, 400, 404, 408, 413, 415, 422, 503),
    )
    app.add_api_route(
        "/v1/models/{outcome}/resume",
        resume,
        methods=["POST"],
        operation_id="resume_model",
        openapi_extra={"parameters": [parameter]},
        responses=openapi.responses(anything, 404, 503),
    )


def _add_probes(app: FastAPI, shelf: Shelf) -> None:
    async def alive(request: Request) -> Response:
        return json_response({"alive": True})

    async def ready(request: Request) -> Response:
        found = shelf.status()
        return json_response(found, 200 if found["ready"] else 503)

    app.add_api_route("/livez", alive, include_in_schema=False)
    app.add_api_route("/readyz", ready, include_in_schema=False)


def _outcome(request: Request) -> str:
    outcome: str = request.path_params["outcome"]
    if outcome not in OUTCOMES:
        raise HTTPException(404)
    return outcome


def _home(shelf: Shelf) -> Path:
    if shelf.home is None:
        raise NotReady("the service is still starting")
    return shelf.home


def _reason(value: Any) -> str:
    if not isinstance(value, dict) or set(value) != {"why"}:
        raise QuestionRejected([Fault("", "wrong_type", "expected an object with one field, why")])
    why = value["why"]
    if not isinstance(why, str) or not switch.is_reason(why):
        text = f"why: expected 1 to {switch.LONGEST_REASON} characters, no blank before them, no line breaks"
        raise QuestionRejected([Fault("/why", "wrong_type", text)])
    return why
