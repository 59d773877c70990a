"""Around all routes: headers, bugs, clients that go away, and bodies that nobody wants to read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any

from starlette.requests import ClientDisconnect

from serving.log_lines import LOGGER
from serving.problem import INTERNAL, response_of

logger = logging.getLogger(LOGGER)

#: Told of every response: the route's pattern ("other" if none), the status, and the seconds that it took.
Observer = Callable[[str, int, float], None]
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: What a client is counted under that went away before it was answered.
CLIENT_GONE = 499
#: How much of a body that was refused is read and dropped so that its sender comes to read the refusal, and how long.
DRAIN_BYTES = 256 * 2**20
DRAIN_SECONDS = 5.0

#: Nothing of a page may come from another host, and no other page may frame it.
SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Security headers on every response; a bug is answered by 500 without its message, which may hold a value.

    A refusal is often sent before the body has arrived. Many clients read nothing until they have sent everything, and
    a connection that is closed on unread bytes is reset, the refusal lost. So the response goes out at once, and what
    is left of the body is then read and dropped, within bounds, before the connection is closed.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], observe: Observer | None = None) -> None:
        self._app, self._observe = app, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        since, exchange = perf_counter(), _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_GONE
        except Exception as error:
            _log_bug(error)
            if exchange.status:
                raise ConnectionAbortedError("the response was cut off by a bug, see the log") from None
            await response_of(INTERNAL)(scope, exchange.receive, exchange.send)
        if self._observe is not None:
            # The pattern, not the path: an address may hold anything, and every new one would make a new time series.
            pattern = getattr(scope.get("route"), "path", "") or "other"  # "" is the mount that we are behind
            with suppress(OSError):  # metrics lie in files: a full disk must not cost an answer that was given
                self._observe(pattern, exchange.status, perf_counter() - since)


class _Exchange:
    """One request and its response: whether the body was read to its end, and the status that was sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._unread = _has_body(scope)
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            closing = ((b"connection", b"close"),) if self._unread else ()
            message["headers"] = [*message["headers"], *SECURITY_HEADERS, *closing]
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drain(self) -> None:
        left, until = DRAIN_BYTES, monotonic() + DRAIN_SECONDS
        while self._unread and left > 0:
            try:
                async with asyncio.timeout(until - monotonic()):
                    left -= len((await self.receive()).get("body", b""))
            except TimeoutError:
                return


def _has_body(scope: Scope) -> bool:
    """Whether a body was announced that comes by itself; one that waits for 100 Continue never will."""
    names = dict(scope["headers"])
    announced = names.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in names
    return announced and b"expect" not in names


def _log_bug(error: BaseException) -> None:
    """The kind of the error and the lines it passed through; its message could repeat what was sent."""
    places, at = [], error.__traceback__
    while at is not None:
        places.append(f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}")
        at = at.tb_next
    logger.error("%s at %s", type(error).__name__, " < ".join(reversed(places)))
