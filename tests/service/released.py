"""A small release: simulated patients, every learner, few refits; enough to answer, not to be believed."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from features.build import Matrix, Outcome, build
from features.outcome import leakage, refracture
from models import BoostedRisk, Card, CoxRisk, LogisticRisk, Settings, save
from models.calibrated import CalibratedRisk
from models.interface import Target
from models.release import write_release
from training.cohort import cohort
from training.simulate import simulate

PATIENTS = 700
SETTINGS = Settings(seed=1, folds=2, refits=30)
FEW = Settings(seed=1, folds=2, refits=4)


Data = dict[Outcome, tuple[Matrix, Target]]


def training_data(patients: int = PATIENTS) -> Data:
    """Matrix and outcome of simulated patients, for each outcome those who tell it."""
    registry = simulate(patients, seed=11)
    columns, patient = dict(registry.columns), registry.patient
    leaks, left_out = leakage(columns, patient)
    told = ~np.logical_or.reduce(list(left_out.values()))
    fractures, unknown = refracture(columns, patient)
    followed = ~np.logical_or.reduce(list(unknown.values()))
    by_vertebra = build(columns, "leakage", detection=leaks.detection, patient=patient)
    by_patient = build(columns, "refracture", patient=patient)
    afterwards = cohort(columns, "refracture-postop")
    return {
        "leakage": (by_vertebra.take(told), leaks.take(told)),
        "refracture": (by_patient.take(followed), fractures.take(followed)),
        "refracture-postop": (afterwards.matrix, afterwards.target),
    }


def release_all(home: Path, data: Data | None = None, linear: Settings = SETTINGS, boosted: Settings = FEW) -> None:
    """Fit and release; the champions are logistic and Cox."""
    champions: dict[Outcome, str] = {"leakage": "logistic", "refracture": "cox", "refracture-postop": "cox"}
    for outcome, (matrix, target) in (data or training_data()).items():
        models: list[CalibratedRisk] = [CoxRisk(linear), BoostedRisk(boosted)]
        if outcome == "leakage":
            models.append(LogisticRisk(linear))
        folders = {model.learner: _saved(model, matrix, target, home) for model in models}
        versions = {learner: str(number) for number, learner in enumerate(folders, start=1)}
        write_release(home, outcome, champions[outcome], folders, versions, "training-1")


@cache
def _released() -> Path:
    """A state folder that is filled once in a session."""
    place = Path(tempfile.mkdtemp(prefix="cemrisk-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    release_all(place)
    return place


def released_home(folder: Path) -> Path:
    """A state folder of one's own, with the models of all outcomes."""
    return Path(shutil.copytree(_released(), folder / "home"))


def release_leakage(home: Path, models: list[CalibratedRisk], matrix: Matrix, target: Target) -> None:
    """Fit and release these learners of leakage; the first is the champion."""
    folders = {model.learner: _saved(model, matrix, target, home) for model in models}
    write_release(home, "leakage", models[0].learner, folders, dict.fromkeys(folders, "1"), "training-1")


def _saved(model: CalibratedRisk, matrix: Matrix, target: Target, home: Path) -> Path:
    model.fit(matrix, target)  # type: ignore[attr-defined]
    ranges = {name: (float(np.nanmin(matrix[name])), float(np.nanmax(matrix[name]))) for name in matrix.columns}
    folder = home / "models" / model.outcome / model.learner
    save(model, folder, Card(model.outcome, model.learner, training_id="training-1", training_range=ranges))
    return folder
