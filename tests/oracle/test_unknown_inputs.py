"""What is not known counts neither as found nor as absent, for every learner, also where training never missed it."""

from __future__ import annotations

import numpy as np
import pytest

from features.build import Matrix, Outcome
from models.calibrated import CalibratedRisk
from tests.fitted import ALL, fitted, fresh_matrix, training_cohort


def _blank(matrix: Matrix, columns: list[str]) -> Matrix:
    values = matrix.values.copy()
    values[:, [matrix.columns.index(name) for name in columns]] = np.nan
    return Matrix(matrix.columns, values, matrix.patient)


def _with(matrix: Matrix, column: str, value: float) -> Matrix:
    values = matrix.values.copy()
    values[:, matrix.columns.index(column)] = value
    return Matrix(matrix.columns, values, matrix.patient)


@pytest.mark.parametrize(("outcome", "learner"), ALL)
def test_of_a_patient_of_whom_nothing_is_known_the_average_is_said(outcome: Outcome, learner: str) -> None:
    model, people = fitted(outcome, learner), training_cohort(outcome)
    known = ["detection"] if outcome == "leakage" else []
    nothing = _blank(fresh_matrix(outcome), [name for name in people.matrix.columns if name not in known])
    seen = fitted(outcome, learner).risk(people.matrix).mean()
    assert model.risk(nothing).mean() == pytest.approx(seen, rel=0.25)


@pytest.mark.parametrize(("outcome", "learner"), ALL)
def test_half_of_the_inputs_unknown_leaves_the_mean_where_it_was(outcome: Outcome, learner: str) -> None:
    model, matrix = fitted(outcome, learner), fresh_matrix(outcome)
    values = np.where(np.random.default_rng(3).random(matrix.values.shape) < 0.5, np.nan, matrix.values)
    if outcome == "leakage":
        values[:, 0] = matrix.values[:, 0]
    half = Matrix(matrix.columns, values, matrix.patient)
    assert model.risk(half).mean() == pytest.approx(model.risk(matrix).mean(), rel=0.15)


@pytest.mark.parametrize(
    ("outcome", "column"), [("leakage", "cortical_disruption"), ("refracture", "prior_vertebral_fracture")]
)
@pytest.mark.parametrize("learner", ["boosted", "cox"])
def test_an_unknown_finding_lies_between_yes_and_no(outcome: Outcome, column: str, learner: str) -> None:
    model: CalibratedRisk = fitted(outcome, learner)
    matrix = fresh_matrix(outcome)
    no, unknown, yes = (model.risk(_with(matrix, column, value)).mean() for value in (0.0, np.nan, 1.0))
    assert no < unknown < yes
    assert min(unknown - no, yes - unknown) > 0.1 * (yes - no)
