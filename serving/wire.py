"""What is refused before there is a request: bytes that are no HTTP, answered in the form of every other error."""

from __future__ import annotations

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.guard import SECURITY_HEADERS
from serving.problem import MALFORMED_HTTP, PROBLEM_TYPE


def speak_problems() -> None:
    """Let uvicorn send problem+json where it sends plain text: it asks nobody, so its one method is replaced."""
    HttpToolsProtocol.send_400_response = _send_problem  # type: ignore[method-assign,assignment]


def _send_problem(protocol: HttpToolsProtocol, msg: str) -> None:
    """A chunk that lies about its length comes after the request has begun: then the response may have begun too."""
    cycle = protocol.cycle
    if cycle is None or not cycle.response_started or cycle.response_complete:
        protocol.transport.write(_REFUSAL)
    protocol.transport.close()


def _refusal() -> bytes:
    body = orjson.dumps(MALFORMED_HTTP.as_json())
    headers = (
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
    )
    lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", body]
    return b"\r\n".join(lines)


_REFUSAL = _refusal()
