"""Our reader of trees against xgboost's own margins and contributions, and against shap, before any recalibration."""

from __future__ import annotations

import itertools
import warnings
from functools import cache

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from features.build import Matrix, Outcome
from features.errors import UsageError
from features.outcome import Refracture
from models import Settings
from models.boosted import MONOTONE, BoostedRisk
from models.forest import Forest, both_defaults, check_trees, join
from models.tree_shap import Paths, contributions
from models.trees import TreeBody, trees_file
from models.ubjson import Reader
from tests.fitted import REFITS, fitted, fresh_matrix, training_cohort

Floats = NDArray[np.float64]
OUTCOMES: tuple[Outcome, ...] = ("leakage", "refracture")


def _boosted(outcome: Outcome) -> BoostedRisk:
    model = fitted(outcome, "boosted")
    assert isinstance(model, BoostedRisk)
    return model


def _documents(trees: bytes, count: int) -> list[bytes]:
    reader, cuts = Reader(trees), [0]
    for _ in range(count):
        reader.document()
        cuts.append(reader.position)
    return [trees[start:end] for start, end in itertools.pairwise(cuts)]


@cache
def _boosters(outcome: Outcome) -> list[xgboost.Booster]:
    """The stored parts, as xgboost reads them back."""
    model = _boosted(outcome)
    return [xgboost.Booster(model_file=bytearray(one)) for one in _documents(model.trees, len(model.parts))]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_margins_are_those_of_xgboost(outcome: Outcome) -> None:
    values = fresh_matrix(outcome).values
    assert np.isnan(values).any()
    ours = _boosted(outcome).body.margins(values).main
    theirs = [booster.predict(xgboost.DMatrix(values), output_margin=True) for booster in _boosters(outcome)]
    np.testing.assert_allclose(ours, np.column_stack(theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_contributions_are_those_of_xgboost(outcome: Outcome) -> None:
    values, body = fresh_matrix(outcome).values, _boosted(outcome).body
    assert isinstance(body, TreeBody)
    base, phi = body.contributions(values, body.explained)
    for part in range(body.explained):
        theirs = _boosters(outcome)[part].predict(xgboost.DMatrix(values), pred_contribs=True)
        np.testing.assert_allclose(phi[:, part], theirs[:, :-1], atol=2e-6)
        np.testing.assert_allclose(base[part], theirs[:, -1], atol=2e-6)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_contributions_are_those_of_shap(outcome: Outcome) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of matplotlib and numba, on import
        import shap
    values, body = fresh_matrix(outcome).values[:40], _boosted(outcome).body
    assert isinstance(body, TreeBody)
    _, phi = body.contributions(values, body.explained)
    theirs = shap.TreeExplainer(_boosters(outcome)[0]).shap_values(values)
    np.testing.assert_allclose(phi[:, 0], theirs, atol=2e-6)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_base_and_contributions_are_the_margin(outcome: Outcome) -> None:
    values, body = fresh_matrix(outcome).values, _boosted(outcome).body
    assert isinstance(body, TreeBody)
    base, phi = body.contributions(values, body.explained)
    margins = body.margins(values, with_refits=False).main[:, : body.explained]
    np.testing.assert_allclose(base + phi.sum(axis=2), margins, atol=1e-12)


def test_every_shape_of_tree_is_explained() -> None:
    """Deep, shallow and repeated: two columns, so that paths ask the same feature twice and thrice; with gaps."""
    rng = np.random.default_rng(15)
    values = rng.normal(size=(2000, 2))
    y = (rng.random(2000) < 1 / (1 + np.exp(-3 * np.sin(3 * values[:, 0]) - values[:, 1]))).astype(float)
    values[rng.random((2000, 2)) < 0.1] = np.nan
    parameters = {"objective": "binary:logistic", "base_score": 0.3, "max_depth": 3, "gamma": 2.0, "nthread": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(values, y), 60)
    document = Reader(bytes(booster.save_raw("ubj"))).document()
    trees = check_trees(join([document]), 2)
    asked = trees.feature[trees.left != np.arange(len(trees.left))]
    assert {0, 1} == set(asked.tolist())
    paths = Paths.of(trees, 2)
    assert paths.same.any(axis=1).all(), "no path asks a feature again: the test would not test it"
    theirs = booster.predict(xgboost.DMatrix(values), pred_contribs=True)
    np.testing.assert_allclose(contributions(paths, both_defaults(values))[:, 0], theirs[:, :-1], atol=5e-6)
    margins = booster.predict(xgboost.DMatrix(values), output_margin=True)
    np.testing.assert_allclose(Forest.of(trees, 2).margins(both_defaults(values))[:, 0], margins, rtol=1e-5, atol=1e-6)


def test_values_on_a_threshold_go_right() -> None:
    """xgboost asks x < threshold in single precision; a value that rounds onto it must go the same way."""
    rng = np.random.default_rng(16)
    values = rng.integers(0, 8, (500, 3)) / 10
    y = (values.sum(axis=1) > 1.0).astype(float)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1, "tree_method": "exact"}
    booster = xgboost.train(parameters | {"max_depth": 3}, xgboost.DMatrix(values, y), 10)
    trees = check_trees(join([Reader(bytes(booster.save_raw("ubj"))).document()]), 3)
    asked = np.vstack([values, np.unique(trees.threshold.astype(float))[:, None] * np.ones(3)])
    theirs = booster.predict(xgboost.DMatrix(asked), output_margin=True)
    np.testing.assert_allclose(Forest.of(trees, 3).margins(both_defaults(asked))[:, 0], theirs, rtol=1e-6, atol=1e-6)


def test_long_tables_are_cut_without_a_seam() -> None:
    body = _boosted("refracture").body
    assert isinstance(body, TreeBody)
    assert body.refits is not None
    x = body.prepare(np.tile(fresh_matrix("refracture").values, (4, 1)))
    pieces = [body.refits.margins(x[at : at + 7]) for at in range(0, len(x), 7)]
    np.testing.assert_array_equal(body.refits.margins(x), np.vstack(pieces))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_refits_joined_are_the_refits_one_by_one(outcome: Outcome) -> None:
    """The joined document of refits gives what each refit's own document would; here two parts stand in for refits."""
    parts = len(_boosted(outcome).parts)
    documents = _documents(_boosted(outcome).trees, parts)
    columns = len(_boosted(outcome).columns)
    body = TreeBody.read(trees_file(documents[:2], [*documents[:2], *documents[:2]]), 2, 2, columns)
    margins = body.margins(fresh_matrix(outcome).values)
    assert margins.refits.shape[2] == 2
    np.testing.assert_array_equal(margins.refits.reshape(len(margins.main), -1), np.tile(margins.main, 2))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_refits_differ_and_are_as_many_as_asked(outcome: Outcome) -> None:
    margins = _boosted(outcome).margins(fresh_matrix(outcome))
    assert margins.refits.shape[2] == REFITS
    assert (margins.refits.std(axis=2) > 0).mean() > 0.95


def _moved(model: BoostedRisk, column: str) -> Floats:
    """Margins of the event parts (steps, rows, parts) while one column moves through its range."""
    seen = fresh_matrix(model.outcome)
    steps = np.unique(np.nanquantile(seen[column], np.linspace(0, 1, 12)))
    at = np.arange(len(model.columns)) == model.columns.index(column)
    parts = 5 if model.outcome == "leakage" else 3
    tables = [np.where(at, step, seen.values[:60]) for step in steps]
    return np.array([model.body.margins(table, with_refits=False).main[:, :parts] for table in tables])


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_monotone_constraints_hold_in_the_fitted_trees(outcome: Outcome) -> None:
    moves = {column: _moved(_boosted(outcome), column) for column in MONOTONE[outcome]}
    for column, sign in MONOTONE[outcome].items():
        assert (sign * np.diff(moves[column], axis=0) >= -1e-9).all(), column
    assert sum((margins[0] != margins[-1]).any() for margins in moves.values()) >= 3, "hardly any of them is used"


def test_monotone_constraints_hold_against_the_data() -> None:
    """With the CT value mirrored the data say that dense bone breaks: the trees may then ignore it, not agree."""
    found = training_cohort("refracture")
    assert isinstance(found.target, Refracture)
    at = found.matrix.columns.index("ct_value_hu")
    mirrored = found.matrix.values.copy()
    mirrored[:, at] = 140.0 - mirrored[:, at]
    matrix = Matrix(found.matrix.columns, mirrored, found.matrix.patient)
    model = BoostedRisk(Settings(folds=2, refits=0)).fit(matrix, found.target)
    assert (np.diff(_moved(model, "ct_value_hu"), axis=0) <= 1e-9).all()
    with pytest.raises(UsageError, match="without refits"):
        model.interval(matrix)
