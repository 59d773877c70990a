"""What must hold for every model and every patient: coherent, explained to the last bit, blind to all the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.build import MOMENT_OF, PREDICTORS, Matrix, Outcome, Predictor, build
from features.dictionary import VARIABLES
from features.errors import UsageError
from features.outcome import HORIZON_DAYS
from models.calibrate import unlink
from models.interface import Learner
from tests.fitted import ALL, FRESH, fitted, fresh_matrix, registry

Floats = NDArray[np.float64]
EVERY = pytest.mark.parametrize(("outcome", "learner"), ALL)
WITH_ROUTES = pytest.mark.parametrize("learner", ["logistic", "boosted"])
OF_REFRACTURE = pytest.mark.parametrize("learner", ["cox", "boosted"])
FEW = settings(max_examples=25, deadline=None)


def _entry(predictor: Predictor) -> st.SearchStrategy[float]:
    """Anything that the dictionary accepts, or unknown."""
    if predictor.shape == "flag":
        known = st.sampled_from([0.0, 1.0])
    elif predictor.shape != "continuous":
        known = st.integers(0, 2).map(float)
    else:
        variable = VARIABLES[predictor.variable]
        assert variable.lowest is not None
        assert variable.highest is not None
        known = st.floats(variable.lowest, variable.highest)
    return st.one_of(known, known, known, st.just(np.nan))


def _matrices(outcome: Outcome) -> st.SearchStrategy[Matrix]:
    """One to six rows of anything."""
    columns = tuple(predictor.name for predictor in PREDICTORS[outcome])
    row = st.tuples(*(_entry(predictor) for predictor in PREDICTORS[outcome]))
    rows = st.lists(row, min_size=1, max_size=6)
    return rows.map(lambda found: Matrix(columns, np.array(found), np.arange(len(found))))


@EVERY
@given(data=st.data())
@FEW
def test_a_risk_is_explained_to_the_last_bit(outcome: Outcome, learner: Learner, data: st.DataObject) -> None:
    model, asked = fitted(outcome, learner), data.draw(_matrices(outcome))
    found = model.explain(asked)
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=1), found.total, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(unlink(found.scale, found.total), model.risk(asked))
    assert unlink(found.scale, np.array([found.base]))[0] == pytest.approx(model.reference_risk(), rel=1e-12)
    assert found.columns == asked.columns


@EVERY
@given(data=st.data())
@FEW
def test_risks_and_intervals_are_probabilities(outcome: Outcome, learner: Learner, data: st.DataObject) -> None:
    """Whatever the dictionary lets through, however extreme."""
    model, asked = fitted(outcome, learner), data.draw(_matrices(outcome))
    horizons = tuple(HORIZON_DAYS.values()) if outcome == "refracture" else (None,)
    for horizon in horizons:
        risk, interval = model.risk(asked, horizon), model.interval(asked, horizon)
        assert ((risk > 0) & (risk < 1)).all()
        assert ((interval >= 0) & (interval <= 1)).all()
        assert ((interval[:, 0] <= risk) & (risk <= interval[:, 1])).all()


@WITH_ROUTES
@given(data=st.data())
@FEW
def test_routes_and_any_leak_do_not_contradict(learner: Learner, data: st.DataObject) -> None:
    model, asked = fitted("leakage", learner), data.draw(_matrices("leakage"))
    risk, routes = model.risk(asked), model.routes(asked)
    assert routes.shape == (len(asked), 4)
    assert (routes > 0).all()
    assert (routes.max(axis=1) <= risk).all()
    assert (risk <= routes.sum(axis=1) * (1 + 1e-12)).all()


@OF_REFRACTURE
@given(data=st.data())
@FEW
def test_causes_sum_to_the_risk_and_grow(learner: Learner, data: st.DataObject) -> None:
    model, asked = fitted("refracture", learner), data.draw(_matrices("refracture"))
    horizons = tuple(HORIZON_DAYS.values())
    incidence = model.cumulative_incidence(asked, horizons)
    for at, horizon in enumerate(horizons):
        np.testing.assert_allclose(incidence[:, :3, at].sum(axis=1), model.risk(asked, horizon), rtol=1e-9)
    assert (np.diff(incidence, axis=2) >= 0).all()
    assert (incidence.sum(axis=1) <= 1 + 1e-12).all()


@EVERY
def test_the_order_of_rows_does_not_matter(outcome: Outcome, learner: Learner) -> None:
    model, asked = fitted(outcome, learner), fresh_matrix(outcome)
    order = np.random.default_rng(18).permutation(len(asked))
    np.testing.assert_allclose(model.risk(asked.take(order)), model.risk(asked)[order], rtol=1e-12)
    np.testing.assert_allclose(model.interval(asked.take(order)), model.interval(asked)[order], rtol=1e-12)


@EVERY
def test_a_frame_is_its_patients_one_at_a_time(outcome: Outcome, learner: Learner) -> None:
    """From columns to risk: the other patients in a table change nothing of a patient's matrix or risk."""
    model, asked, found = fitted(outcome, learner), fresh_matrix(outcome), registry(FRESH, 12)
    risk = model.risk(asked)
    for patient in range(0, FRESH, 7):
        rows = found.patient == patient
        alone = build(
            {name: values[rows] for name, values in found.columns.items()},
            outcome,
            moment=MOMENT_OF[outcome],
            detection="CT" if outcome == "leakage" else None,
            patient=found.patient[rows],
        )
        among = rows if outcome == "leakage" else np.arange(FRESH) == patient
        np.testing.assert_array_equal(alone.values, asked.values[among])
        np.testing.assert_allclose(model.risk(alone), risk[among], rtol=1e-12)


@EVERY
def test_a_data_frame_is_taken_as_a_matrix_is(outcome: Outcome, learner: Learner) -> None:
    model, asked = fitted(outcome, learner), fresh_matrix(outcome)
    frame = pd.DataFrame(asked.values, columns=list(asked.columns))[list(reversed(asked.columns))]
    np.testing.assert_array_equal(model.risk(frame.assign(surplus=1.0)), model.risk(asked))
    np.testing.assert_array_equal(model.risk({name: asked[name] for name in asked.columns}), model.risk(asked))


@EVERY
def test_a_missing_column_is_named(outcome: Outcome, learner: Learner) -> None:
    asked = fresh_matrix(outcome)
    table = {name: asked[name] for name in asked.columns if name != "genant_grade"} | {"genant": asked["genant_grade"]}
    with pytest.raises(UsageError, match=r"columns missing: genant_grade; not expected: genant$"):
        fitted(outcome, learner).risk(table)


@EVERY
def test_unknown_everything_is_the_reference_patient_or_near(outcome: Outcome, learner: Learner) -> None:
    """A linear model knows nobody but the average patient then; trees follow their default branches, not far off."""
    model = fitted(outcome, learner)
    nobody = np.full((1, len(model.columns)), np.nan)
    risk = float(model.risk(Matrix(model.columns, nobody, np.zeros(1, dtype=np.intp)))[0])
    if learner == "boosted":
        assert model.reference_risk() / 4 < risk < model.reference_risk() * 4
    else:
        assert risk == pytest.approx(model.reference_risk(), rel=1e-12)


@EVERY
def test_linear_and_boosted_agree_on_who_is_at_risk(outcome: Outcome, learner: Learner) -> None:
    """Different learners of the same patients rank fresh ones alike: a swapped column or sign would not."""
    first: Learner = "logistic" if outcome == "leakage" else "cox"
    asked = fresh_matrix(outcome)
    ranks = [np.argsort(np.argsort(fitted(outcome, name).risk(asked))) for name in (first, learner)]
    assert np.corrcoef(*ranks)[0, 1] > 0.6
