"""Out-of-fold predictions know nothing of the patient whom they are about: what cannot be learned is not found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.build import Matrix
from features.outcome import Leakage, Refracture
from models.resample import folds_by_patient
from tests.fitted import training_cohort
from training.cohort import Cohort
from training.validate import FOLDS, Validated, validate


def permuted(people: Cohort, seed: int) -> Cohort:
    """The same patients with the outcomes of others."""
    mixed = np.random.default_rng(seed).permutation(len(people.matrix))
    target = replace(people.target.take(mixed), patient=people.target.patient)
    if isinstance(target, Leakage):  # how one looked stays with the patient: it is a predictor
        target = replace(target, detection=people.target.detection)
    return replace(people, target=target)


def auc_of(result: Validated, suffix: str = "") -> tuple[float, float]:
    """AUC and its standard error, from the interval."""
    low, high = result.metrics[f"auc{suffix}_lo"], result.metrics[f"auc{suffix}_hi"]
    return result.metrics[f"auc{suffix}"], (high - low) / (2 * 1.96)


def test_permuted_leaks_are_not_predicted() -> None:
    (result,) = validate(permuted(training_cohort("leakage"), 1), ("logistic",), seed=1)
    auc, se = auc_of(result)
    assert auc == pytest.approx(0.5, abs=max(3.5 * se, 0.05))
    assert result.metrics["log_loss"] > result.metrics["log_loss_base"] - 0.002


def test_permuted_refractures_are_not_predicted() -> None:
    (result,) = validate(permuted(training_cohort("refracture"), 2), ("cox",), seed=1)
    auc, se = auc_of(result, "_m12")
    assert auc == pytest.approx(0.5, abs=max(3.5 * se, 0.05))
    assert result.metrics["log_loss_m12"] > result.metrics["log_loss_base_m12"] - 0.002


PATIENTS, VERTEBRAE = 120, 4


def recognisable(by_patient: bool) -> Cohort:
    """Patients with four identical vertebrae each, known by their CT value and volume, who leak by pure chance.

    A model that sees one vertebra of a patient knows the others. ``by_patient`` False says that each row were a patient
    of its own, as a random split would.
    """
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(PATIENTS), VERTEBRAE)
    columns = training_cohort("leakage").matrix.columns
    values = np.zeros((len(who), len(columns)))
    for name in ("ct_value_hu", "planned_volume_ml"):
        values[:, columns.index(name)] = rng.normal(60, 20, PATIENTS)[who]
    leaked = (rng.random(PATIENTS) < 0.45).astype(float)[who]
    routes = ((rng.random((PATIENTS, 4)) < 0.5) * 1.0)[who] * leaked[:, None]
    patient = who if by_patient else np.arange(len(who))
    target = Leakage(leaked, routes, np.full(len(who), 30.0), np.ones(len(who)), patient)
    return Cohort("leakage", Matrix(columns, values, patient), target, {}, "synthetic")


def test_a_patient_who_can_be_recognised_cannot_be_exploited() -> None:
    (honest,) = validate(recognisable(True), ("boosted",), seed=1)
    auc, se = auc_of(honest)
    assert auc == pytest.approx(0.5, abs=max(3.5 * se, 0.1))


def test_and_would_be_by_a_split_that_does_not_know_patients() -> None:
    (leaky,) = validate(recognisable(False), ("boosted",), seed=1)
    assert auc_of(leaky)[0] > 0.75


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_no_patient_stands_on_both_sides_and_events_are_spread(outcome) -> None:
    target = training_cohort(outcome).target
    event = target.event_code > 0 if isinstance(target, Refracture) else target.leaked == 1
    fold = folds_by_patient(target.patient, event, FOLDS, seed=3)
    assert all(len(np.unique(fold[target.patient == who])) == 1 for who in np.unique(target.patient))
    assert np.ptp(np.bincount(fold[event])) <= 0.25 * event.sum() / FOLDS
