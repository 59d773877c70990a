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
def test_a_service_that_cannot_start_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forker fails before any worker was ready: no endless new attempts."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "bentoml.py").write_text("raise ImportError('no such thing')\n")
    with running(tmp_path / "home", tmp_path) as service:
        assert service.process.wait(timeout=120) not in (0, None)
        assert "no such thing" in service.log.read_text()
