"""Cross-origin requests to the CDS Hooks addresses, from the origins that ``ehr.toml`` lists and no others."""

from __future__ import annotations

from serving.guard import Message, Receive, Scope, Send

_BELOW = "/cds-services"
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
)
_VARY = (b"vary", b"origin")


class Cors:
    """Answers preflights and marks responses. A page of another origin gets what it got before: nothing it may read."""

    def __init__(self, app) -> None:  # type: ignore[no-untyped-def]
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_below(scope["path"]):
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        origin = given.get(b"origin", b"")
        allowed = origin.decode("latin-1") in scope["app"].state.ehr.settings.origins
        marks = ((b"access-control-allow-origin", origin), _VARY) if allowed else (_VARY,)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in given:
            await marked({"type": "http.response.start", "status": 204, "headers": [*_PREFLIGHT]})
            await marked({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, marked)


def _is_below(path: str) -> bool:
    return path == _BELOW or path.startswith(_BELOW + "/")
