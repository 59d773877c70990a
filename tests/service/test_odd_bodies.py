"""Odd requests against the running service: each is refused in one form, at once, and nothing of it comes back."""

from __future__ import annotations

import json
import socket

import pytest

from serving.problem import TITLES
from tests.service.odd import CANARY, MEGABYTE, ODD, Odd, send
from tests.service.process import Running

#: Generous: what it takes on a quiet machine is measured by benchmarks/odd_bodies.py.
WITHIN_SECONDS = 5.0


def _address(service: Running) -> tuple[str, int]:
    host, port = service.url.removeprefix("http://").split(":")
    return host, int(port)


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len({odd.name for odd in ODD}) == len(ODD) >= 60


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_an_odd_request(service: Running, odd: Odd) -> None:
    reply = send(odd, _address(service))
    found = json.loads(reply.body)
    assert (reply.status, found["code"]) == (odd.status, odd.code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert found["title"] == TITLES[odd.code] and found["status"] == odd.status
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert CANARY not in (reply.body.decode() + json.dumps(reply.headers)).lower()
    assert reply.seconds < WITHIN_SECONDS


@pytest.mark.parametrize("keep", ["close", "keep-alive"])
@pytest.mark.parametrize("path", ["/v1/risk", "/v1/nothing"])
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(service: Running, path: str, keep: str) -> None:
    with socket.create_connection(_address(service), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {keep}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {20 * MEGABYTE}\r\n\r\n".encode())
        for _ in range(20):
            connection.sendall(b" " * MEGABYTE)
        answered = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answered.startswith(b"HTTP/1.1 4") and answered.endswith(b"}") and b"connection: close" in answered


def test_it_still_answers_afterwards_and_nothing_of_it_is_in_the_log(service: Running) -> None:
    for odd in ODD[:3]:
        send(odd, _address(service))
    log = service.log.read_text()
    assert CANARY not in log.lower() and "Traceback" not in log
    assert '"ready"' in log
