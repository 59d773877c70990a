"""Query logs with answers that no model gave: for what does not depend on the numbers."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from serving.query_log import Answered, LogSettings
from serving.query_log.anchor import advance, read_anchor
from serving.query_log.chain import Head
from serving.query_log.entry import entry_of
from serving.query_log.keys import LogKeys, ensure_keys
from serving.query_log.store import fits, open_store, open_to_read
from serving.query_log.verify import Verdict, verify

MODELS = {
    outcome: {
        "version": "1",
        "learner": "cox",
        "sha256": hashlib.sha256(outcome.encode()).hexdigest(),
        "by_learner": {"cox": {"version": "1", "sha256": hashlib.sha256(outcome.encode()).hexdigest()}},
    }
    for outcome in ("leakage", "refracture")
}


def answered(number: int = 0, case_id: str | None = "case-7") -> Answered:
    """Question and answer of one patient; every one has numbers of its own."""
    question = {"case_id": case_id, "patient": {"age_years": 60.0 + number / 1000}, "vertebrae": [{"level": "L1"}]}
    found: dict[str, Any] = {
        "request_id": uuid.uuid4().hex,
        "answered_at": "2026-03-01T10:00:00.000Z",
        "moment": "preop",
        "detection": "CT",
        "leakage": [{"level": "L1", "risk": 0.2 + number / 10_000}],
        "refracture": {"risk": [0.04, 0.1, 0.15 + number / 10_000]},
        "warnings": [{"code": "implausible_low", "variable": "hu_l1"}],
        "models": MODELS,
    }
    return Answered(question, found, orjson.dumps(found), "/v1/risk", "key-1")


def settings(folder: Path, **more: Any) -> LogSettings:
    return LogSettings(folder / "query_log", folder / "query_log.key", folder / "query_log.anchor", **more)


def fill(place: LogSettings, commits: Sequence[int], number: int = 0) -> LogKeys:
    """Append commits of so many answers each."""
    keys = ensure_keys(place.key)
    with contextlib.closing(open_store(place, keys)) as store:
        for count in commits:
            entries = [entry_of(answered(number + i), keys, place.keep_inputs, "test") for i in range(count)]
            advance(place.anchor, store.append(entries, keys), fits(store, keys))
            number += count
    return keys


def verdict(place: LogSettings, keys: LogKeys, noted: Head | None = None) -> Verdict:
    """What ``cemrisk log verify`` finds."""
    anchor = read_anchor(place.anchor)
    store = open_to_read(place)
    try:
        return verify(store, keys.public, anchor, keys, noted)
    finally:
        store.close()


class Kept:
    """A query log that keeps what it is given where a test can see it."""

    def __init__(self) -> None:
        self.answered: list[Answered] = []

    async def keep(self, *answered: Answered) -> None:
        self.answered += answered


def fill_from_two_processes(place: LogSettings, sizes: Sequence[int]) -> None:
    """``fill`` by two processes at once, both of which must end well."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=fill, args=(place, sizes, 1000 * i)) for i in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
