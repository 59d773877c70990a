"""The likelihoods against lifelines, scikit-learn and arithmetic done by hand."""

from __future__ import annotations

import lifelines
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.newton import RiskSets, cox_loss, efron_hazard, fit_cox, fit_logistic

Floats = NDArray[np.float64]


def _survival(n: int, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Terms, days rounded to weeks (many ties) and events."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    days = np.ceil(rng.exponential(np.exp(-z @ [0.7, -0.4, 0.0])) * 60 / 7) * 7
    return z, np.minimum(days, 140.0), days <= 140


def _lifelines(z: Floats, days: Floats, event: NDArray[np.bool_], **more: Floats) -> Floats:
    frame = pd.DataFrame(z, columns=["a", "b", "c"]).assign(days=days, event=event, **more)
    fitter = lifelines.CoxPHFitter()
    precise = {"precision": 1e-10, "r_precision": 1e-12}
    fitter.fit(frame, "days", "event", weights_col="weight" if more else None, fit_options=precise)
    return np.asarray(fitter.params_)


def test_cox_with_ties_agrees_with_lifelines() -> None:
    z, days, event = _survival(300, 1)
    assert len(np.unique(days[event])) < event.sum() / 3  # ties abound
    np.testing.assert_allclose(fit_cox(z, RiskSets.of(days, event)), _lifelines(z, days, event), atol=1e-6)


def test_weighted_cox_agrees_with_lifelines() -> None:
    z, days, event = _survival(200, 2)
    weight = np.random.default_rng(3).integers(1, 4, len(days)).astype(float)
    ours = fit_cox(z, RiskSets.of(days, event), weights=weight)
    np.testing.assert_allclose(ours, _lifelines(z, days, event, weight=weight), atol=1e-6)


def test_whole_weights_are_repeated_rows_where_nothing_is_tied() -> None:
    rng = np.random.default_rng(4)
    z, days, event = _survival(150, 4)
    days = days + rng.uniform(0, 0.1, len(days))
    weight = np.where(event, 1, rng.integers(0, 3, len(days))).astype(float)
    again = np.repeat(np.arange(len(days)), weight.astype(int))
    weighted = fit_cox(z, RiskSets.of(days, event), weights=weight)
    repeated = fit_cox(z[again], RiskSets.of(days[again], event[again]))
    np.testing.assert_allclose(weighted, repeated, atol=1e-8)


def test_the_derivatives_of_cox_are_those_of_its_loss() -> None:
    """At the minimum no small step lowers the penalised loss, whatever the ties."""
    z, days, event = _survival(120, 5)
    sets = RiskSets.of(days, event)
    beta = fit_cox(z, sets, penalty=5.0)

    def loss(b: Floats) -> float:
        return cox_loss(z @ b, sets) + 2.5 * float(b @ b)

    for step in 1e-4 * np.vstack([np.eye(3), -np.eye(3)]):
        assert loss(beta + step) > loss(beta)
    slope = [(loss(beta + step) - loss(beta - step)) / 2e-5 for step in 1e-5 * np.eye(3)]
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)


def test_a_penalty_towards_other_coefficients_is_one_on_the_distance() -> None:
    """At the minimum the loss with the penalty on the distance is flat; its limits are the aim and the free fit."""
    z, days, event = _survival(150, 6)
    sets, aim = RiskSets.of(days, event), np.array([0.5, 0.5, -0.5])
    beta = fit_cox(z, sets, 8.0, towards=aim)
    step = 1e-5 * np.eye(3)

    def loss(b: Floats) -> float:
        return cox_loss(z @ b, sets) + 4.0 * float((b - aim) @ (b - aim))

    slope = [(loss(beta + move) - loss(beta - move)) / 2e-5 for move in step]
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)
    np.testing.assert_allclose(fit_cox(z, sets, 1e9, towards=aim), aim, atol=1e-6)
    np.testing.assert_allclose(fit_cox(z, sets, 1e-9, towards=aim), fit_cox(z, sets), atol=1e-6)
    nobody = RiskSets.of(days, np.zeros(len(days), dtype=bool))
    np.testing.assert_array_equal(fit_cox(z, nobody, 8.0, towards=aim), aim)


def test_hazard_by_hand() -> None:
    """Five patients, two tied on day 2: Efron removes half of the tied pair's weight from the second slot."""
    days = np.array([1.0, 2.0, 2.0, 3.0, 4.0])
    event = np.array([True, True, True, False, True])
    relative = np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    first = 1 / 8
    second = first + 1 / 7 + 1 / (7 - 3 / 2)
    last = second + 1 / 3
    found = efron_hazard(np.log(relative), RiskSets.of(days, event), np.array([0.5, 1.0, 1.5, 2.0, 3.9, 4.0]))
    np.testing.assert_allclose(found, [0.0, first, first, second, second, last], rtol=1e-12)


def test_without_ties_and_terms_the_hazard_is_nelson_aalen() -> None:
    rng = np.random.default_rng(6)
    days, event = rng.exponential(100, 200), rng.random(200) < 0.7
    fitter = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(days, event)
    grid = np.array([10.0, 50.0, 90.0, 250.0])
    ours = efron_hazard(np.zeros(200), RiskSets.of(days, event), grid)
    np.testing.assert_allclose(ours, fitter.predict(grid).to_numpy(), rtol=1e-9)


def test_no_event_is_no_hazard() -> None:
    sets = RiskSets.of(np.array([1.0, 2.0]), np.array([False, False]))
    assert (efron_hazard(np.zeros(2), sets, np.array([1.0, 9.0])) == 0).all()
    assert (fit_cox(np.ones((2, 2)), sets) == 0).all()


@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_logistic_agrees_with_scikit_learn(penalty: float) -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(size=(400, 4))
    y = (rng.random(400) < 1 / (1 + np.exp(1.5 - z @ [1.0, 0.5, 0.0, -1.0]))).astype(float)
    weight = rng.integers(0, 4, 400).astype(float)
    model = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=5000).fit(z, y, sample_weight=weight)
    ours = fit_logistic(z, y, penalty, weight)
    np.testing.assert_allclose(ours, np.r_[model.intercept_, model.coef_[0]], atol=1e-6)


def test_separated_data_stay_finite_under_a_penalty() -> None:
    z = np.linspace(-1, 1, 40)[:, None]
    found = fit_logistic(z, (z[:, 0] > 0).astype(float), 0.3)
    assert np.isfinite(found).all()
    assert found[1] > 1
