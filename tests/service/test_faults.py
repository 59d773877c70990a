"""A few rounds of each fault of ``benchmarks.faults``; the full numbers stand in docs/reliability.md."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from benchmarks import faults
from serving.supervisor import GRACE_SECONDS
from tests.service import load
from tests.service.process import running
from tests.service.questions import EXAMPLE

ROUNDS = {
    faults.kill_a_worker: 2,
    faults.kill_all_workers: 1,
    faults.kill_the_forker: 1,
    faults.stop_under_load: 1,
    faults.full_disk: 1,
    faults.flip_bits: 40,
}
#: Of the machine that runs the tests, which may do much else meanwhile; the promise is 2 s.
RECOVERED_WITHIN_SECONDS = 20


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ROUNDS, ids=lambda one: one.__name__)
def test_nothing_is_lost_and_no_answer_is_wrong(scenario: faults.Scenario, own_home: Path, tmp_path: Path) -> None:
    """Each scenario asserts it of every answer; a stop cuts no request, and what was killed is back."""
    found = scenario(own_home, tmp_path, ROUNDS[scenario])
    assert all(seconds < RECOVERED_WITHIN_SECONDS for seconds in found.recoveries)
    if scenario is not faults.flip_bits:
        assert found.answers and found.records >= found.answers
    if scenario in (faults.stop_under_load, faults.kill_the_forker):
        assert "cut" not in found.ends, found.ends


@pytest.mark.slow
def test_who_lost_the_supervisor_ends_and_frees_the_port(own_home: Path, tmp_path: Path) -> None:
    with running(own_home, tmp_path) as service:
        service.wait_ready()
        assert httpx.post(f"{service.url}/v1/risk", json=EXAMPLE).status_code == 200
        (forker,), workers = service.forkers(), service.workers()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        until = time.monotonic() + RECOVERED_WITHIN_SECONDS
        while any(_lives(pid) for pid in (forker, *workers)):
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/livez")


def _lives(pid: int) -> bool:
    """Ended processes that nobody has buried yet, as in a container without an init, do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_the_port_can_be_had_again_at_once_after_the_supervisor_was_killed(own_home: Path, tmp_path: Path) -> None:
    """As a supervisor of the machine does it: without waiting for whoever is left of the one before."""
    with running(own_home, tmp_path, workers=2) as service:
        service.wait_ready()
        with load.load(service.url, clients=8) as asked:
            asked.next_answer_after(time.monotonic())
            left = [*service.forkers(), *service.workers()]
            service.process.kill()
            service.process.wait()
            with running(own_home, tmp_path, port=int(service.url.rpartition(":")[2])) as after:
                after.wait_bound()
                after.wait_ready()
                asked.next_answer_after(time.monotonic())
                until = time.monotonic() + RECOVERED_WITHIN_SECONDS
                while any(_lives(pid) for pid in left):
                    assert time.monotonic() < until
                    time.sleep(0.05)
    load.check(asked, own_home)


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
        assert not any(_lives(pid) for pid in workers)


@pytest.mark.slow
def test_a_service_that_cannot_start_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forker fails before any worker was ready: no endless new attempts."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "bentoml.py").write_text("raise ImportError('no such thing')\n")
    with running(tmp_path / "home", tmp_path) as service:
        assert service.process.wait(timeout=120) not in (0, None)
        assert "no such thing" in service.log.read_text()
