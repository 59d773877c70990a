"""JSON in and out of a route."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request, Response

from serving.strict_json import MEDIA_TYPE, read_json, require_json


async def json_of(request: Request, limit_bytes: int, also: str = MEDIA_TYPE) -> Any:
    """The value of the body; ``also``: a media type that is taken beside plain JSON. Raises ``BodyRejected``."""
    headers, door = request.headers, request.app.state.door
    require_json(headers.get("content-type"), headers.get("content-encoding"), also)
    seconds = door.meter.limits.body_seconds
    return await read_json(request.stream(), headers.get("content-length"), limit_bytes, seconds)


def json_response(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(orjson.dumps(value), status, media_type=MEDIA_TYPE)
