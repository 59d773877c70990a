"""Limits: a steady rate with a burst, requests at once, slow bodies; each refusal says when to come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st

from features.build import Outcome
from features.errors import UsageError
from serving import keys
from serving.app import create_app
from serving.door import Door
from serving.keys import Keyring
from serving.limits import Busy, Limited, Limits, Meter
from serving.policy import Role
from serving.served import Served
from tests.service.client import Client
from tests.service.questions import EXAMPLE

HERE = "http://127.0.0.1"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    meter = Meter(Limits(questions_per_second=2, burst=5), clock)
    for _ in range(5):
        meter.charge("a", 1)
    with pytest.raises(Limited) as caught:
        meter.charge("a", 1)
    assert (caught.value.http_status, caught.value.headers["Retry-After"]) == (429, "1")
    meter.charge("b", 5)  # another key has a bucket of its own
    clock.now = 1.0
    meter.charge("a", 2)
    with pytest.raises(Limited):
        meter.charge("a", 1)


@example([(0.6923724925312351, 5), (0.8176298722088347, 4), (0.0, 3)])  # the bucket is full but for a rounding
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 8)), max_size=60))
def test_never_more_than_the_burst_and_the_rate_allow(asked: list[tuple[float, int]]) -> None:
    clock, taken = Clock(), 0
    meter = Meter(Limits(questions_per_second=2, burst=5), clock)
    for pause, questions in asked:
        clock.now += pause
        try:
            meter.charge("a", questions)
        except Limited as refused:
            if questions <= 5:  # what it says about waiting is enough
                clock.now += int(refused.headers["Retry-After"])
                meter.charge("a", questions)
                taken += questions
        else:
            taken += questions
        assert taken <= 5 + 2 * clock.now + 1e-8


def test_requests_at_once_of_one_key_and_of_all() -> None:
    meter = Meter(Limits(at_once=3, at_once_by_key=2))
    with meter.held("a"), meter.held("a"):
        with pytest.raises(Limited, match="this key") as caught, meter.held("a"):
            pass
        assert caught.value.http_status == 429
        with meter.held("b"), pytest.raises(Busy) as busy, meter.held("c"):
            pass
        assert (busy.value.http_status, busy.value.headers["Retry-After"]) == (503, "1")
    with meter.held("a"), meter.held("a"), meter.held(None):
        pass


def test_limits_come_from_the_environment() -> None:
    assert Limits.of({}) == Limits()
    assert Limits.of({"CEMRISK_RATE": "5", "CEMRISK_AT_ONCE": "2"}) == Limits(questions_per_second=5, at_once=2)
    for text in ("0", "-1", "many", "inf", "nan"):
        with pytest.raises(UsageError, match="CEMRISK_BURST"):
            Limits.of({"CEMRISK_BURST": text})


def _app(served: Mapping[Outcome, Served], home: Path, limits: Limits) -> tuple[FastAPI, dict[str, str]]:
    _, text = keys.create(home, "EHR", [Role.ASK])
    app = create_app(lambda: served, None, None, Door(Keyring(home), limits=limits))
    return app, {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}


def test_a_key_that_asks_too_much_is_told_when_to_come_back(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    app, header = _app(served, tmp_path, Limits(questions_per_second=0.1, burst=4))
    client, body = Client(app, HERE), json.dumps(EXAMPLE)
    batch = json.dumps({"cases": [EXAMPLE] * 3})
    assert client.post("/v1/risk/batch", content=batch, headers=header).status_code == 200
    assert client.post("/v1/risk", content=body, headers=header).status_code == 200
    for path, content in (("/v1/risk", body), ("/v1/risk/batch", batch)):
        found = client.post(path, content=content, headers=header)
        assert (found.status_code, found.json()["code"]) == (429, "too_many_questions")
        assert 1 <= int(found.headers["retry-after"]) <= 30


def _ask(app: FastAPI, header: dict[str, str], body: AsyncIterator[bytes]) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
            return await client.post("/v1/risk", content=body, headers=header)

    return asyncio.run(ask())


async def _slow() -> AsyncIterator[bytes]:
    yield b'{"patient":'
    await asyncio.sleep(0.3)
    yield b"{}}"


def test_a_body_that_comes_too_slowly(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    app, header = _app(served, tmp_path, Limits(body_seconds=0.05))
    found = _ask(app, header, _slow())
    assert (found.status_code, found.json()["code"]) == (408, "slow_body")


def test_a_service_that_is_busy_says_so_and_its_probes_still_answer(
    served: Mapping[Outcome, Served], tmp_path: Path
) -> None:
    app, header = _app(served, tmp_path, Limits(at_once=1))

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
            slow = asyncio.create_task(client.post("/v1/risk", content=_slow(), headers=header))
            await asyncio.sleep(0.1)
            return [await client.get("/v1/models", headers=header), await slow]

    second, first = asyncio.run(both())
    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (503, "busy", "1")
    assert first.status_code == 422
