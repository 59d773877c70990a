"""Our Cox models and splines against R.

Recipe: ``sh benchmarks/r/models_golden.sh`` writes ``models/follow_up.csv`` (simulated, days by the week so that events
tie) and ``models/r.json`` with the versions of R, survival and Hmisc; ``benchmarks/r/models.R`` has the call behind
each number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.design import Layout, Term
from models.newton import RiskSets, cox_loss, efron_hazard, fit_cox

HERE = Path(__file__).parent / "models"
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def table() -> dict[str, Floats]:
    names = (HERE / "follow_up.csv").read_text().splitlines()[0].split(",")
    values = np.loadtxt(HERE / "follow_up.csv", delimiter=",", skiprows=1)
    return dict(zip(names, values.T, strict=True))


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "r.json").read_text())
    return found


def _terms(table: dict[str, Floats]) -> Floats:
    return np.column_stack([table[name] for name in ("age", "hu", "steroid")])


@pytest.mark.parametrize("fit", ["plain", "weighted"])
def test_coefficients_likelihood_and_baseline_are_those_of_coxph(
    fit: str, table: dict[str, Floats], expected: dict[str, Any]
) -> None:
    """``coxph(ties = "efron")`` and the cumulative hazard of ``survfit`` at covariates of zero."""
    weights = table["weight"] if fit == "weighted" else None
    z = _terms(table)
    centred = z - z.mean(axis=0)
    sets = RiskSets.of(table["days"], table["event"] == 1)
    beta = fit_cox(centred, sets, weights=weights)
    np.testing.assert_allclose(beta, expected[fit]["coefficients"], rtol=1e-7)
    assert -cox_loss(z @ beta, sets, weights) == pytest.approx(expected[fit]["loglik"], rel=1e-10)
    hazard = efron_hazard(z @ beta, sets, np.array(expected["days"], dtype=float), weights)
    np.testing.assert_allclose(hazard, expected[fit]["hazard"], rtol=1e-6)


def test_ridge_is_that_of_survival(table: dict[str, Floats], expected: dict[str, Any]) -> None:
    """``ridge(theta, scale = FALSE)`` takes theta / 2 times the squared coefficients off the likelihood, as we do."""
    z = _terms(table)
    sets = RiskSets.of(table["days"], table["event"] == 1)
    beta = fit_cox(z - z.mean(axis=0), sets, expected["ridged"]["penalty"])
    np.testing.assert_allclose(beta, expected["ridged"]["coefficients"], rtol=1e-6)


def test_spline_terms_are_those_of_rcspline_eval(table: dict[str, Floats], expected: dict[str, Any]) -> None:
    """``Hmisc::rcspline.eval(norm = 2)``, which is what ``rms::rcs`` uses."""
    layout = Layout.of((Term("age", tuple(expected["knots"])),))
    np.testing.assert_allclose(layout.expand(table["age"][:, None]), expected["spline"], atol=1e-9)
