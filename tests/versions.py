"""Registered versions without a training: real models of ``tests.fitted`` in a real store, with metrics of choice."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import models
from features.build import Outcome
from models import Card
from models.interface import Learner
from tests.fitted import fitted
from training.tracking import Logged, Store, Version

#: Metrics that pass the gate, without the ending of a horizon.
GOOD = {
    "log_loss": 0.46, "log_loss_base": 0.50, "calibration_slope": 1.0, "oe": 1.0, "auc": 0.70, "patients": 5000.0,
    "patients_needed": 4000.0,
}  # fmt: skip


@cache
def _empty_database() -> bytes:
    """An MLflow database without runs: making one takes seconds, copying it does not."""
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder))
        return (Path(folder) / "mlflow.db").read_bytes()


def empty_store(home: Path) -> Store:
    """A store in which nothing was trained."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "mlflow.db").write_bytes(_empty_database())
    return Store(home)


def version(number: str, *, role: str = "model", **metrics: float) -> Version:
    """A version of leakage as the store describes it."""
    return Version(
        outcome="leakage",
        version=number,
        learner="logistic",
        role=role,
        training_id="t",
        sha256="",
        run_id="",
        aliases=(),
        metrics=GOOD | metrics,
        data_status="synthetic",
    )


def logged(
    folder: Path, outcome: Outcome = "leakage", learner: Learner = "logistic", training_id: str = "t1", **metrics: float
) -> Logged:
    """A fitted model saved to ``folder``, as training hands it to the store."""
    role = "comparator" if (outcome, learner) == ("leakage", "cox") else "model"
    end = "" if outcome == "leakage" else "_m12"
    card = Card(outcome, learner, training_id=training_id, role=role)
    return Logged(
        learner=learner,
        role=role,
        folder=folder,
        sha256=models.save(fitted(outcome, learner), folder, card),
        params={"learner": learner},
        metrics={name + end: value for name, value in (GOOD | metrics).items()},
        figures={},
        tags={"training_id": training_id, "outcome": outcome, "validation": "cv", "data_status": "synthetic"},
    )


def register(
    store: Store, folder: Path, outcome: Outcome = "leakage", learner: Learner = "logistic", training_id: str = "t1",
    **metrics: float,
) -> Version:  # fmt: skip
    """The same, registered."""
    return store.log(outcome, logged(folder, outcome, learner, training_id, **metrics))
