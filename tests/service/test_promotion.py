"""A promotion while the service runs: every worker follows by itself, nothing fails, and damage changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from features.build import Outcome
from models.release import OUTCOMES, load_release, put_in_force, write_release
from serving.shelf import Shelf
from tests.service.process import Running, running
from tests.service.questions import EXAMPLE

FOLLOWED_WITHIN_SECONDS = 3.0


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    """A copy of the released models that a test may promote in."""
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.fixture
def two_workers(own_home: Path, tmp_path: Path) -> Iterator[Running]:
    with running(own_home, tmp_path, workers=2) as found:
        found.wait_ready()
        yield found


def _promote(home: Path, outcome: Outcome, champion: str, version: str) -> str:
    """Put the models of the release in force under another champion and other versions."""
    before = load_release(home, outcome)
    assert before is not None
    folders = {learner: home / "models" / outcome / learner for learner in before.models}
    return write_release(home, outcome, champion, folders, dict.fromkeys(folders, version), "training-2")


def _damage(home: Path, outcome: Outcome, bundle: str) -> None:
    """A copy of the bundle with a model cut in half, put in force."""
    root = home / "released" / outcome
    damaged = Path(shutil.copytree(root / bundle, root / f"{bundle}-damaged"))
    stored = max((path for path in damaged.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    stored.write_bytes(stored.read_bytes()[: stored.stat().st_size // 2])
    put_in_force(home, outcome, damaged.name)


def _versions_told(url: str) -> set[str]:
    """Versions of leakage that new connections are told, which reach any worker; no request may fail."""
    told = set()
    for _ in range(10):
        models, answered = httpx.get(f"{url}/v1/models"), httpx.post(f"{url}/v1/risk", json=EXAMPLE)
        assert (models.status_code, answered.status_code) == (200, 200)
        told |= {models.json()["models"]["leakage"]["version"], answered.json()["models"]["leakage"]["version"]}
    return told


@pytest.mark.slow
def test_running_workers_follow_a_promotion_without_a_failed_request(own_home: Path, two_workers: Running) -> None:
    assert len(two_workers.workers()) == 2 and "41" not in _versions_told(two_workers.url)
    bundle = _promote(own_home, "leakage", "boosted", "41")
    since = time.monotonic()
    while time.monotonic() < since + FOLLOWED_WITHIN_SECONDS:
        _versions_told(two_workers.url)
    assert _versions_told(two_workers.url) == {"41"}
    assert httpx.get(f"{two_workers.url}/v1/models").json()["models"]["leakage"]["learner"] == "boosted"

    _damage(own_home, "leakage", bundle)
    time.sleep(FOLLOWED_WITHIN_SECONDS)
    assert _versions_told(two_workers.url) == {"41"}
    assert "the models before it stay in force" in two_workers.log.read_text()


def test_a_shelf_takes_only_what_is_new(own_home: Path) -> None:
    shelf = Shelf()
    assert shelf.refresh(own_home) and not shelf.refresh(own_home)
    before = shelf.get()
    _promote(own_home, "refracture", "boosted", "42")
    assert shelf.refresh(own_home)
    assert shelf.get()["refracture"].identity["version"] == "42" and before["refracture"].identity["version"] != "42"
    assert shelf.get()["leakage"] is before["leakage"]


def test_a_damaged_bundle_neither_ends_nor_blocks_what_is_served(own_home: Path) -> None:
    shelf = Shelf()
    shelf.refresh(own_home)
    before = shelf.get()
    _damage(own_home, "leakage", _promote(own_home, "leakage", "boosted", "43"))
    assert not shelf.refresh(own_home) and shelf.get() == before
    _promote(own_home, "refracture", "boosted", "44")
    assert shelf.refresh(own_home)
    assert shelf.get()["leakage"] is before["leakage"] and shelf.get()["refracture"].identity["version"] == "44"


def test_a_bundle_that_could_not_be_read_is_looked_at_again_a_damaged_one_is_not(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker without a free handle at the moment of a promotion must not stay behind the others for ever."""
    monkeypatch.setattr("serving.shelf.AGAIN_AFTER_SECONDS", 0.0)
    shelf = Shelf()
    shelf.refresh(own_home)
    described = own_home / "released" / "leakage" / _promote(own_home, "leakage", "boosted", "45") / "release.json"
    described.rename(described.with_name("gone"))
    assert not shelf.refresh(own_home) and not shelf.refresh(own_home)
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    assert set(shelf.status()["refused"]) == {"leakage"}
    described.with_name("gone").rename(described)
    assert shelf.refresh(own_home) and shelf.get()["leakage"].identity["version"] == "45"
    assert not shelf.refresh(own_home) and shelf.status()["refused"] == {}
    _damage(own_home, "leakage", _promote(own_home, "leakage", "boosted", "46"))
    asked: list[Outcome] = []
    assert not shelf.refresh(own_home)
    monkeypatch.setattr("serving.shelf.require_fit", lambda _, outcome, __: asked.append(outcome))
    assert not shelf.refresh(own_home) and asked == []


def test_half_of_what_is_in_force_is_not_served_at_the_start_and_a_promotion_mends_it(own_home: Path) -> None:
    good = _promote(own_home, "leakage", "boosted", "45")
    _damage(own_home, "leakage", good)
    shelf = Shelf()
    assert not shelf.refresh(own_home) and shelf.get() == {}
    put_in_force(own_home, "leakage", good)
    assert shelf.refresh(own_home) and set(shelf.get()) == {*OUTCOMES}


def test_a_pointer_that_vanishes_changes_nothing(own_home: Path) -> None:
    shelf = Shelf()
    shelf.refresh(own_home)
    (own_home / "released" / "leakage" / "current").unlink()
    assert not shelf.refresh(own_home) and set(shelf.get()) == {*OUTCOMES}
