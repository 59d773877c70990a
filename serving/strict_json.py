"""From the bytes of a request to a value, strictly, before anything else sees them.

JSON readers forgive what a clinical question must not contain: NaN and Infinity, a key that stands twice, text that is
not UTF-8. Here each of them is an error that says what is wrong and never what was sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson

from features.errors import UsageError

#: The largest body of one question and of a batch, in bytes.
BODY_LIMIT_BYTES = 256 * 1024
BATCH_LIMIT_BYTES = 4 * 1024 * 1024
#: A question is three levels deep; nothing honest needs more than this.
MAX_DEPTH = 32
MEDIA_TYPE = "application/json"
_STRUCTURE = re.compile(rb'["\\[\]{}]')


class BodyRejected(UsageError):
    """The body is no JSON that can be read; ``code`` names the fault."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BodyTooLarge(BodyRejected):
    """The body is longer than the route takes."""

    http_status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("body_too_large", f"the body is larger than {limit_bytes // 1024} KiB; send less at once")


class SlowBody(BodyRejected):
    """The body did not arrive in time."""

    http_status = 408

    def __init__(self) -> None:
        super().__init__("slow_body", "the body took too long to arrive; send it in one go")


class MediaTypeRejected(BodyRejected):
    """The body is not declared as plain JSON."""

    http_status = 415

    def __init__(self, message: str) -> None:
        super().__init__("media_type", message)


def require_json(content_type: str | None, content_encoding: str | None = None, also: str = MEDIA_TYPE) -> None:
    """Raise ``MediaTypeRejected`` unless the headers declare uncompressed ``application/json`` in UTF-8.

    ``also``: another media type that is JSON and taken too.
    """
    media_type, _, parameters = (content_type or "").partition(";")
    if media_type.strip().lower() not in (MEDIA_TYPE, also):
        raise MediaTypeRejected(f"Content-Type must be {also}")
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().lower().partition("=")
        if name == "charset" and value.strip('"') != "utf-8":
            raise MediaTypeRejected(f"Content-Type must be {MEDIA_TYPE} in UTF-8")
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise MediaTypeRejected("Content-Encoding is not accepted; send the JSON uncompressed")


async def read_json(stream: AsyncIterator[bytes], declared_length: str | None, limit_bytes: int, seconds: float) -> Any:
    """The value of a body that is still arriving, in at most so many ``seconds``. Raises ``BodyRejected``."""
    try:
        async with asyncio.timeout(seconds):
            return _value_of(await read_limited(stream, declared_length, limit_bytes))
    except TimeoutError:
        raise SlowBody() from None


async def read_limited(stream: AsyncIterator[bytes], declared_length: str | None, limit_bytes: int) -> bytes:
    """The whole body. Raises ``BodyRejected`` as soon as it is too long or nested too deeply, without reading on.

    ``declared_length``: the Content-Length header, which is believed only when it already is too large.
    """
    if declared_length is not None and declared_length.isdecimal() and int(declared_length[:20]) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    chunks, length, depth = [], 0, _Depth()
    async for chunk in stream:
        length += len(chunk)
        if length > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        depth.add(chunk)
        chunks.append(chunk)
    return b"".join(chunks)


def parse(body: bytes) -> Any:
    """The value that the JSON text stands for. Raises ``BodyRejected``."""
    _Depth().add(body)
    return _value_of(body)


def _value_of(body: bytes) -> Any:
    """Of a text whose depth is known to be small."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _why(body, error) from None
    # orjson keeps the last of two equal keys without a word; only the standard reader shows the pairs.
    json.loads(body, object_pairs_hook=_refuse_duplicates, parse_float=_ignore, parse_int=_ignore)
    return value


class _Depth:
    """Counts brackets that are open, outside of strings, over the pieces of a text as they come."""

    def __init__(self) -> None:
        self._depth = self._openers = 0
        self._in_string = self._escaped = False
        self._seen: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Raise ``BodyRejected`` if more than ``MAX_DEPTH`` are open at some place of what was seen so far."""
        self._openers += piece.count(b"[") + piece.count(b"{")
        if self._openers <= MAX_DEPTH:  # a question has a few brackets in all; where they stand need not be known yet
            self._seen.append(piece)
            return
        for part in (*self._seen, piece):
            self._walk(part)
        self._seen = []

    def _walk(self, piece: bytes) -> None:
        after_escape = -1 if not self._escaped else 0
        self._escaped = False
        for match in _STRUCTURE.finditer(piece):
            mark, place = match[0], match.start()
            if self._in_string:
                if place == after_escape:
                    continue
                if mark == b"\\":
                    after_escape = place + 1
                    self._escaped = after_escape == len(piece)
                elif mark == b'"':
                    self._in_string = False
            elif mark == b'"':
                self._in_string = True
            elif mark in b"[{":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise BodyRejected("too_deep", f"the JSON is nested deeper than {MAX_DEPTH} levels")
            elif mark in b"]}":
                self._depth -= 1


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise BodyRejected("duplicate_key", "an object of the JSON holds the same key twice; keep one of them")


def _ignore(_: str) -> None:
    """Numbers were read already; an integer of a million digits need not be read again."""


def _why(body: bytes, error: orjson.JSONDecodeError) -> BodyRejected:
    """Which strictness was offended: what the lenient reader accepts is the difference between the two."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return BodyRejected("not_utf8", "the body is not UTF-8 text")
    try:
        json.loads(text, parse_int=_ignore)
    except (ValueError, RecursionError):
        return BodyRejected("malformed_json", f"no valid JSON at line {error.lineno}, column {error.colno}")
    where = f"at line {error.lineno}, column {error.colno}"
    if "\\ud" in text.lower():
        return BodyRejected("lone_surrogate", f"half of a surrogate pair {where} is no character")
    return BodyRejected("not_finite", f"NaN, Infinity or a number too large {where}; leave a variable out if unknown")
