"""The bootstrap against its definition: patients drawn whole, the whole building repeated, the optimism subtracted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from features.errors import TooLittleData
from models import LogisticRisk, Settings
from training import metrics
from training.cohort import Cohort, cohort
from training.simulate import simulate
from training.validate.bootstrap import Resampled, blocks, correct, drawn_rows, resample, resamples_of

SETTINGS = Settings(seed=3, refits=0)


@cache
def people() -> Cohort:
    return cohort(simulate(400, 5).columns, "leakage")


def test_patients_are_drawn_with_all_their_vertebrae() -> None:
    patient = people().patient
    rows = drawn_rows(patient, 3, 0)
    times = np.bincount(rows, minlength=len(patient))
    for who in np.unique(patient):
        assert len(set(times[patient == who])) == 1
    drawn = sum(times[np.flatnonzero(patient == who)[0]] for who in np.unique(patient))
    assert drawn == len(np.unique(patient))
    assert (np.diff(rows) >= 0).all()


def test_draws_differ_by_number_and_by_seed_and_are_the_same_again() -> None:
    patient = people().patient
    first = drawn_rows(patient, 3, 0)
    assert np.array_equal(first, drawn_rows(patient, 3, 0))
    assert not np.array_equal(first, drawn_rows(patient, 3, 1))
    assert not np.array_equal(first, drawn_rows(patient, 4, 0))


def test_a_resample_is_the_whole_building_on_copied_patients() -> None:
    """Fitted by hand, judged by hand: the same two AUCs and slopes, with the folds of the first resample."""
    (found,) = resample(people(), "logistic", SETTINGS, [0])
    rows = drawn_rows(people().patient, SETTINGS.seed, 0)
    target = people().target
    model = LogisticRisk(replace(SETTINGS, seed=SETTINGS.seed + 1))
    model.fit(people().matrix.take(rows), target.take(rows))
    on_itself, on_cohort = model.risk(people().matrix.take(rows)), model.risk(people().matrix)
    assert found is not None
    assert found.on_itself["auc"] == pytest.approx(metrics.auc(on_itself, target.leaked[rows]).value, abs=1e-12)
    assert found.on_cohort["auc"] == pytest.approx(metrics.auc(on_cohort, target.leaked).value, abs=1e-12)
    slope = metrics.calibration(on_cohort, target.leaked).calibration_slope.value
    assert found.on_cohort["calibration_slope"] == pytest.approx(slope, abs=1e-9)


def test_optimism_is_the_mean_gap_and_shifts_value_and_interval_alike() -> None:
    apparent = {"auc": 0.70, "auc_lo": 0.66, "auc_hi": 0.74, "calibration_slope": 1.1}
    pairs = [(0.74, 0.69, 1.20, 0.90), (0.72, 0.70, 1.10, 1.00)]
    found = [Resampled({"auc": a, "calibration_slope": c}, {"auc": b, "calibration_slope": d}) for a, b, c, d in pairs]
    result = correct(apparent, [*found, None] + [found[0], found[1]] * 2)
    assert result.optimism == pytest.approx({"auc": 0.035, "calibration_slope": 0.2})
    assert result.metrics == pytest.approx({"auc": 0.665, "auc_lo": 0.625, "auc_hi": 0.705, "calibration_slope": 0.9})
    assert (result.resamples, result.failed) == (7, 1)


@pytest.mark.parametrize(("name", "limit"), [("ici", 0.0), ("brier", 0.0), ("auc", 1.0)])
def test_a_shifted_interval_ends_where_the_metric_does(name, limit) -> None:
    gap = 0.4 if limit == 0 else -0.4
    found = [Resampled({name: 0.5 + gap}, {name: 0.5})] * 3
    result = correct({name: 0.7, f"{name}_lo": 0.1, f"{name}_hi": 0.9}, found)
    assert result.metrics[name + ("_lo" if limit == 0 else "_hi")] == limit


def test_a_metric_that_few_resamples_have_is_left_out() -> None:
    found = [Resampled({"auc": 0.7}, {"auc": 0.6})] * 3 + [Resampled({}, {})] * 2
    assert correct({"auc": 0.7}, found).metrics == {}


def test_too_few_events_in_many_resamples_is_said() -> None:
    with pytest.raises(TooLittleData, match=r"2 of 4 resamples.*--bootstrap"):
        correct({"auc": 0.7}, [None, None, *[Resampled({"auc": 0.7}, {"auc": 0.6})] * 2])


def test_a_resample_without_enough_events_has_no_model() -> None:
    found = resample(_with_leaks(people(), 11), "logistic", SETTINGS, range(6))
    assert any(one is None for one in found)


def _with_leaks(whole: Cohort, leaks: int) -> Cohort:
    """The cohort with so many leaks left."""
    kept = np.flatnonzero(whole.target.leaked == 1)[:leaks]
    leaked = np.zeros(len(whole.target))
    leaked[kept] = 1
    return replace(whole, target=replace(whole.target, leaked=leaked))


@pytest.mark.parametrize(("asked", "linear", "boosted"), [(0, 0, 0), (20, 20, 20), (200, 200, 50), (1000, 1000, 250)])
def test_boosted_trees_get_a_quarter_of_the_resamples(asked, linear, boosted) -> None:
    assert (resamples_of("cox", asked), resamples_of("boosted", asked)) == (linear, boosted)


def test_pieces_of_work_cover_every_resample_once() -> None:
    assert [number for block in blocks(11) for number in block] == list(range(11))
