"""The strict reader: what it refuses, and that it agrees with the standard reader on everything else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.strict_json import (
    MAX_DEPTH,
    BodyRejected,
    BodyTooLarge,
    MediaTypeRejected,
    parse,
    read_limited,
    require_json,
)

REFUSED = {
    b"": "malformed_json",
    b"{": "malformed_json",
    b'{"a":1,}': "malformed_json",
    b"{'a':1}": "malformed_json",
    b'{"a":01}': "malformed_json",
    b'{"a":1} x': "malformed_json",
    b'\xef\xbb\xbf{"a":1}': "malformed_json",
    b'{"a":NaN}': "not_finite",
    b'{"a":-Infinity}': "not_finite",
    b'{"a":1e999}': "not_finite",
    b'{"a":1,"a":2}': "duplicate_key",
    b'{"p":{"a":1,"b":2,"\\u0061":2}}': "duplicate_key",
    b'[{"a":[{"b":1,"b":1}]}]': "duplicate_key",
    b'{"a":"\xff"}': "not_utf8",
    '{"a":1}'.encode("utf-16"): "not_utf8",
    b'{"a":"\\ud800"}': "lone_surrogate",
    b"[" * 33 + b"]" * 33: "too_deep",
    b"[" * 100_000 + b"]" * 100_000: "too_deep",
    b'{"a":' * 900 + b"1" + b"}" * 900: "too_deep",
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: f"{body[:16]!r}-{len(body)}")
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(BodyRejected) as caught:
        parse(body)
    assert caught.value.code == REFUSED[body]
    assert caught.value.http_status == 400


def test_an_integer_of_a_million_digits_is_no_trouble() -> None:
    with pytest.raises(BodyRejected, match="too large"):
        parse(b'{"a":' + b"9" * 1_000_000 + b"}")


def test_depth_is_counted_exactly() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def _deepest(text: bytes) -> int:
    """By the definition: brackets open outside of strings, one byte after the other."""
    depth = deepest = 0
    inside = escaped = False
    for byte in text:
        mark = bytes([byte])
        if inside:
            inside, escaped = mark != b'"' or escaped, mark == b"\\" and not escaped
        elif mark == b'"':
            inside, escaped = True, False
        else:
            depth += (mark in b"[{") - (mark in b"]}")
            deepest = max(deepest, depth)
    return deepest


@settings(max_examples=200, deadline=None)
@given(st.text('[]{}"\\a', min_size=30, max_size=160), st.integers(1, 40))
def test_depth_does_not_depend_on_how_the_body_is_cut(text: str, size: int) -> None:
    body = text.encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    try:
        assert asyncio.run(read_limited(pieces(), None, 1000)) == body
        assert _deepest(body) <= MAX_DEPTH
    except BodyRejected as error:
        assert error.code == "too_deep" and _deepest(body) > MAX_DEPTH


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_deep_body_is_refused_before_its_end(cut: int) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += cut
            yield b"[" * cut

    with pytest.raises(BodyRejected, match="deeper"):
        asyncio.run(read_limited(endless(), None, 10**9))
    assert taken <= MAX_DEPTH + cut


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(_VALUES)
def test_reads_all_honest_json_as_the_standard_library_does(value: object) -> None:
    body = json.dumps(value).encode()
    assert parse(body) == json.loads(body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        parse(body)
    except BodyRejected as error:
        assert error.code


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_media_types_taken(media_type: str) -> None:
    require_json(media_type)


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "application/vnd.bentoml+pickle",
        "application/jsonx",
        "application/json; charset=latin-1",
    ],
)
def test_media_types_refused(media_type: str | None) -> None:
    with pytest.raises(MediaTypeRejected) as caught:
        require_json(media_type)
    assert caught.value.http_status == 415


def test_compressed_bodies_are_refused() -> None:
    with pytest.raises(MediaTypeRejected, match="uncompressed"):
        require_json("application/json", "gzip")


class _Stream:
    """Counts the chunks that were asked for."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.taken = chunks, 0

    async def read(self) -> AsyncIterator[bytes]:
        for _ in range(self.chunks):
            self.taken += 1
            yield b"x" * 1000


def test_reading_stops_at_the_limit() -> None:
    stream = _Stream(1000)
    with pytest.raises(BodyTooLarge) as caught:
        asyncio.run(read_limited(stream.read(), None, 5000))
    assert (stream.taken, caught.value.http_status) == (6, 413)


def test_a_declared_length_is_refused_before_reading_and_not_believed_when_small() -> None:
    stream = _Stream(10)
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_limited(stream.read(), "5001", 5000))
    assert stream.taken == 0
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_limited(stream.read(), "12", 5000))


def test_a_body_within_the_limit_is_read_whole() -> None:
    assert len(asyncio.run(read_limited(_Stream(5).read(), "5000", 5000))) == 5000
