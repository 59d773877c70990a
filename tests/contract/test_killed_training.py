"""A training killed while it logs: the store opens, the service is untouched, the next training puts it right."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import cemrisk
from tests.trained import write_export
from tests.versions import empty_store, register
from training.promote import promote
from training.tracking import Store

PATIENTS = 500


def digest(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def statuses(home: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True, timeout=10)) as database:
        return [status for (status,) in database.execute("select status from runs order by start_time")]


def test_a_killed_training_leaves_nothing_that_the_next_one_cannot_put_right(tmp_path, monkeypatch) -> None:
    home = tmp_path / "home"
    store = empty_store(home)
    register(store, tmp_path / "model")
    promote(store, "leakage", "1")
    released = digest(home / "released")
    export = write_export(tmp_path, PATIENTS)
    command = ["train", str(export), "--outcome", "leakage", "--learner", "logistic"]
    environment = os.environ | {"CEMRISK_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)

    with subprocess.Popen(
        [sys.executable, "-m", "cemrisk", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as job:
        until = time.monotonic() + 240
        while "RUNNING" not in statuses(home) and job.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        job.kill()

    assert statuses(home) == ["FINISHED", "RUNNING"], "it was killed in the middle of logging"
    assert digest(home / "released") == released
    assert [v.version for v in Store(home).versions("leakage")][:1] == ["1"]
    monkeypatch.setenv("CEMRISK_HOME", str(home))
    assert cemrisk.main(command) == 0
    assert statuses(home) == ["FINISHED", "KILLED", "FINISHED"]
    assert digest(home / "released") == released
    assert not list(home.glob("fit-*")), "what it left half made is gone"
