"""Who may be released: enough patients, or a prior whose slope keeps to its limits; nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import Card, CoxRisk, LogisticRisk
from tests.fitted import fitted, training_cohort
from training.sample_size import sample_size
from training.validate.standing import ANTICIPATED_C, Standing, prevalence, standing

GOOD_SLOPE = {"calibration_slope_lo": 0.85, "calibration_slope_hi": 1.15}


def stands(
    outcome: str = "leakage", slope: dict[str, float] = GOOD_SLOPE, how: str = "cv", prior: str = ""
) -> Standing:
    end = "" if outcome == "leakage" else "_m12"
    found = {name.replace("slope", f"slope{end}"): value for name, value in slope.items()}
    return standing(training_cohort(outcome), found, how, prior)


@pytest.mark.parametrize("outcome", ANTICIPATED_C)
def test_the_minimum_is_rileys_for_the_terms_of_the_linear_design(outcome) -> None:
    people, found = training_cohort(outcome), stands(outcome)
    model = fitted(outcome, "logistic" if outcome == "leakage" else "cox")
    assert isinstance(model, LogisticRisk | CoxRisk)
    width = model.body.to_dict()["design"]["mean"]
    expected = sample_size(prevalence(people), ANTICIPATED_C[outcome], len(width))
    assert found.size == expected
    assert (found.needed, found.patients, found.state) == (expected.needed, people.patients, "not releasable")
    assert f"{found.needed:,}" in found.reason


def test_patients_are_counted_and_not_vertebrae() -> None:
    people = training_cohort("leakage")
    assert stands().patients == people.patients < len(people.matrix)


def test_enough_patients_are_releasable_without_a_word() -> None:
    people = training_cohort("leakage")
    times = 3
    many = replace(
        people,
        matrix=people.matrix.take(np.tile(np.arange(len(people.matrix)), times)),
        target=replace(
            people.target.take(np.tile(np.arange(len(people.target)), times)),
            patient=np.concatenate([people.patient + 10_000 * k for k in range(times)]),
        ),
    )
    found = standing(many, {}, "cv")
    assert (found.state, found.reason) == ("releasable", "")
    assert found.numbers["patients"] >= found.numbers["patients_needed"]
    assert found.numbers["released_by_prior"] == 0


@pytest.mark.parametrize("outcome", ANTICIPATED_C)
def test_a_prior_excuses_too_few_patients_if_the_corrected_slope_keeps_to_its_limits(outcome) -> None:
    found = stands(outcome, how="bootstrap", prior="published")
    assert found.state == "releasable with prior"
    assert "published" in found.reason
    assert found.numbers["released_by_prior" + ("" if outcome == "leakage" else "_m12")] == 1


@pytest.mark.parametrize(
    ("slope", "how", "prior"),
    [
        (GOOD_SLOPE, "bootstrap", ""),
        (GOOD_SLOPE, "cv", "published"),
        (GOOD_SLOPE | {"calibration_slope_lo": 0.79}, "bootstrap", "published"),
        (GOOD_SLOPE | {"calibration_slope_hi": 1.21}, "bootstrap", "published"),
        ({}, "bootstrap", "published"),
    ],
)
def test_each_condition_of_the_excuse_can_fail_by_itself(slope, how, prior) -> None:
    found = stands(slope=slope, how=how, prior=prior)
    assert found.state == "not releasable"
    assert found.reason
    assert found.numbers["released_by_prior"] == 0


def test_without_follow_up_to_the_horizon_there_is_no_minimum_and_no_release() -> None:
    people = training_cohort("refracture")
    target = replace(people.target, days=np.minimum(people.target.days, 200.0), event_code=people.target.event_code * 0)
    found = standing(replace(people, target=target), {}, "cv")
    assert (found.state, found.needed) == ("not releasable", None)
    assert "no minimum can be computed" in found.reason
    assert set(found.numbers) == {"patients_m12"}
    assert found.as_json()["for_shrinkage"] is None


def test_the_notice_of_every_answer_says_that_the_patients_were_too_few() -> None:
    plain = Card("leakage", "logistic")
    assert "eleasable" not in replace(plain, release="releasable").notice
    excused = replace(plain, release="releasable with prior", release_reason="why")
    assert excused.notice == f"{plain.notice} Releasable with prior (leakage): why."
