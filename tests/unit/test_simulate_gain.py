"""Expected log loss and the share of the achievable gain."""

from __future__ import annotations

import numpy as np
import pytest

from training.simulate import expected_log_loss, share_of_gain

TRUTH = np.random.default_rng(1).beta(2, 8, 500)


def test_is_the_mean_log_loss_over_many_draws() -> None:
    rng, risk = np.random.default_rng(2), np.clip(TRUTH * 1.3, 0, 0.95)
    drawn = rng.random((4000, len(TRUTH))) < TRUTH
    losses = -np.where(drawn, np.log(risk), np.log1p(-risk)).mean(axis=1)
    assert expected_log_loss(risk, TRUTH) == pytest.approx(losses.mean(), abs=4 * losses.std() / np.sqrt(len(losses)))


@pytest.mark.parametrize("power", [0.5, 0.9, 1.1, 2.0])
def test_nothing_beats_the_truth(power: float) -> None:
    assert expected_log_loss(TRUTH**power, TRUTH) > expected_log_loss(TRUTH, TRUTH)


def test_certain_truth_and_impossible_claims() -> None:
    certain = np.array([0.0, 1.0])
    assert expected_log_loss(certain, certain) == 0.0
    assert expected_log_loss(np.array([0.0, 0.5]), np.array([0.2, 0.5])) == np.inf


def test_share_of_gain_at_its_fixed_points() -> None:
    base = float(TRUTH.mean())
    assert share_of_gain(base, TRUTH, TRUTH) == pytest.approx(1)
    assert share_of_gain(base, np.full_like(TRUTH, base), TRUTH) == pytest.approx(0)
    assert share_of_gain(base, 1 - TRUTH, TRUTH) < 0
    halfway = np.sqrt(TRUTH * base)
    assert 0 < share_of_gain(base, halfway, TRUTH) < 1


@pytest.mark.parametrize("bad", [np.array([np.nan]), np.array([1.2]), np.array([-0.1])])
def test_what_is_no_probability_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError):
        expected_log_loss(bad, np.array([0.5]))
    with pytest.raises(ValueError):
        expected_log_loss(0.5, bad)


def test_no_gain_to_share_is_refused() -> None:
    with pytest.raises(ValueError):
        share_of_gain(0.3, np.array([0.3, 0.2]), np.array([0.3, 0.3]))
