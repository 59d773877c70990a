"""Whatever is changed in a query log is found; an untouched one is whole."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import LogUnavailable
from serving.query_log import QueryLog
from serving.query_log.chain import following, genesis, link
from serving.query_log.keys import LogKeys
from tests.service import logged
from tests.service.tampering import TAMPERINGS, Tampering

COMMITS = (1, 3, 1, 2, 5, 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LogKeys]:
    """A log that keeps its questions; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("log")
    return folder, logged.fill(logged.settings(folder, keep_inputs=True), COMMITS)


def test_an_untouched_log_is_whole(written: tuple[Path, LogKeys]) -> None:
    found = logged.verdict(logged.settings(written[0]), written[1])
    assert (found.faults, found.records, found.commits) == ([], sum(COMMITS), len(COMMITS))


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda one: one.__name__)
def test_tampering_is_found(written: tuple[Path, LogKeys], tampering: Tampering, number: int, tmp_path: Path) -> None:
    place = logged.settings(Path(shutil.copytree(written[0], tmp_path / "log")))
    database = sqlite3.connect(place.file)
    with database:
        assert tampering(random.Random(number), database, place)
    database.close()
    assert logged.verdict(place, written[1]).faults


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda one: one.__name__)
def test_tampering_under_a_service_that_goes_on_is_found(
    written: tuple[Path, LogKeys], tampering: Tampering, number: int, tmp_path: Path
) -> None:
    """What is written afterwards, more than was cut off, must not heal the log."""
    place = logged.settings(Path(shutil.copytree(written[0], tmp_path / "log")), keep_inputs=True)
    log = QueryLog("test", place)
    asyncio.run(log.keep(logged.answered(100)))
    with contextlib.closing(sqlite3.connect(place.file)) as database, database:
        assert tampering(random.Random(number), database, place)
    for more in range(sum(COMMITS) + 3):
        with contextlib.suppress(LogUnavailable):  # a description of the log that is no longer there
            asyncio.run(log.keep(logged.answered(200 + more)))
    assert logged.verdict(place, written[1]).faults


def test_a_cut_tail_is_found_after_other_workers_wrote_on(written: tuple[Path, LogKeys], tmp_path: Path) -> None:
    place = logged.settings(Path(shutil.copytree(written[0], tmp_path / "log")), keep_inputs=True)
    with contextlib.closing(sqlite3.connect(place.file)) as database, database:
        database.execute("DELETE FROM entries WHERE seq > 7")
        database.execute("DELETE FROM inputs WHERE id NOT IN (SELECT id FROM entries)")
    logged.fill(place, [5, 5, 5], 200)
    faults = logged.verdict(place, written[1]).faults
    assert faults == [f"record {sum(COMMITS)}: is not the one that the anchor was of"]


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=5))
@settings(max_examples=50, deadline=None)
def test_the_chain_does_not_depend_on_how_it_is_read(commits: list[list[bytes]]) -> None:
    log_id = bytes(16)
    head = genesis(log_id)
    links = []
    for contents in commits:
        links += link(head, contents)
        head = links[-1].head
    again = genesis(log_id)
    for one in links:
        again = following(again, one.content, one.closes)
        assert again == one.head
    assert sum(one.closes for one in links) == len(commits)


@given(st.binary(max_size=20), st.binary(max_size=20), st.booleans(), st.booleans())
def test_other_records_have_other_hashes(one: bytes, other: bytes, closes: bool, ends: bool) -> None:
    head = genesis(bytes(16))
    same = (one, closes) == (other, ends)
    assert (following(head, one, closes) == following(head, other, ends)) == same
