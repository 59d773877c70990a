"""Orphans of a service and the one who takes over from them, here as two ends within one process."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from serving import takeover
from serving.run import METRICS, remove_left_behind
from serving.takeover import END, Offer, Orphans, find

LONG = 60.0


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def _found(offer: Offer, home: Path, listening: socket.socket) -> Orphans | None:
    """As the next service asks, while the orphans look."""
    with ThreadPoolExecutor() as thread:
        asked = thread.submit(find, home, *listening.getsockname())
        while not asked.done():
            assert not offer.is_over()
            time.sleep(0.01)
        return asked.result()


def _until_over(offer: Offer) -> None:
    until = time.monotonic() + LONG / 10
    while not offer.is_over():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_socket_itself_is_handed_over_and_a_word_ends_the_orphans(tmp_path: Path, listening: socket.socket) -> None:
    home = tmp_path / ("a folder whose name is too long for the address of a Unix socket " * 3)
    home.mkdir()
    with closing(Offer(home, listening.fileno(), LONG)) as offer:
        (place,) = (home / ".orphans").iterdir()
        assert stat.S_IMODE(place.stat().st_mode) == 0o600 and stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        orphans = _found(offer, home, listening)
        assert orphans is not None and orphans.group == os.getpid()
        with orphans.listening, orphans.connection:
            socket.create_connection(listening.getsockname()).close()
            orphans.listening.settimeout(5)
            orphans.listening.accept()[0].close()
            orphans.connection.send(END)
            _until_over(offer)
        offer.withdraw()
        assert not place.exists()


def test_an_heir_that_dies_leaves_them_going_for_a_while_longer(tmp_path: Path, listening: socket.socket) -> None:
    with closing(Offer(tmp_path, listening.fileno(), 0.5)) as offer:
        orphans = _found(offer, tmp_path, listening)
        assert orphans is not None
        orphans.listening.close()
        time.sleep(0.6)
        assert not offer.is_over()  # as long as he is there
        orphans.connection.close()
        assert not offer.is_over()
        again = _found(offer, tmp_path, listening)
        assert again is not None
        again.listening.close()
        again.connection.close()
        before = time.monotonic()
        _until_over(offer)
        assert time.monotonic() - before > 0.3


def test_newer_orphans_of_the_same_address_end_the_older(tmp_path: Path, listening: socket.socket) -> None:
    with closing(Offer(tmp_path, listening.fileno(), LONG)) as older:
        assert not older.is_over()
        with closing(Offer(tmp_path, listening.fileno(), LONG)) as newer:
            assert older.is_over()
            older.withdraw()
            assert not newer.is_over()


def test_nothing_is_taken_where_nobody_offers_or_a_stranger_does(
    tmp_path: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = listening.getsockname()
    assert find(tmp_path, *address) is None
    with closing(Offer(tmp_path, listening.fileno(), LONG)) as offer:
        monkeypatch.setattr(takeover.os, "geteuid", lambda: os.getuid() + 1)
        assert _found(offer, tmp_path, listening) is None
        monkeypatch.undo()
        assert find(tmp_path, address[0], address[1] + 1) is None
        assert find(tmp_path / "elsewhere", *address) is None
    assert find(tmp_path, *address) is None  # the file is still there


def test_only_folders_of_metrics_that_nobody_holds_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("left", "held", "fresh"):
        folder = tmp_path / f"{METRICS}{name}"
        folder.mkdir()
        (folder / "counter_1.db").write_bytes(b"1")
        if name != "fresh":
            os.utime(folder, (0, 0))
    (tmp_path / f"{METRICS}link").symlink_to(tmp_path)
    held = os.open(tmp_path / f"{METRICS}held", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        remove_left_behind()
    finally:
        os.close(held)
    assert {path.name.removeprefix(METRICS) for path in tmp_path.iterdir()} == {"held", "fresh", "link"}
