"""Splits in time and by centre, subgroups and contrasts: who stands where, what is too small, what is subtracted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from features.outcome import HORIZON_DAYS, Refracture
from models import Settings
from tests.fitted import training_cohort
from training import metrics
from training.cohort import Cohort
from training.metrics.types import standard_error
from training.validate import any_code
from training.validate.contrasts import contrasts, net_benefits
from training.validate.fitting import Predicted, tried
from training.validate.judging import FLOOR, SMALLEST_COUNT, counts, judge, judged_risk, shown
from training.validate.splits import Cut, centres_of, cut_in_time, earlier, elsewhere, leave_one_centre_out, temporal
from training.validate.subgroups import subgroups


@cache
def guess(outcome: str) -> np.ndarray:
    """A risk that has something to do with the outcome."""
    people = training_cohort(outcome)
    rng = np.random.default_rng(2)
    event = people.target.leaked if outcome == "leakage" else (people.target.event_code % 4 > 0)
    return np.clip(0.15 + 0.1 * event + rng.normal(0, 0.06, len(people.matrix)), 0.01, 0.9)


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_a_cut_in_time_parts_patients_and_leaves_a_third_for_later(outcome) -> None:
    people = training_cohort(outcome)
    cut = cut_in_time(people)
    assert isinstance(cut, Cut)
    before = earlier(people, cut)
    assert not set(people.patient[before]) & set(people.patient[cut.later])
    assert (before | cut.later).all()
    assert max(people.month[before]) < cut.month == min(people.month[cut.later])
    assert 0.28 < cut.later.mean() < 0.45


def test_patients_without_a_date_stand_on_neither_side() -> None:
    people = training_cohort("refracture")
    month = people.month.copy()
    month[:50] = ""
    people = replace(people, month=month)
    cut = cut_in_time(people)
    assert isinstance(cut, Cut)
    assert not (cut.later | earlier(people, cut))[:50].any()


@pytest.mark.parametrize(("month", "said"), [("", "no dates"), ("2021-03", "too close together")])
def test_without_dates_apart_there_is_no_cut_and_the_record_says_why(month, said) -> None:
    people = training_cohort("leakage")
    people = replace(people, month=np.full(len(people.matrix), month))
    cut = cut_in_time(people)
    assert said in str(cut)
    assert said in temporal(people, cut, None)["reason"]


def test_the_entry_of_a_split_in_time_holds_the_metrics_of_the_later_rows() -> None:
    people = training_cohort("leakage")
    cut = cut_in_time(people)
    assert isinstance(cut, Cut)
    risk = guess("leakage")[cut.later]
    found = temporal(people, cut, Predicted(risk, None))
    assert found["reason"] == ""
    assert found["tested_rows"] + found["trained_rows"] == len(people.matrix)
    expected = metrics.auc(risk, people.target.leaked[cut.later], cluster=people.patient[cut.later])
    assert found["metrics"]["auc"] == {"value": expected.value, "lo": expected.lo, "hi": expected.hi}


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_later_patients_without_an_event_leave_a_reason_and_not_an_end(outcome) -> None:
    people = training_cohort(outcome)
    cut = cut_in_time(people)
    assert isinstance(cut, Cut)
    if outcome == "leakage":
        spared = replace(
            people.target,
            leaked=np.where(cut.later, 0.0, people.target.leaked),
            routes=np.where(cut.later[:, None], 0.0, people.target.routes),
        )
    else:
        spared = replace(people.target, event_code=np.where(cut.later, 0, people.target.event_code))
    risk = guess(outcome)[cut.later]
    by_horizon = risk if outcome == "leakage" else risk[:, None].repeat(len(HORIZON_DAYS), axis=1)
    found = temporal(replace(people, target=spared), cut, Predicted(by_horizon, None))
    assert found["reason"]
    assert found["metrics"] == {}
    assert found["tested_rows"] == cut.later.sum()


def test_a_route_that_no_later_patient_had_leaves_the_metrics_of_the_others() -> None:
    people = training_cohort("leakage")
    cut = cut_in_time(people)
    assert isinstance(cut, Cut)
    routes = people.target.routes.copy()
    routes[cut.later, 0] = 0.0
    people = replace(people, target=replace(people.target, routes=routes))
    risk = guess("leakage")[cut.later]
    found = temporal(people, cut, Predicted(risk, np.column_stack([risk / 2] * 4)))
    assert found["reason"] == ""
    assert {name.rpartition("_")[2] for name in found["metrics"] if name.startswith("auc_")} == {"S", "C", "D"}


def test_centres_of_which_none_can_be_judged_leave_a_reason_and_not_an_end() -> None:
    people = training_cohort("leakage")
    people = replace(people, target=replace(people.target, leaked=np.zeros(len(people.matrix))))
    names = centres_of(people)
    told = {name: Predicted(guess("leakage")[people.groups["centre"] == name], None) for name in names}
    found = leave_one_centre_out(people, told)
    assert found["reason"]
    assert found["metrics"] == {}
    assert all(one["reason"] for one in found["each"])


def test_a_patient_of_two_centres_trains_for_neither() -> None:
    people = training_cohort("refracture")
    centre, patient = people.groups["centre"].copy(), people.patient.copy()
    first, second = np.flatnonzero(centre == "centre 1")[0], np.flatnonzero(centre == "centre 2")[0]
    patient[second] = patient[first]
    people = replace(people, groups=people.groups | {"centre": centre}, target=replace(people.target, patient=patient))
    for name in ("centre 1", "centre 2"):
        others = elsewhere(people, name)
        assert not others[[first, second]].any()
        assert not set(people.patient[others]) & set(people.patient[centre == name])
    assert elsewhere(people, "centre 3")[[first, second]].all()


def test_one_centre_cannot_be_left_out() -> None:
    people = training_cohort("leakage")
    alone = replace(people, groups=people.groups | {"centre": np.full(len(people.matrix), "centre 1")})
    assert centres_of(alone) == []
    assert "one centre" in leave_one_centre_out(alone, {})["reason"]
    assert centres_of(people)[:2] == ["centre 1", "centre 2"]


def test_centres_are_judged_apart_and_together_by_models_of_the_others() -> None:
    people = training_cohort("leakage")
    half = np.where(np.arange(len(people.matrix)) % 400 < 30, "centre 2", "centre 1")
    people = replace(people, groups=people.groups | {"centre": half})
    model_of_first = tried(people, "logistic", Settings(refits=0), half == "centre 1", half == "centre 2")
    assert isinstance(model_of_first, Predicted)
    found = leave_one_centre_out(people, {"centre 1": "any leak: too few", "centre 2": model_of_first})
    one, two = found["each"]
    assert (one["centre"], one["reason"], one["metrics"]) == ("centre 1", "any leak: too few", {})
    assert two["rows"] == (half == "centre 2").sum()
    together = judge(people.target, np.where(half == "centre 2", 0.5, 0.5), half == "centre 2")
    assert set(found["metrics"]) == set(together)


def test_too_few_events_elsewhere_is_a_text_and_not_an_end() -> None:
    people = training_cohort("leakage")
    few = np.zeros(len(people.matrix), dtype=bool)
    few[:30] = True
    assert "at least 10" in str(tried(people, "logistic", Settings(refits=0), few, ~few))


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_groups_above_the_floor_have_metrics_and_others_a_reason(outcome) -> None:
    people = training_cohort(outcome)
    found = subgroups(people, guess(outcome))
    assert {one["by"] for one in found} == set(people.groups)
    for one in found:
        rows = people.groups[one["by"]] == one["group"]
        events, others = counts(people.target, rows)
        assert (one["reason"] == "") == (min(events, others) >= FLOOR) == bool(one["metrics"])
    men = people.groups["sex"] == "male"
    expected = judge(people.target, guess(outcome), men)["calibration_slope"]
    (entry,) = [one for one in found if one["group"] == "male"]
    assert entry["metrics"]["calibration_slope"]["value"] == expected.value


def test_small_counts_are_not_written_down() -> None:
    assert [shown(count) for count in (0, 1, SMALLEST_COUNT - 1, SMALLEST_COUNT)] == [0, None, None, SMALLEST_COUNT]


def test_counts_at_the_horizon_know_who_died_who_was_lost_and_the_day_itself() -> None:
    h = HORIZON_DAYS[12]
    code = np.array([1, 1, 1, 4, 4, 0, 0, 0])
    days = np.array([h, h + 1, 3, 5, h + 9, h - 1, h, h + 1], dtype=float)
    target = Refracture(code, days, np.arange(len(code)))
    assert counts(target, np.ones(len(code), dtype=bool)) == (2, 5)


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_a_contrast_is_the_difference_with_a_narrower_interval_than_two_strangers_would_have(outcome) -> None:
    people = training_cohort(outcome)
    risk = guess(outcome)
    worse = np.clip(risk + np.random.default_rng(3).normal(0, 0.05, len(risk)), 0.01, 0.9)
    (pair,) = contrasts(people, {"cox": risk, "boosted": worse})
    one, two = judge(people.target, risk), judge(people.target, worse)
    assert (pair["first"], pair["second"]) == ("cox", "boosted")
    for name in ("auc", "brier", "log_loss", "scaled_brier", "oe", "calibration_slope"):
        found = pair["metrics"][name]
        assert found["value"] == pytest.approx(one[name].value - two[name].value, abs=1e-12)
        assert found["lo"] <= found["value"] <= found["hi"]
    unpaired = np.hypot(one["auc"].se, two["auc"].se)
    assert pair["metrics"]["auc"]["hi"] - pair["metrics"]["auc"]["lo"] < 2 * 1.96 * unpaired
    assert {"net_benefit_10", "net_benefit_20", "net_benefit_30"} <= set(pair["metrics"])


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_net_benefit_keeps_the_influence_that_its_error_comes_from(outcome) -> None:
    people = training_cohort(outcome)
    _, patient = np.unique(people.patient, return_inverse=True)
    for one in net_benefits(people, guess(outcome)).values():
        assert one.influence is not None
        assert standard_error(one.influence, patient) == pytest.approx(one.se)


def test_the_judged_risk_is_the_one_by_twelve_months() -> None:
    assert judged_risk(np.array([[0.1, 0.2, 0.3]])).tolist() == [0.2]
    assert judged_risk(np.array([0.4])).tolist() == [0.4]


def test_any_death_competes() -> None:
    people: Cohort = training_cohort("refracture")
    assert ((any_code(people.target) == 2) == (people.target.event_code == 4)).all()
