"""The service as BentoML runs it: processes, health and metrics are BentoML's, every answer is the application's.

The only module that imports bentoml and the only one here that reads the environment:

    CEMRISK_HOME           where models, access keys and query log lie (default: .cemrisk in the working folder)
    CEMRISK_REQUIRE_KEYS   if not empty, a key has to be shown even if there are none
    CEMRISK_RATE and the other names of serving.limits: how much may be asked
    CEMRISK_DATABASE_URL   PostgreSQL for the query log, and CEMRISK_LOG_KEY, _ANCHOR, _INPUTS: docs/operating.md
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import bentoml
import uvicorn
from bentoml._internal.context import server_context
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from features import VERSION
from serving import log_lines
from serving.app import create_app
from serving.cds_hooks.clients import Ehr
from serving.cds_hooks.tokens import Tokens
from serving.door import Door
from serving.draining import DrainingServer
from serving.keys import REQUIRE_KEYS, Keyring
from serving.limits import Limits
from serving.meters import MeteredLog, model_lines
from serving.query_log import LogSettings
from serving.shares import Share
from serving.shelf import Shelf
from serving.supervisor import GRACE_SECONDS
from serving.wire import speak_problems

#: Spans, the access log and BentoML's own request metrics take most of the time of a small request. What they would
#: tell stands in the application's histogram; addresses, which BentoML would make labels of, may hold anything.
QUIET: dict[str, Any] = {
    "tracing": {"excluded_urls": ".*"},
    "logging": {"access": {"enabled": False}},
    "metrics": {"enabled": False},
}
BUCKETS_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0)


def _observer() -> Callable[[str, int, float], None]:
    """Counts responses by route and status, with the time they took; made when the first response is sent."""
    children: dict[tuple[str, int], Any] = {}
    histograms: list[Any] = []

    def observe(route: str, status: int, seconds: float) -> None:
        child = children.get((route, status))
        if child is None:
            if not histograms:
                name, text = "cemrisk_request_seconds", "Time to answer, by route and status"
                histograms.append(Histogram(name, text, labelnames=("route", "status"), buckets=BUCKETS_SECONDS))
            child = children[route, status] = histograms[0].labels(route=route, status=str(status))
        child.observe(seconds)

    return observe


def _metrics() -> tuple[bytes, str]:
    """Of all workers together, where several share a folder for it."""
    registry = REGISTRY
    if _shared_counts():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    own = log.lines() + model_lines(shelf.status()["models"])
    return generate_latest(registry) + own.encode(), "text/plain; version=0.0.4; charset=utf-8"


def _shared_counts() -> Path | None:
    """The folder in which all workers count; prometheus_client reads the variable too."""
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(named) if named else None


shelf = Shelf()
log = MeteredLog(VERSION)
app = create_app(shelf.get, _observer(), _metrics, log=log, shelf=shelf)


class EveryPath:
    """The application in the place of all that BentoML answers by itself: its probes know nothing of models, its
    documents describe another service, and its errors are plain text. Only starting and stopping stay BentoML's.

    Around BentoML where workers are ours: its own layers would start a task and a timer of a minute for each request.
    """

    def __init__(self, bento: Callable[..., Awaitable[None]]) -> None:
        self._bento = bento

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await (self._bento if scope["type"] == "lifespan" else app)(scope, receive, send)


@bentoml.service(name="cemrisk", **QUIET)
class Service:
    """One worker."""

    def __init__(self) -> None:
        home = _home()
        ehr = app.state.ehr = Ehr(home)
        keyring = Keyring(home, required=bool(os.environ.get(REQUIRE_KEYS)))
        app.state.door = Door(keyring, (Tokens(ehr).recognise,), Limits.of(os.environ))
        log.begin(LogSettings.of(home, os.environ), _shared_counts())
        speak_problems()
        shelf.refresh(home)
        shelf.follow(home)


Service.add_asgi_middleware(EveryPath)  # type: ignore[attr-defined]


def prepare() -> None:
    """What a worker would do before it can answer, done where workers are forked from; again and again, as promotions
    may have come."""
    _bento()
    for name in ("uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on"):
        importlib.import_module(name)
    shelf.refresh(_home())


@cache
def _bento() -> Any:
    """BentoML's application around ours. Making it takes most of a worker's start; what runs in it starts later."""
    server_context.service_type, server_context.service_name = "entry_service", "cemrisk"
    return Service.to_asgi()  # type: ignore[attr-defined]


def _home() -> Path:
    return Path(os.environ.get("CEMRISK_HOME", ".cemrisk"))


def work(listening: int, lifeline: int, told: int, share: Share) -> int:
    """Be one worker of ``serving.forker``, as BentoML's own would be one; returns when it has ended.

    ``listening``: handle of the socket; the others as ``DrainingServer`` has them.
    """
    log_lines.begin("worker", os.environ)
    around = EveryPath(_bento())
    config = uvicorn.Config(around, log_config=None, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS)
    DrainingServer(config, lifeline, told, share).run(sockets=[socket.socket(fileno=listening)])
    return 0
