"""What fills the unknown, against the distribution that it is meant to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from features.build import PREDICTORS
from models.design import Design, Term, fit_design

Floats = NDArray[np.float64]
COLUMNS = tuple(predictor.name for predictor in PREDICTORS["leakage"])
#: Three columns that stay a line each, so that the joint normal model of the terms is that of the values.
SCORES = tuple(COLUMNS.index(name) for name in ("genant_grade", "treated_count", "procedure_pkp"))
COVARIANCE = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])


def _sample(n: int, gaps: float) -> tuple[Floats, Floats]:
    """A matrix of leakage whose only varying columns are three normal ones, complete and with gaps at random."""
    rng = np.random.default_rng(12)
    complete = np.zeros((n, len(COLUMNS)))
    complete[:, SCORES] = rng.multivariate_normal(np.zeros(3), COVARIANCE, n) * [1.0, 2.0, 0.5] + [1.0, 5.0, 0.2]
    holes = complete.copy()
    hidden = rng.random((n, 3)) < gaps
    # Unknown at random given what is known: the second is hidden more often where the first is high.
    hidden[:, 1] |= (complete[:, SCORES[0]] > 1.5) & ~hidden[:, 0]
    holes[:, SCORES] = np.where(hidden, np.nan, complete[:, SCORES])
    return complete, holes


def _three(design: Design) -> list[int]:
    return [int(np.flatnonzero(design.owner == index)[0]) for index in SCORES]


def test_em_recovers_what_the_gaps_hide() -> None:
    """The second column's known values have a mean far below the true one: EM is not misled, their mean is."""
    complete, holes = _sample(6000, 0.2)
    design = fit_design("leakage", holes)
    at = _three(design)
    observed = np.nanmean(holes[:, SCORES], axis=0)
    assert observed[1] < complete[:, SCORES[1]].mean() - 0.3
    np.testing.assert_allclose(design.mean[at], complete[:, SCORES].mean(axis=0), atol=0.06)
    spread = np.outer(design.scale[at], design.scale[at])
    found = design.covariance[np.ix_(at, at)] * spread
    np.testing.assert_allclose(found, np.cov(complete[:, SCORES], rowvar=False), atol=0.12)


def test_the_unknown_becomes_its_conditional_mean() -> None:
    """mu_m + S_mk S_kk^-1 (x_k - mu_k), computed here from the fitted mean and covariance with nothing of ours."""
    complete, _ = _sample(3000, 0.0)
    design = fit_design("leakage", complete)
    at = _three(design)
    asked = complete[:5].copy()
    asked[:, SCORES[0]] = np.nan
    z = design.transform(asked)
    known = (complete[:5][:, SCORES[1:]] - design.mean[at[1:]]) / design.scale[at[1:]]
    covariance = design.covariance[np.ix_(at, at)]
    expected = known @ np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    np.testing.assert_allclose(z[:, at[0]], expected, atol=1e-5)


def test_all_unknown_is_the_average_patient() -> None:
    _, holes = _sample(500, 0.2)
    z = fit_design("leakage", holes).transform(np.full((2, len(COLUMNS)), np.nan))
    assert (z == 0).all()


def test_terms_are_centred_and_scaled_where_nothing_is_missing() -> None:
    rng = np.random.default_rng(13)
    values = rng.normal(size=(800, len(COLUMNS)))
    values[:, COLUMNS.index("viscosity")] = rng.integers(0, 3, 800)
    z = fit_design("leakage", values).transform(values)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-10)


def test_levels_become_indicators_and_few_values_a_line() -> None:
    rng = np.random.default_rng(14)
    values = rng.normal(size=(300, len(COLUMNS)))
    values[:, COLUMNS.index("viscosity")] = rng.integers(0, 3, 300)
    values[:, COLUMNS.index("planned_volume_ml")] = rng.choice([3.0, 4.0], 300)
    values[:, COLUMNS.index("ct_value_hu")] = rng.normal(78, 24, 300)
    terms = {term.column: term for term in fit_design("leakage", values).terms}
    assert terms["viscosity"] == Term("viscosity", levels=3)
    assert terms["planned_volume_ml"] == Term("planned_volume_ml")
    assert len(terms["ct_value_hu"].knots) == 4


@pytest.mark.parametrize("rows", [1, 3, 300])
def test_few_rows_are_filled_as_many_are(rows: int) -> None:
    """Up to 256 rows are grouped another way: the result may not depend on it."""
    _, holes = _sample(600, 0.3)
    design = fit_design("leakage", holes)
    together = design.transform(holes[:600])
    np.testing.assert_allclose(design.transform(holes[:rows]), together[:rows], rtol=1e-12, atol=1e-14)


def test_designs_are_the_same_if_learned_from_the_same_rows_only() -> None:
    _, holes = _sample(400, 0.2)
    design, again = fit_design("leakage", holes), fit_design("leakage", holes.copy())
    assert design.same_as(again) and again.same_as(Design.from_dict(design.to_dict()))
    assert not design.same_as(fit_design("leakage", holes[:-1]))
    assert not design.same_as(replace(design, covariance=design.covariance * 1.01))
    assert not design.same_as(replace(design, terms=(Term(COLUMNS[0], levels=2), *design.terms[1:])))
