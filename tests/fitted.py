"""Small models of every learner, fitted once per test run on simulated patients, and fresh patients to ask about."""

from __future__ import annotations

from functools import cache

from features.build import MOMENT_OF, Matrix, Outcome, build
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.calibrated import CalibratedRisk
from models.interface import Learner
from training.cohort import Cohort, cohort
from training.simulate import Registry, simulate

PATIENTS = 1_200
FRESH = 300
REFITS = 6

CLASSES: dict[Outcome, dict[Learner, type[LogisticRisk] | type[CoxRisk] | type[BoostedRisk]]] = {
    "leakage": {"logistic": LogisticRisk, "cox": CoxRisk, "boosted": BoostedRisk},
    "refracture": {"cox": CoxRisk, "boosted": BoostedRisk},
    "refracture-postop": {"cox": CoxRisk, "boosted": BoostedRisk},
}
#: Every model there is, for parametrised tests.
ALL: tuple[tuple[Outcome, Learner], ...] = tuple((outcome, name) for outcome in CLASSES for name in CLASSES[outcome])


@cache
def registry(patients: int = PATIENTS, seed: int = 11) -> Registry:
    """Simulated patients with missing values, as ``simulate`` writes them."""
    return simulate(patients, seed)


@cache
def training_cohort(outcome: Outcome) -> Cohort:
    """Those of them who can train a model."""
    return cohort(registry().columns, outcome)


@cache
def fresh_matrix(outcome: Outcome) -> Matrix:
    """Patients whom no model has seen, leaks looked for by CT."""
    found = registry(FRESH, 12)
    detection = "CT" if outcome == "leakage" else None
    return build(found.columns, outcome, moment=MOMENT_OF[outcome], detection=detection, patient=found.patient)


@cache
def fitted(outcome: Outcome, learner: Learner) -> CalibratedRisk:
    """One fitted model; shared, so nobody may change it."""
    found = training_cohort(outcome)
    return CLASSES[outcome][learner](Settings(seed=1, refits=REFITS)).fit(found.matrix, found.target)


def fitted_models(outcome: Outcome) -> dict[Learner, CalibratedRisk]:
    """The models of every learner of an outcome."""
    return {learner: fitted(outcome, learner) for learner in CLASSES[outcome]}
