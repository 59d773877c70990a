"""Riley's minimum sample size against its own conditions and against printed examples."""

from __future__ import annotations

import math

import pytest

from training.sample_size import SHRINKAGE, expected_shrinkage, r2_of, sample_size


def test_a_useless_predictor_explains_nothing() -> None:
    assert r2_of(0.2, 0.5) == pytest.approx(0.0, abs=1e-12)


def test_better_discrimination_explains_more() -> None:
    found = [r2_of(0.2, c) for c in (0.55, 0.65, 0.75, 0.85, 0.95)]
    assert found == sorted(found)
    assert found[-1] < 1 - math.exp(2 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8)))


@pytest.mark.parametrize(
    ("prevalence", "c_statistic", "parameters", "printed"),
    [(0.22, 0.68, 12, 1479), (0.22, 0.68, 20, 2479), (0.10, 0.70, 14, 2557), (0.045, 0.72, 12, 3598)],
)
def test_near_the_figures_of_pmsampsize(prevalence: float, c_statistic: float, parameters: int, printed: int) -> None:
    """R's pmsampsize simulates the R² that is computed by quadrature here; the two differ by up to 5 %."""
    assert sample_size(prevalence, c_statistic, parameters).needed == pytest.approx(printed, rel=0.05)


def test_the_needed_sample_has_the_shrinkage_asked_for() -> None:
    found = sample_size(0.1, 0.7, 14)
    assert expected_shrinkage(found.for_shrinkage, 0.1, 0.7, 14) == pytest.approx(SHRINKAGE, abs=1e-3)


def test_chen_2025_had_too_few_patients_for_its_model() -> None:
    """100 patients, 27 leaks and 5 parameters kept: what is left of the effects after shrinkage is about two thirds."""
    assert expected_shrinkage(100, 0.27, 0.70, 5) == pytest.approx(0.68, abs=0.01)


@pytest.mark.parametrize(("prevalence", "c_statistic"), [(0.0, 0.7), (1.0, 0.7), (0.2, 0.4), (0.2, 1.0)])
def test_impossible_inputs_are_refused(prevalence: float, c_statistic: float) -> None:
    with pytest.raises(ValueError, match="between"):
        r2_of(prevalence, c_statistic)
