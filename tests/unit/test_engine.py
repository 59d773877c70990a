"""Independent work on cores and on Dask: the same results, failures that surface, and no process left behind."""

from __future__ import annotations

import math
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from training.engine import run

TASKS = [(math.factorial, (n,)) for n in (5, 3, 8, 1)]
EXPECTED = {0: 120, 1: 6, 2: 40320, 3: 1}


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as running:
        yield running


def test_every_result_comes_with_the_place_of_its_task() -> None:
    assert dict(run(TASKS, workers=2)) == EXPECTED


def test_dask_gives_the_same(cluster) -> None:
    with dask.config.set({"scheduler-address": cluster.scheduler_address}):
        assert dict(run(TASKS, "dask")) == EXPECTED


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_a_failing_task_raises_its_own_error(engine, cluster) -> None:
    tasks = [(math.factorial, (4,)), (operator.truediv, (1, 0))]
    with (
        dask.config.set({"scheduler-address": cluster.scheduler_address}),
        pytest.raises(ZeroDivisionError, match="division by zero"),
    ):
        list(run(tasks, engine))


def test_workers_have_one_thread_each_and_our_own_setting_is_left_alone(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    assert dict(run([(os.getenv, (name,)) for name in names])) == {0: "1", 1: "1", 2: "1"}
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("MKL_NUM_THREADS")) == ("3", None)


_JOB = """
import os, time
from training.engine import run
for place, found in run([(os.getpid, ()), (time.sleep, (0.2,)), (time.sleep, (120,))], workers=1):
    print(found, flush=True)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_killed_training() -> None:
    with subprocess.Popen([sys.executable, "-c", _JOB], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        worker = int(job.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        job.stdout.readline()
        job.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
