"""Odd requests, byte for byte as they go over the wire, each with the status and the code that it must get."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.service.questions import EXAMPLE, patient, question, vertebra

#: Stands in all that can hold it, and must come back nowhere.
CANARY = "zqcanaryqz"
JSON = "application/json"
MEGABYTE = 2**20


@dataclass(frozen=True)
class Odd:
    """``head``: request line and headers; ``body``: pieces that follow; ``codes``: those that the answer may have."""

    name: str
    head: bytes
    body: tuple[bytes, ...]
    status: int
    code: str
    times: int = 1

    def pieces(self) -> Iterator[bytes]:
        yield self.head
        for _ in range(self.times):
            yield from self.body


@dataclass(frozen=True)
class Reply:
    """What came back and how long after the last header it began to come; ``sent``: whether all could be sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    sent: bool


def _head(*headers: str, line: str = "POST /v1/risk HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: 127.0.0.1", f"X-Canary: {CANARY}", *headers, "", ""]).encode("latin-1")


def _sized(name: str, body: bytes, status: int, code: str, *headers: str, media_type: str | None = JSON) -> Odd:
    typed = [] if media_type is None else [f"Content-Type: {media_type}"]
    return Odd(name, _head(*typed, f"Content-Length: {len(body)}", *headers), (body,), status, code)


def _asked(value: Any) -> bytes:
    return json.dumps(value, allow_nan=True).encode()


GOOD = _asked(question(lambda body: body.update(case_id=CANARY)))
DEEP = 100_000


def _with(old: bytes, new: bytes) -> bytes:
    found = GOOD.replace(old, new, 1)
    assert found != GOOD
    return found


_TEXTS: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "malformed_json"),
    ("blanks", b" \r\n\t", "malformed_json"),
    ("half of a question", GOOD[: len(GOOD) // 2], "malformed_json"),
    ("trailing comma", GOOD[:-1] + b",}", "malformed_json"),
    ("single quotes", GOOD.replace(b'"', b"'"), "malformed_json"),
    ("comment", b"/* " + CANARY.encode() + b" */" + GOOD, "malformed_json"),
    ("two questions", GOOD + GOOD, "malformed_json"),
    ("question and a word", GOOD + CANARY.encode(), "malformed_json"),
    ("JSON lines", GOOD + b"\n" + GOOD, "malformed_json"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, "malformed_json"),
    ("leading zero", _with(b"73", b"073"), "malformed_json"),
    ("plus sign", _with(b"73", b"+73"), "malformed_json"),
    ("no digit before the point", _with(b"73", b".73"), "malformed_json"),
    ("no digit after the point", _with(b"73", b"73."), "malformed_json"),
    ("hexadecimal", _with(b"73", b"0x49"), "malformed_json"),
    ("underscore", _with(b"73", b"7_3"), "malformed_json"),
    ("decimal comma", _with(b"-3.1", b"-3,1"), "malformed_json"),
    ("Arabic digits", _with(b"73", "٧٣".encode()), "malformed_json"),
    ("Python's words", _with(b"true", b"True"), "malformed_json"),
    ("undefined", _with(b"true", b"undefined"), "malformed_json"),
    ("bare NUL", _with(b"73", b"73\x00"), "malformed_json"),
    ("control character in a text", _with(CANARY.encode(), b"a\nb"), "malformed_json"),
    ("bad escape", _with(CANARY.encode(), b"\\x41"), "malformed_json"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "not_utf8"),
    ("UTF-32", GOOD.decode().encode("utf-32"), "not_utf8"),
    ("Latin-1", _with(CANARY.encode(), b"\xe9"), "not_utf8"),
    ("overlong UTF-8", _with(CANARY.encode(), b"\xc0\xaf"), "not_utf8"),
    ("surrogate in UTF-8", _with(CANARY.encode(), b"\xed\xa0\x80"), "not_utf8"),
    ("beyond Unicode", _with(CANARY.encode(), b"\xf4\x90\x80\x80"), "not_utf8"),
    ("NaN", _with(b"73", b"NaN"), "not_finite"),
    ("Infinity", _with(b"73", b"Infinity"), "not_finite"),
    ("minus Infinity", _with(b"73", b"-Infinity"), "not_finite"),
    ("a number beyond all", _with(b"73", b"1e999"), "not_finite"),
    ("an integer of 200,000 digits", _with(b"73", b"7" * 200_000), "not_finite"),
    ("high surrogate", _with(CANARY.encode(), b"\\ud800"), "lone_surrogate"),
    ("low surrogate", _with(CANARY.encode(), b"\\udc00"), "lone_surrogate"),
    ("surrogates the wrong way round", _with(CANARY.encode(), b"\\udc00\\ud800"), "lone_surrogate"),
    ("key twice", _with(b'"t_score"', b'"age_years": 80, "t_score"'), "duplicate_key"),
    ("key twice, once escaped", _with(b'"t_score"', b'"\\u0061ge_years": 80, "t_score"'), "duplicate_key"),
    ("patient twice", _with(b'"vertebrae"', b'"patient": {}, "vertebrae"'), "duplicate_key"),
    ("100,000 open brackets", b"[" * DEEP, "too_deep"),
    ("100,000 pairs of brackets", b"[" * DEEP + b"]" * DEEP, "too_deep"),
    ("40,000 nested objects", b'{"a":' * 40_000, "too_deep"),
    ("33 levels", b"[" * 33 + b"]" * 33, "too_deep"),
    ("33 levels in a field", _with(b"73", b"[" * 31 + b"]" * 31), "too_deep"),
]

_VALUES: list[tuple[str, Any]] = [
    ("null", None),
    ("a truth value", True),
    ("a number", 1e300),
    ("a text", CANARY),
    ("a list", [EXAMPLE]),
    ("an empty object", {}),
    ("age as text", question(patient(age_years="73"))),
    ("age as truth value", question(patient(age_years=True))),
    ("age in a list", question(patient(age_years=[73]))),
    ("age in an object", question(patient(age_years={"value": 73}))),
    ("age of 10^300", question(patient(age_years=1e300))),
    ("age almost nothing", question(patient(age_years=1e-320))),
    ("NaN as text", question(patient(t_score="NaN"))),
    ("flag as number", question(patient(steroid_use=1))),
    ("flag as text", question(vertebra(cortical_disruption="true"))),
    ("__proto__", question(lambda body: body.update({"__proto__": {"canary": CANARY}}))),
    ("__class__", question(patient(__class__=CANARY))),
    ("empty key", question(lambda body: body.update({"": CANARY}))),
    ("a key of emoji", question(lambda body: body.update({"🦴" * 50: CANARY}))),
    ("a key of 100 KB", question(lambda body: body.update({CANARY * 9000: 1}))),
    ("a text of 200 KB", question(lambda body: body.update(case_id=CANARY * 18_000))),
    ("2,000 unknown keys", question(lambda body: body.update({f"{CANARY} {n}": n for n in range(2000)}))),
    ("1,000 vertebrae", question(lambda body: body.update(vertebrae=[{"level": "L1"}] * 1000))),
    ("an identifier", question(patient(patient_id=CANARY))),
    ("a case_id that is an object", question(lambda body: body.update(case_id={"$ne": CANARY}))),
]


class _Exploit:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (f"raise SystemExit('{CANARY}')",)


_PICKLE = pickle.dumps(_Exploit())
_LAUGHS = b'<!DOCTYPE a [<!ENTITY b "zqcanaryqz"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
_BOMB = gzip.compress(b" " * (50 * MEGABYTE))

_TYPES: list[tuple[str, bytes, str | None, tuple[str, ...]]] = [
    ("no media type", GOOD, None, ()),
    ("text", GOOD, "text/plain", ()),
    ("text/json", GOOD, "text/json", ()),
    ("jsonx", GOOD, "application/jsonx", ()),
    ("JSON of another kind", GOOD, "application/json-patch+json", ()),
    ("charset UTF-16", GOOD.decode().encode("utf-16"), "application/json; charset=utf-16", ()),
    ("charset Latin-1", GOOD, "application/json;charset=iso-8859-1", ()),
    ("form", b"age_years=73", "application/x-www-form-urlencoded", ()),
    ("multipart", b"--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x", ()),
    ("XML that laughs", _LAUGHS, "application/xml", ()),
    ("pickle", _PICKLE, "application/octet-stream", ()),
    ("BentoML's pickle", _PICKLE, "application/vnd.bentoml+pickle", ()),
    ("BentoML's multipart", _PICKLE, "application/vnd.bentoml.multiple+pickle", ()),
    ("msgpack", b"\x81\xa1a\x01", "application/msgpack", ()),
    ("gzip bomb", _BOMB, JSON, ("Content-Encoding: gzip",)),
    ("deflate", zlib.compress(GOOD), JSON, ("Content-Encoding: deflate",)),
    ("brotli", GOOD, JSON, ("Content-Encoding: br",)),
    ("identity and gzip", GOOD, JSON, ("Content-Encoding: identity, gzip",)),
]


def _chunked(name: str, body: bytes, status: int, code: str, times: int = 1) -> Odd:
    head = _head(f"Content-Type: {JSON}", "Transfer-Encoding: chunked")
    return Odd(name, head, (body,), status, code, times)


_CHUNK = b"%x\r\n%s\r\n" % (MEGABYTE, b" " * MEGABYTE)
_TYPED = f"Content-Type: {JSON}"

_FRAMES: list[Odd] = [
    Odd("200 MB", _head(_TYPED, f"Content-Length: {200 * MEGABYTE}"), (b" " * MEGABYTE,), 413, "body_too_large", 200),
    _chunked("200 MB in chunks", _CHUNK, 413, "body_too_large", 200),
    _sized("257 KiB", GOOD + b" " * (257 * 1024), 413, "body_too_large"),
    Odd("a length of 30 digits", _head(_TYPED, "Content-Length: " + "9" * 30), (), 400, "malformed_http"),
    Odd("a length below nothing", _head(_TYPED, "Content-Length: -5"), (GOOD,), 400, "malformed_http"),
    Odd("a length in words", _head(_TYPED, "Content-Length: ten"), (GOOD,), 400, "malformed_http"),
    Odd("two lengths", _head(_TYPED, "Content-Length: 5", "Content-Length: 6"), (GOOD,), 400, "malformed_http"),
    Odd(
        "length and chunks",
        _head(_TYPED, "Content-Length: 5", "Transfer-Encoding: chunked"),
        (GOOD,),
        400,
        "malformed_http",
    ),
    Odd("a length that is too small", _head(_TYPED, "Content-Length: 9"), (GOOD,), 400, "malformed_http"),
    Odd(
        "a promise of 1 GB",
        _head(_TYPED, f"Content-Length: {2**30}", "Expect: 100-continue"),
        (),
        413,
        "body_too_large",
    ),
    _chunked(
        "a chunk shorter than it says", b"ff\r\n" + GOOD[:20] + b"\r\n0\r\n\r\n" + b"x" * 300, 400, "malformed_http"
    ),
    _chunked("a chunk longer than it says", b"5\r\n" + GOOD + b"\r\n0\r\n\r\n", 400, "malformed_http"),
    _chunked("a chunk of no number", b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n", 400, "malformed_http"),
    _chunked("a chunk of more than all", b"f" * 17 + b"\r\n" + GOOD, 400, "malformed_http"),
    _chunked("a chunk below nothing", b"-5\r\n" + GOOD, 400, "malformed_http"),
    _chunked("chunks that are none", GOOD, 400, "malformed_http"),
    Odd("no HTTP", CANARY.encode() + b"\r\n\r\n", (), 400, "malformed_http"),
    Odd(
        "the beginning of TLS",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        (),
        400,
        "malformed_http",
    ),
    Odd("a header without a name", _head(": x"), (), 400, "malformed_http"),
    Odd("a header with a NUL", _head("X-Other: a\x00b"), (), 400, "malformed_http"),
    Odd("a blank before the colon", _head("Content-Length : 5"), (GOOD,), 400, "malformed_http"),
    Odd("another version of HTTP", _head(line="POST /v1/risk HTTP/9.9"), (), 400, "malformed_http"),
    Odd("a method of its own", _head(line=f"{CANARY.upper()} /v1/risk HTTP/1.1"), (), 400, "malformed_http"),
    Odd(
        "no such address",
        _head(_TYPED, f"Content-Length: {len(GOOD)}", line=f"POST /{CANARY} HTTP/1.1"),
        (GOOD,),
        404,
        "not_found",
    ),
    Odd(
        "20 MB to no address",
        _head(f"Content-Length: {20 * MEGABYTE}", line="POST /x HTTP/1.1"),
        (b" " * MEGABYTE,),
        404,
        "not_found",
        20,
    ),
    Odd(
        "a body for the page",
        _head(f"Content-Length: {len(GOOD)}", line="POST / HTTP/1.1"),
        (GOOD,),
        405,
        "method_not_allowed",
    ),
]


def _batch(name: str, value: Any, status: int, code: str) -> Odd:
    body = _asked(value)
    head = _head(_TYPED, f"Content-Length: {len(body)}", line="POST /v1/risk/batch HTTP/1.1")
    return Odd(name, head, (body,), status, code)


ODD: list[Odd] = [
    *(_sized(name, body, 400, code) for name, body, code in _TEXTS),
    *(_sized(name, _asked(value), 422, "invalid_question") for name, value in _VALUES),
    *(_sized(name, body, 415, "media_type", *more, media_type=kind) for name, body, kind, more in _TYPES),
    *_FRAMES,
    _batch("1,001 cases", {"cases": [None] * 1001}, 422, "invalid_question"),
    _batch("a batch of 5 MB", {"cases": [CANARY * (5 * MEGABYTE // len(CANARY))]}, 413, "body_too_large"),
    _batch("a batch that is none", {"cases": {CANARY: 1}}, 422, "invalid_question"),
]


def send(odd: Odd, address: tuple[str, int], key: str | None = None) -> Reply:
    """Send it while listening, as a careful client does; with an access key, where one is given."""
    with socket.create_connection(address, timeout=30) as connection:
        sent: list[bool] = []
        pieces = odd.pieces()
        connection.sendall(_with_key(next(pieces), key))
        since = time.perf_counter()

        def push() -> None:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                sent.append(True)
            except OSError:
                sent.append(False)

        sender = threading.Thread(target=push)
        sender.start()
        data, seconds = connection.recv(65536), time.perf_counter() - since
        head, body = _split(connection, data)
        sender.join(30)
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(status.split()[1]), headers, body, seconds, sent == [True])


def _with_key(head: bytes, key: str | None) -> bytes:
    line, _, rest = head.partition(b"\r\n")
    return head if key is None else line + f"\r\nAuthorization: Bearer {key}\r\n".encode() + rest


def _split(connection: socket.socket, data: bytes) -> tuple[bytes, bytes]:
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += _more(connection)
    return head, body[:length]


def _more(connection: socket.socket) -> bytes:
    found = connection.recv(65536)
    if not found:
        raise ConnectionError("the connection ended before the answer did")
    return found
