"""The log as routes use it: a record before the answer, several writers, what happens when it cannot be written."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from features.build import Outcome
from features.errors import LogUnavailable, UsageError
from serving.app import create_app
from serving.query_log import LogSettings, QueryLog
from serving.query_log import sqlite as sqlite_module
from serving.query_log.anchor import Anchor, Commit, advance, read_anchor
from serving.query_log.chain import Head
from serving.query_log.keys import ensure_keys, read_keys
from serving.query_log.store import open_to_read
from serving.served import Served
from tests.service import logged
from tests.service.client import Client
from tests.service.process import running
from tests.service.questions import EXAMPLE, patient, question


def _records(place: LogSettings) -> list[dict[str, Any]]:
    store = open_to_read(place)
    try:
        return [json.loads(row.content) for row in store.rows()]
    finally:
        store.close()


def _client(served: Mapping[Outcome, Served], place: LogSettings) -> Client:
    return Client(create_app(lambda: served, log=QueryLog("test", place)))


def test_an_answer_has_its_record(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    response = _client(served, place).post("/v1/risk", json=EXAMPLE)
    found, (record,) = response.json(), _records(place)
    assert (record["id"], record["at"], record["route"]) == (found["request_id"], found["answered_at"], "/v1/risk")
    assert record["risks"]["leakage"] == [one["risk"] for one in found["leakage"]]
    assert record["risks"]["refracture"] == found["refracture"]["risk"]
    assert {name: one["sha256"] for name, one in record["models"].items()} == {
        name: one["sha256"] for name, one in found["models"].items()
    }
    assert record["warnings"] == [[one["code"], one["variable"]] for one in found["warnings"]]
    keys = read_keys(place.key)
    assert record["answer"] == keys.hash("answer", response.content)
    assert record["case"] == keys.hash("case", b"case-7")


def test_neither_values_nor_pseudonyms_stand_in_the_log_unless_asked_for(
    served: Mapping[Outcome, Served], tmp_path: Path
) -> None:
    body = question(patient(age_years=73.719137)) | {"case_id": "canary-7"}
    for keep in (False, True):
        place = logged.settings(tmp_path / str(keep), keep_inputs=keep)
        assert _client(served, place).post("/v1/risk", json=body).status_code == 200
        stored = b"".join(path.read_bytes() for path in place.folder.iterdir())
        assert (b"73.719137" in stored, b"canary-7" in stored) == (keep, keep)


def test_a_batch_has_a_record_for_each_answer_in_one_commit(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    cases = [EXAMPLE, question(patient(age_years=45)), EXAMPLE | {"case_id": "other"}]
    found = _client(served, place).post("/v1/risk/batch", json={"cases": cases}).json()["cases"]
    answers = [case["answer"] for case in found if case["answer"] is not None]
    records = _records(place)
    assert [record["id"] for record in records] == [one["request_id"] for one in answers]
    keys = read_keys(place.key)
    assert [record["answer"] for record in records] == [keys.hash("answer", orjson.dumps(one)) for one in answers]
    verdict = logged.verdict(place, keys)
    assert (verdict.faults, verdict.commits, verdict.records) == ([], 1, 2)


def test_what_is_refused_leaves_no_record(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    client = _client(served, place)
    assert client.post("/v1/risk", json=question(patient(age_years=45))).status_code == 422
    assert client.post("/v1/risk/batch", json={"cases": [{}]}).status_code == 200
    assert not place.file.exists()


def _unanswered(client: Client) -> None:
    for path, body in (("/v1/risk", EXAMPLE), ("/v1/risk/batch", {"cases": [EXAMPLE]})):
        _refused(client, path, body)


def _refused(client: Client, path: str, body: Any) -> None:
    response = client.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "2"
    assert 'risk"' not in response.text


def test_while_another_holds_the_database_nothing_is_answered(
    served: Mapping[Outcome, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.2)
    place = logged.settings(tmp_path)
    keys = logged.fill(place, [1])
    client = _client(served, place)
    holder = sqlite3.connect(place.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    _unanswered(client)
    holder.execute("ROLLBACK")
    holder.close()
    assert client.post("/v1/risk", json=EXAMPLE).status_code == 200
    assert logged.verdict(place, keys).faults == [] and len(_records(place)) == 2


def test_on_a_full_disk_nothing_is_answered_until_there_is_room(
    served: Mapping[Outcome, Served], tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses the same writes."""
    place = logged.settings(tmp_path)
    keys = logged.fill(place, [1])
    client = _client(served, place)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        _unanswered(client)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert client.post("/v1/risk", json=EXAMPLE).status_code == 200
    assert logged.verdict(place, keys).faults == [] and len(_records(place)) == 2


def test_a_log_begun_with_another_key_is_not_gone_on_with(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    logged.fill(place, [1])
    place.key.unlink()
    _unanswered(_client(served, place))
    place.key.write_text("{}")
    _unanswered(_client(served, place))


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_nothing_is_answered_into_a_file_that_is_no_longer_in_its_place(
    served: Mapping[Outcome, Served], tmp_path: Path, how: str
) -> None:
    """An open file can be written on wherever it is, and the answer would have no record in the log."""
    place = logged.settings(tmp_path)
    keys = logged.fill(place, [1])
    (tmp_path / "restored").mkdir()
    backup = Path(shutil.copy(place.file, tmp_path / "restored"))
    client = _client(served, place)
    assert client.post("/v1/risk", json=EXAMPLE).status_code == 200
    if how == "deleted":
        shutil.rmtree(place.folder)
    else:
        place.folder.rename(tmp_path / "away")
    if how == "replaced":
        backup.parent.rename(place.folder)
    _refused(client, "/v1/risk", EXAMPLE)
    found = client.post("/v1/risk", json=EXAMPLE).json()["request_id"]
    assert found in [record["id"] for record in _records(place)]
    (fault,) = logged.verdict(place, keys).faults  # and what is gone is missed
    assert "is not the one that the anchor was of" in fault if how == "replaced" else "of another log" in fault
    if how == "moved":
        assert logged.verdict(LogSettings(tmp_path / "away", place.key, place.anchor), keys).faults == []


def test_a_new_log_does_not_heal_that_the_old_one_was_deleted(tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    keys = logged.fill(place, [2])
    anchor = place.anchor.read_bytes()
    shutil.rmtree(place.folder)
    logged.fill(place, [1, 3], 10)
    assert place.anchor.read_bytes() == anchor
    assert ["of another log" in fault for fault in logged.verdict(place, keys).faults] == [True]
    place.anchor.unlink()  # as whoever begins a new log on purpose moves it away
    logged.fill(place, [1], 20)
    assert logged.verdict(place, keys).faults == []


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    place = logged.settings(tmp_path / "new")
    keys = ensure_keys(place.key)
    assert ensure_keys(place.key).hashing == keys.hashing
    assert place.key.stat().st_mode & 0o777 == 0o600
    assert place.public_key.read_text().strip() == keys.public.raw.hex()


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    logged.fill_from_two_processes(place, [1, 2] * 15)
    verdict = logged.verdict(place, read_keys(place.key))
    assert (verdict.faults, verdict.records, verdict.commits) == ([], 90, 60)


def test_answers_of_one_moment_share_a_commit_and_the_loop_goes_on(tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    log = QueryLog("test", place)

    async def ask() -> None:
        await log.keep(logged.answered())
        holder = sqlite3.connect(place.file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.gather(*(log.keep(logged.answered(number)) for number in range(200)))
        since = time.perf_counter()
        await asyncio.sleep(0.1)
        assert time.perf_counter() - since < sqlite_module.BUSY_SECONDS  # the loop does not wait with the writer
        assert not waiting.done()
        holder.execute("ROLLBACK")
        holder.close()
        await waiting

    asyncio.run(ask())
    verdict = logged.verdict(place, read_keys(place.key))
    assert verdict.faults == [] and verdict.records == 201 and verdict.commits <= 4


def test_answers_of_one_turn_of_the_loop_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, turns = logged.settings(tmp_path), (1, 7, 20)
    log = QueryLog("test", place)
    monkeypatch.setattr("serving.query_log.writer.LONGEST_TURN_SECONDS", 60.0)

    async def ask() -> None:
        for count in turns:
            await asyncio.gather(*(log.keep(logged.answered(number)) for number in range(count)))
            await asyncio.sleep(0.2)  # else a writer that is still busy takes the first of the next turn by itself

    asyncio.run(ask())
    verdict = logged.verdict(place, read_keys(place.key))
    assert (verdict.faults, verdict.records, verdict.commits) == ([], sum(turns), len(turns))


def test_a_turn_that_takes_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = logged.settings(tmp_path)
    log = QueryLog("test", place)
    monkeypatch.setattr("serving.query_log.writer.LONGEST_TURN_SECONDS", 0.0)

    async def ask() -> None:
        kept = [asyncio.ensure_future(log.keep(logged.answered(number))) for number in range(2)]
        asyncio.get_running_loop().call_soon(_until, lambda: place.file.exists() and _records(place))
        await asyncio.gather(*kept)

    asyncio.run(ask())
    assert logged.verdict(place, read_keys(place.key)).records == 2


def _until(true: Callable[[], object]) -> None:
    """Keeps the loop in this turn."""
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, "nothing was written during the turn"
        time.sleep(0.005)


def test_too_many_waiting_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.query_log.writer.MOST_WAITING", 2)
    log = QueryLog("test", logged.settings(tmp_path))
    with pytest.raises(LogUnavailable, match="keep up"):
        asyncio.run(log.keep(*[logged.answered()] * 3))


def _anchors(place: LogSettings, count: int) -> list[Anchor]:
    """The anchor after each of so many records."""
    found = []
    for number in range(count):
        logged.fill(place, [1], number)
        anchor = read_anchor(place.anchor)
        assert anchor is not None
        found.append(anchor)
    return found


def test_the_anchor_only_moves_forward(tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    first, second = _anchors(place, 2)
    assert second.head.seq == 2
    assert advance(place.anchor, Commit(first, Head(0, bytes(32))), lambda _: True)
    assert read_anchor(place.anchor) == second


def test_only_what_this_worker_signed_itself_is_taken_for_genuine(tmp_path: Path) -> None:
    place = logged.settings(tmp_path)
    first, second, third = _anchors(place, 3)
    asked: list[Anchor] = []

    def moved(last: Anchor | None) -> tuple[bool, list[Anchor], Anchor | None]:
        """To the third from a file that holds the second."""
        place.anchor.unlink()
        advance(place.anchor, Commit(second, first.head), lambda _: True)
        asked.clear()
        whole = advance(place.anchor, Commit(third, second.head), lambda one: bool(asked.append(one)), last)
        return whole, list(asked), read_anchor(place.anchor)

    assert moved(second) == (True, [], third)
    assert moved(None) == (False, [second], second)  # another worker's, or nobody's: it is checked
    assert moved(first)[::2] == (False, second)


@pytest.mark.parametrize(
    "environment", [{"CEMRISK_LOG_INPUTS": "perhaps"}, {"CEMRISK_DATABASE_URL": "mysql://user@host/log"}]
)
def test_settings_that_cannot_be_meant(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        LogSettings.of(tmp_path, environment)


@pytest.mark.slow
def test_workers_of_a_service_write_one_log(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = logged.settings(tmp_path)
    monkeypatch.setenv("CEMRISK_LOG_KEY", str(place.key))
    monkeypatch.setenv("CEMRISK_LOG_ANCHOR", str(place.anchor))
    own = tmp_path / "home"
    own.mkdir()
    (own / "released").symlink_to(home / "released")
    with running(own, tmp_path, workers=2) as service:
        service.wait_ready()
        ids = [httpx.post(f"{service.url}/v1/risk", json=EXAMPLE).json()["request_id"] for _ in range(30)]
        metrics = httpx.get(f"{service.url}/metrics").text  # of both workers
        for counted in ('cemrisk_risk_count{outcome="leakage",months=""}', 'cemrisk_input_count{variable="age_years"}'):
            assert f"{counted} 30\n" in metrics
        assert 'route="/v1/risk",status="200"} 30.0' in metrics and "cemrisk_risk_sum" not in metrics
        assert service.stop() == 0
    place = LogSettings(own / "query_log", place.key, place.anchor)
    assert [record["id"] for record in _records(place)] == ids
    assert logged.verdict(place, read_keys(place.key)).faults == []
