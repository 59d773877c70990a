"""A few rounds of each fault of ``benchmarks.faults``; the full numbers stand in docs/reliability.md."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks import faults
from benchmarks.bit_flips import flip_bits
from benchmarks.fault_rounds import Found, Scenario
from serving.supervisor import GRACE_SECONDS
from tests.service.process import Running, children, lives, running
from tests.service.questions import EXAMPLE
from tests.service.small_disk import small_disk

ROUNDS = {
    faults.kill_a_worker: 2,
    faults.kill_all_workers: 1,
    faults.kill_the_forker: 1,
    faults.kill_the_supervisor: 1,
    faults.stop_under_load: 1,
    flip_bits: 40,
}
#: Of the machine that runs the tests, which may do much else meanwhile; the promise is 2 s.
RECOVERED_WITHIN_SECONDS = 20


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ROUNDS, ids=lambda one: one.__name__)
def test_nothing_is_lost_and_no_answer_is_wrong(scenario: Scenario, own_home: Path, tmp_path: Path) -> None:
    """Each scenario asserts it of every answer; a stop cuts no request, and what was killed is back."""
    _nothing_is_lost(scenario, own_home, tmp_path, ROUNDS[scenario])


@pytest.mark.slow
def test_nothing_is_lost_on_a_full_disk(own_home: Path, tmp_path: Path) -> None:
    """A real one where it can be mounted, else the kernel's limit on the size of files: it refuses the same writes."""
    with small_disk(tmp_path / "probe") as disk:
        scenario = faults.limited_files if disk is None else faults.full_disk
    found = _nothing_is_lost(scenario, own_home, tmp_path, 2)
    assert found.ends["503"]


def _nothing_is_lost(scenario: Scenario, own_home: Path, tmp_path: Path, rounds: int) -> Found:
    found = scenario(own_home, tmp_path, rounds)
    assert all(seconds < RECOVERED_WITHIN_SECONDS for seconds in found.recoveries)
    if scenario is not flip_bits:
        assert found.answers and found.records >= found.answers
    if scenario in (faults.stop_under_load, faults.kill_the_forker, faults.kill_the_supervisor):
        assert "cut" not in found.ends, found.ends
    return found


@pytest.fixture
def orphaned(own_home: Path, tmp_path: Path) -> Iterator[tuple[Running, list[int]]]:
    """A service whose supervisor was just killed, with the processes that are left."""
    with running(own_home, tmp_path, workers=2) as service:
        service.wait_ready()
        left = service.kill()
        yield service, left


def _until_ended(pids: list[int]) -> None:
    until = time.monotonic() + RECOVERED_WITHIN_SECONDS
    while any(lives(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def _asked(service: Running) -> int:
    return httpx.post(f"{service.url}/v1/risk", json=EXAMPLE, timeout=20).status_code


@pytest.mark.slow
def test_orphans_answer_replace_workers_and_end_when_they_are_told(orphaned: tuple[Running, list[int]]) -> None:
    service, (forker, *workers) = orphaned
    assert _asked(service) == 200
    os.kill(workers[0], signal.SIGKILL)
    until = time.monotonic() + RECOVERED_WITHIN_SECONDS
    while len(children(forker)) != 2 or workers[0] in children(forker):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert _asked(service) == 200
    left = children(forker)
    os.kill(forker, signal.SIGTERM)
    _until_ended([forker, *left])
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/livez")
    assert not list((service.home / ".orphans").iterdir())


@pytest.mark.slow
def test_an_heir_that_is_killed_too_early_changes_nothing_and_a_stop_ends_all(
    orphaned: tuple[Running, list[int]], tmp_path: Path
) -> None:
    """Two who begin to take over: one is killed before he is ready, the other one is asked to stop before he is."""
    service, left = orphaned
    port = int(service.url.rpartition(":")[2])
    with contextlib.ExitStack() as heirs:
        for number in (signal.SIGKILL, signal.SIGTERM):
            assert all(lives(pid) for pid in left) and _asked(service) == 200
            heir = heirs.enter_context(running(service.home, tmp_path, port=port))
            until = time.monotonic() + RECOVERED_WITHIN_SECONDS
            while not heir.forkers():  # they are started with the socket
                assert time.monotonic() < until
                time.sleep(0.01)
            own = heir.forkers()
            heir.process.send_signal(number)
            heir.process.wait(timeout=RECOVERED_WITHIN_SECONDS)
            _until_ended(own)
        assert heir.process.returncode == 0
        _until_ended(left)  # they have let go of everything; the kernel may be a moment behind


@pytest.mark.slow
def test_nobody_takes_over_from_a_service_that_is_looked_after(service: Running, tmp_path: Path) -> None:
    with running(service.home, tmp_path, port=int(service.url.rpartition(":")[2])) as second:
        assert second.process.wait(timeout=30) != 0
        assert "something listens there" in second.log.read_text()
    assert _asked(service) == 200


@pytest.mark.slow
def test_orphans_that_nobody_takes_over_end_by_themselves(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("from serving import takeover\ntakeover.ORPHANED_SECONDS = 0.5\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with running(own_home, tmp_path) as service:
        service.wait_ready()
        _until_ended(service.kill())
        assert "go on for 0 s" in service.log.read_text()


@pytest.mark.slow
def test_a_stop_while_the_forker_is_dead_ends_its_workers_too(own_home: Path, tmp_path: Path) -> None:
    with running(own_home, tmp_path) as service:
        service.wait_ready()
        workers, (forker,) = service.workers(), service.forkers()
        service.process.send_signal(signal.SIGSTOP)  # so that it meets the death and the stop together
        os.kill(forker, signal.SIGKILL)
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGCONT)
        before = time.monotonic()
        assert service.process.wait(timeout=30) == 0
        assert time.monotonic() - before < GRACE_SECONDS
        assert not any(lives(pid) for pid in workers)


@pytest.mark.slow
def test_a_service_that_cannot_start_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forker fails before any worker was ready: no endless new attempts."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "bentoml.py").write_text("raise ImportError('no such thing')\n")
    with running(tmp_path / "home", tmp_path) as service:
        assert service.process.wait(timeout=120) not in (0, None)
        assert "no such thing" in service.log.read_text()
