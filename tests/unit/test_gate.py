"""The gate: each condition can refuse by itself, and what was not measured does not pass."""

from __future__ import annotations

import math

import pytest

from tests.versions import GOOD, version
from training.promote import AUC_ALARM, OE_LIMITS, SLOPE_LIMITS, best_candidate, faults, gate, way_out

OUTCOMES = {"leakage": "", "refracture": "_m12"}


def measured(outcome: str, **changes: float) -> dict[str, float]:
    return {name + OUTCOMES[outcome]: value for name, value in (GOOD | changes).items()}


def failing(outcome: str, metrics: dict[str, float], role: str = "model") -> list[str]:
    return [check.name for check in gate(outcome, metrics, role) if not check.passed]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_good_version_passes(outcome: str) -> None:
    assert failing(outcome, measured(outcome)) == []


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize(
    ("metric", "value", "condition"),
    [
        ("log_loss", GOOD["log_loss_base"], "log loss below the base rate's"),
        ("log_loss", GOOD["log_loss_base"] + 0.01, "log loss below the base rate's"),
        ("calibration_slope", SLOPE_LIMITS[0] - 0.001, "calibration slope"),
        ("calibration_slope", SLOPE_LIMITS[1] + 0.001, "calibration slope"),
        ("oe", OE_LIMITS[0] - 0.001, "observed / expected"),
        ("oe", OE_LIMITS[1] + 0.001, "observed / expected"),
        ("auc", AUC_ALARM + 0.001, "AUC without alarm"),
        ("patients", GOOD["patients_needed"] - 1, "number of patients"),
    ],
)
def test_each_condition_refuses_by_itself(outcome: str, metric: str, value: float, condition: str) -> None:
    assert failing(outcome, measured(outcome, **{metric: value})) == [condition]


@pytest.mark.parametrize("end", [*SLOPE_LIMITS])
def test_limits_are_inside(end: float) -> None:
    assert failing("leakage", measured("leakage", calibration_slope=end)) == []


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_prior_excuses_too_few_patients_and_nothing_else(outcome: str) -> None:
    few = {"patients": 100.0, "released_by_prior": 1.0}
    assert failing(outcome, measured(outcome, **few)) == []
    assert failing(outcome, measured(outcome, **few, oe=2.0)) == ["observed / expected"]
    assert failing(outcome, measured(outcome, patients=100.0, released_by_prior=0.0)) == ["number of patients"]


def test_a_comparator_is_refused_however_good() -> None:
    assert failing("leakage", measured("leakage"), "comparator") == ["not a comparator"]


def test_what_was_found_is_told_as_a_count_or_a_number_with_what_is_asked() -> None:
    said = {check.name: check.said for check in gate("leakage", measured("leakage", patients=12345.0))}
    assert said["number of patients"].startswith("number of patients: 12,345 (asked >= ")
    assert said["calibration slope"] == f"calibration slope: {GOOD['calibration_slope']:.4g} (asked 0.8 to 1.25)"


def test_what_a_version_fails_is_told_in_words() -> None:
    assert faults(version("1")) == ""
    assert faults(version("1", calibration_slope=0.5)) == "calibration slope is 0.5, asked 0.8 to 1.25"
    both = faults(version("2", role="comparator", oe=2.0))
    assert (
        both
        == "observed / expected is 2, asked 0.85 to 1.18; it is a comparator, kept to compare the other learners with"
    )


@pytest.mark.parametrize("metric", GOOD)
def test_what_is_not_measured_does_not_pass(metric: str) -> None:
    absent = measured("leakage")
    del absent[metric]
    assert len(failing("leakage", absent)) == 1
    assert failing("leakage", measured("leakage", **{metric: math.nan})) == failing("leakage", absent)


def test_other_horizons_are_not_asked() -> None:
    worse_later = measured("refracture") | {"calibration_slope_m24": 3.0, "auc_m3": 0.99}
    assert failing("refracture", worse_later) == []


def test_the_candidate_is_the_best_of_those_that_pass() -> None:
    versions = [
        version("1", log_loss=0.46),
        version("2", log_loss=0.45),
        version("3", log_loss=0.40, calibration_slope=1.9),
        version("4", role="comparator", log_loss=0.41),
    ]
    assert best_candidate(versions) is versions[1]
    assert best_candidate(versions[2:]) is None
    assert best_candidate([]) is None


def test_more_patients_do_not_help_a_comparator() -> None:
    for checks, way in (
        (gate("leakage", measured("leakage", patients=9.0), "comparator"), "Name a version of another learner"),
        (gate("leakage", measured("leakage", patients=9.0)), "Train on more patients"),
    ):
        assert way_out([check for check in checks if not check.passed]).startswith(way)
