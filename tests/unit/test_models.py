"""What a model refuses, and the small parts that the larger tests pass over."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ModelDamaged, TooLittleData, UsageError
from features.outcome import Leakage, Refracture
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.calibrate import coherent_routes, link, unlink
from models.calibrated import CalibratedRisk
from models.forest import check_trees
from models.interval import Z95, interval, paired_difference
from models.resample import bootstrap_weights, folds_by_patient
from tests.fitted import fitted, fresh_matrix, training_cohort

LEARNERS = pytest.mark.parametrize("kind", [LogisticRisk, CoxRisk, BoostedRisk])


@pytest.mark.parametrize("change", [{"folds": 1}, {"refits": -1}])
def test_settings_that_make_no_sense_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="folds must be at least 2 and refits at least 0"):
        Settings(**change)


@LEARNERS
def test_an_unfitted_model_says_so(kind: type[LogisticRisk] | type[CoxRisk] | type[BoostedRisk]) -> None:
    with pytest.raises(UsageError, match="not fitted: call fit first"):
        kind().risk(fresh_matrix("leakage"))
    with pytest.raises(UsageError, match="not fitted: call fit first"):
        _ = kind().head


@LEARNERS
def test_too_few_events_are_counted_and_refused(kind: type[LogisticRisk] | type[CoxRisk] | type[BoostedRisk]) -> None:
    found = training_cohort("leakage")
    assert isinstance(found.target, Leakage)
    leaks = np.flatnonzero((found.target.leaked == 1) & ~np.isnan(found.target.days))[:9]
    rows = np.concatenate([leaks, np.flatnonzero(found.target.leaked == 0)[:100]])
    with pytest.raises(TooLittleData, match=r"leakage \(any\): 9 events and \d+ without; at least 10 of each"):
        kind(Settings(refits=0)).fit(found.matrix.take(rows), found.target.take(rows))


@pytest.mark.parametrize("kind", [CoxRisk, BoostedRisk])
def test_every_cause_needs_its_events(kind: type[CoxRisk] | type[BoostedRisk]) -> None:
    found = training_cohort("refracture")
    assert isinstance(found.target, Refracture)
    rows = found.target.event_code != 3
    with pytest.raises(TooLittleData, match=r"refracture \(remote\): 0 events"):
        kind(Settings(refits=0)).fit(found.matrix.take(rows), found.target.take(rows))


def test_logistic_has_no_refracture() -> None:
    found = training_cohort("refracture")
    with pytest.raises(UsageError, match="logistic exists for leakage only"):
        LogisticRisk().fit(found.matrix, found.target)


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        (lambda: fitted("leakage", "cox").routes(fresh_matrix("leakage")), "a cox model of leakage has no routes"),
        (lambda: fitted("refracture", "cox").routes(fresh_matrix("refracture")), "of refracture has no routes"),
        (
            lambda: fitted("leakage", "cox").cumulative_incidence(fresh_matrix("leakage"), (365,)),
            "of leakage has no competing causes",
        ),
        (
            lambda: fitted("leakage", "logistic").cumulative_incidence(fresh_matrix("leakage"), (365,)),
            "of leakage has no competing causes",
        ),
        (lambda: fitted("refracture", "boosted").risk(fresh_matrix("refracture"), 360), "horizon_days must be one of"),
    ],
)
def test_what_a_model_does_not_have_is_refused(ask: Callable[[], Any], refusal: str) -> None:
    with pytest.raises(UsageError, match=refusal):
        ask()


def test_without_refits_there_is_no_interval() -> None:
    found = training_cohort("leakage")
    model: CalibratedRisk = LogisticRisk(Settings(refits=0)).fit(found.matrix, found.target)
    with pytest.raises(UsageError, match="without refits"):
        model.interval(fresh_matrix("leakage"))


def test_a_fit_depends_on_its_seed_alone() -> None:
    found = training_cohort("leakage")
    fits = [LogisticRisk(Settings(seed=seed, refits=2)).fit(found.matrix, found.target) for seed in (3, 3, 4)]
    first, same, other = (model.to_dict() for model in fits)
    assert first == same
    assert first["body"]["refits"] != other["body"]["refits"]


RISKS = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.parametrize("scale", ["log_odds", "complementary_log_log"])
@given(risk=RISKS)
def test_links_and_back(scale: Any, risk: float) -> None:
    assert unlink(scale, link(scale, np.array([risk])))[0] == pytest.approx(risk, rel=1e-9)


@given(leaked=RISKS, routes=st.lists(RISKS, min_size=4, max_size=4))
def test_routes_are_moved_no_further_than_needed(leaked: float, routes: list[float]) -> None:
    before = np.array([routes])
    after = coherent_routes(np.array([leaked]), before)
    assert after.max() <= leaked
    assert leaked <= after.sum() * (1 + 1e-12)
    if before.max() <= leaked <= before.sum():
        np.testing.assert_array_equal(after, before)


def test_intervals_by_hand() -> None:
    refits = np.array([[0.0, 1.0, 2.0]])
    found = interval("log_odds", np.array([1.0]), refits)
    np.testing.assert_allclose(link("log_odds", found), [[1 - Z95, 1 + Z95]])
    difference = paired_difference(np.array([0.0]), refits - refits)
    np.testing.assert_array_equal(difference, [[0.0, 0.0]])


@given(seed=st.integers(0, 50))
def test_patients_stay_whole_in_folds_and_resamples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, 30, 80)
    event = rng.random(80) < 0.2
    fold, weights = folds_by_patient(patient, event, 5, seed), bootstrap_weights(patient, 4, seed)
    for who in np.unique(patient):
        assert len(np.unique(fold[patient == who])) == 1
        assert (np.ptp(weights[:, patient == who], axis=1) == 0).all()
    with_event = [len(np.unique(patient[(fold == k) & np.isin(patient, patient[event])])) for k in range(5)]
    assert max(with_event) - min(with_event) <= 1
    _, first = np.unique(patient, return_index=True)
    np.testing.assert_array_equal(weights[:, first].sum(axis=1), len(first))


def _tree(**changes: Any) -> dict[str, Any]:
    """One split and two leaves, as a file of refits holds them."""
    good = {
        "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "split_conditions": [0.5, -1.0, 1.0], "sum_hessian": [3.0, 1.0, 2.0], "default_left": [1, 0, 0],
        "nodes": [3], "trees": [1], "bias": [0.1],
    }  # fmt: skip
    return {name: np.array(values) for name, values in (good | changes).items()}


def test_a_good_tree_is_read() -> None:
    trees = check_trees(_tree(), 1)
    np.testing.assert_array_equal(trees.value, [0.0, -1.0, 1.0])


@pytest.mark.parametrize(
    "changes",
    [
        {"left_children": [1, -1]},
        {"left_children": [0, -1, -1]},
        {"left_children": [2, -1, -1]},
        {"left_children": [7, -1, -1]},
        {"left_children": [-2, -1, -1]},
        {"left_children": [1, 0, -1]},
        {"right_children": [-1, -1, -1]},
        {"split_indices": [1, 0, 0]},
        {"split_indices": [-1, 0, 0]},
        {"split_conditions": [float("nan"), -1.0, 1.0]},
        {"split_conditions": [0.5, float("inf"), 1.0]},
        {"sum_hessian": [3.0, 0.0, 2.0]},
        {"sum_hessian": [3.0, float("nan"), 2.0]},
        {"bias": [float("nan")]},
        {"bias": []},
        {"nodes": [2]},
        {"nodes": [2, 1], "trees": [2]},
        {"nodes": [3, 0], "trees": [2]},
        {"nodes": [2**62, 2**62], "trees": [2]},
        {"trees": [2]},
        {"trees": [1, 0], "bias": [0.1, 0.1]},
        {"nodes": []},
        {"left_children": "text"},
    ],
)
def test_a_tree_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelDamaged):
        check_trees(_tree(**changes), 1)


def _chain(depth: int) -> dict[str, Any]:
    """A tree that asks one question after another, always going on to the right."""
    inner, count = np.arange(depth), 2 * depth + 1
    left, right = np.full(count, -1), np.full(count, -1)
    left[2 * inner], right[2 * inner] = 2 * inner + 1, 2 * inner + 2
    same = {name: np.zeros(count) for name in ("split_indices", "split_conditions", "default_left")}
    return _tree(**same, left_children=left, right_children=right, sum_hessian=np.ones(count), nodes=[count])


def test_trees_are_three_splits_deep_at_most() -> None:
    assert len(check_trees(_chain(3), 1).left) == 7
    with pytest.raises(ModelDamaged, match="deeper than 3 splits"):
        check_trees(_chain(4), 1)


def test_a_ring_apart_from_the_root_is_no_tree() -> None:
    """Every node has one parent, yet two can never be reached: counting parents alone would let it pass."""
    of_nodes = ("split_indices", "split_conditions", "default_left")
    ring = _tree(**{name: np.zeros(5) for name in of_nodes}, sum_hessian=np.ones(5), nodes=[5])
    ring |= {"left_children": np.array([-1, 2, 1, -1, -1]), "right_children": np.array([-1, 3, 4, -1, -1])}
    with pytest.raises(ModelDamaged, match="do not form a tree"):
        check_trees(ring, 1)


def test_models_load_nothing_heavy() -> None:
    """What a service imports from here brings none of the training's packages with it."""
    heavy = ("pandas", "sklearn", "xgboost", "lifelines", "shap", "mlflow", "scipy")
    script = f"import sys, models, models.release; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
