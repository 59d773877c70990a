"""The MLflow store: opened by two at once, left by the killed, and the same model out as in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from features.errors import NotReady, UsageError
from tests.versions import empty_store, logged, register
from training.tracking import Store
from training.tracking.store import _alive, _since

_OPEN = "import sys; from pathlib import Path; from training.tracking import Store; Store(Path(sys.argv[1]))"


@pytest.fixture
def store(tmp_path) -> Store:
    return empty_store(tmp_path / "home")


def test_two_processes_may_open_an_empty_store_at_once(tmp_path) -> None:
    command = [sys.executable, "-c", _OPEN, str(tmp_path / "home")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors


def test_the_process_that_runs_is_alive_and_others_are_judged_by_machine_number_and_start() -> None:
    pid = os.getpid()
    ours = {"cemrisk.host": os.uname().nodename, "cemrisk.pid": str(pid), "cemrisk.pid_since": _since(pid)}
    assert _alive(ours)
    assert not _alive(ours | {"cemrisk.pid_since": "1"}), "the number was given to another process"
    assert not _alive(ours | {"cemrisk.pid": str(_dead())})
    assert _alive(ours | {"cemrisk.pid": str(_dead()), "cemrisk.host": "elsewhere"})
    assert not _alive({"cemrisk.host": os.uname().nodename})


def _dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_of_a_dead_process_is_marked_killed_and_a_living_one_left_alone(store) -> None:
    experiment = store.experiment("leakage")
    host = {"cemrisk.host": os.uname().nodename}
    dead = store.client.create_run(experiment, tags=host | {"cemrisk.pid": str(_dead())})
    here = {"cemrisk.pid": str(os.getpid()), "cemrisk.pid_since": _since(os.getpid())}
    living = store.client.create_run(experiment, tags=host | here)
    assert store.reconcile("leakage") == 1
    assert store.client.get_run(dead.info.run_id).info.status == "KILLED"
    assert store.client.get_run(living.info.run_id).info.status == "RUNNING"


def test_a_run_that_cannot_be_logged_is_failed_not_running(store, tmp_path) -> None:
    broken = logged(tmp_path / "model")
    shutil.rmtree(broken.folder)
    with pytest.raises((OSError, MlflowException)):
        store.log("leakage", broken)
    (run,) = store.client.search_runs([store.experiment("leakage")])
    assert run.info.status == "FAILED"
    assert store.versions("leakage") == []


def test_versions_come_oldest_first_with_tags_metrics_and_aliases(store, tmp_path) -> None:
    first = register(store, tmp_path / "a", learner="logistic", log_loss=0.45)
    second = register(store, tmp_path / "b", learner="cox")
    store.set_alias("leakage", "challenger", first.version)
    found = store.versions("leakage")
    assert [(v.version, v.learner, v.role, v.aliases) for v in found] == [
        ("1", "logistic", "model", ("challenger",)),
        ("2", "cox", "comparator", ()),
    ]
    assert found[0].metrics["log_loss"] == 0.45
    assert store.version("leakage", "2") == found[1] == second
    store.set_alias("leakage", "challenger", None)
    store.set_alias("leakage", "challenger", None)
    assert store.by_alias("leakage", "challenger") is None


def test_what_is_not_there_is_said(store, tmp_path) -> None:
    with pytest.raises(NotReady, match="cemrisk train"):
        store.version("leakage", "1")
    register(store, tmp_path / "a")
    with pytest.raises(UsageError, match="no version 7; there are 1"):
        store.version("leakage", "7")


def test_the_folder_of_a_version_is_the_model_that_was_logged(store, tmp_path) -> None:
    found = register(store, tmp_path / "a")
    kept = {path.name: path.read_bytes() for path in store.folder(found).iterdir()}
    assert kept == {path.name: path.read_bytes() for path in Path(tmp_path / "a").iterdir()}


def test_a_server_that_does_not_answer_is_said_soon(tmp_path, monkeypatch) -> None:
    """Nothing listens on the discard port; the limits of the test runner may not be ours."""
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    began = time.monotonic()
    with pytest.raises(NotReady, match="MLflow server does not answer"):
        Store(tmp_path / "home", "http://127.0.0.1:9")
    assert time.monotonic() - began < 20


def test_a_server_that_falls_silent_is_not_taken_for_one_where_nothing_was_trained(tmp_path, store) -> None:
    store.client = MlflowClient("http://127.0.0.1:9", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match="MLflow server does not answer"):
        store.versions("leakage")
