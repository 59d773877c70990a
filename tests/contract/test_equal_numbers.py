"""One question, one number: the fitted model, the loaded artifact and MLflow's pyfunc agree to 1e-9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import models
from features.build import MOMENT_OF, Outcome, build
from features.outcome import HORIZON_DAYS, ROUTES
from features.records import to_columns
from models.interface import Learner
from tests.fitted import ALL, fitted, registry
from tests.versions import empty_store, register

ROWS = 50


def records() -> list[dict[str, Any]]:
    """Vertebrae of simulated patients as they come: several of a patient, two operations of one, values missing."""
    columns = registry(300, 12).columns
    rows = [{name: values[place] for name, values in columns.items()} for place in range(ROWS)]
    known = [{name: value for name, value in row.items() if value is not None and value == value} for row in rows]
    known[-1] |= {"patient_id": known[0]["patient_id"], "procedure_date": "2031-01-01"}
    return known


def codes(rows: list[dict[str, Any]]) -> np.ndarray:
    """0, 1, 2, … for each operation in order of appearance."""
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault((row["patient_id"], row["procedure_date"]), len(seen)) for row in rows])


def numbers(model: models.RiskModel, rows: list[dict[str, Any]], detection: str) -> dict[str, np.ndarray]:
    """What pyfunc answers, from a model in this process."""
    code = codes(rows)
    if model.outcome == "leakage":
        matrix = build(to_columns(rows), "leakage", detection=detection, patient=code)
        found = {"risk": model.risk(matrix)}
        if model.learner != "cox":
            found |= {f"leak_{route}": column for route, column in zip(ROUTES, model.routes(matrix).T, strict=True)}
        return found
    matrix = build(to_columns(rows), model.outcome, moment=MOMENT_OF[model.outcome], patient=code)
    return {f"risk_m{months}": model.risk(matrix, days)[code] for months, days in HORIZON_DAYS.items()}


@pytest.mark.parametrize(("outcome", "learner"), ALL)
def test_all_ways_to_a_risk_give_the_same_number(outcome: Outcome, learner: Learner, tmp_path: Path) -> None:
    rows = records()
    assert len(set(codes(rows))) < ROWS - 5
    assert sum(len(row) for row in rows) < ROWS * max(len(row) for row in rows) - 30, "there are gaps"
    store = empty_store(tmp_path / "home")
    version = register(store, tmp_path / "model", outcome, learner)
    mlflow.set_tracking_uri(store.uri)
    served = mlflow.pyfunc.load_model(f"models:/cemrisk-{outcome}/{version.version}")
    for detection in ("CT", "radiograph"):
        expected = numbers(fitted(outcome, learner), rows, detection)
        loaded = numbers(models.load(store.folder(version), version.sha256), rows, detection)
        answered = served.predict(pd.DataFrame(rows), params={"detection": detection})
        for name, values in expected.items():
            np.testing.assert_allclose(loaded[name], values, rtol=0, atol=1e-9)
            np.testing.assert_allclose(answered[name], values, rtol=0, atol=1e-9)
        assert set(answered) == set(expected)


def test_a_row_without_a_patient_is_a_patient_of_its_own(tmp_path: Path) -> None:
    rows = records()[:6]
    store = empty_store(tmp_path / "home")
    register(store, tmp_path / "model", "refracture", "cox")
    mlflow.set_tracking_uri(store.uri)
    served = mlflow.pyfunc.load_model("models:/cemrisk-refracture/1")
    alone = [{name: value for name, value in row.items() if name != "patient_id"} for row in rows]
    some = [row if place < 3 else alone[place] for place, row in enumerate(rows)]
    apart = pd.concat([served.predict(pd.DataFrame([row])) for row in alone], ignore_index=True)
    pd.testing.assert_frame_equal(served.predict(pd.DataFrame(alone)), apart)
    pd.testing.assert_frame_equal(
        served.predict(pd.DataFrame(some)).iloc[3:].reset_index(drop=True), apart.iloc[3:].reset_index(drop=True)
    )
