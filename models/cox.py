"""Cox models: cause-specific for refracture; for leakage, as a comparator, any leak within a year (Chen 2025)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from features.outcome import CAUSES, LEAK_WINDOW_DAYS, Leakage
from models.calibrated import CalibratedRisk
from models.competing import GRID_DAYS, HazardHead, hazard_recalibration, refit_hazards
from models.design import fit_design
from models.interface import Learner, Table, Target, values_of
from models.linear import PENALTIES, LinearBody
from models.logistic import refuse_too_few
from models.newton import RiskSets, cox_loss, fit_cox
from models.resample import bootstrap_weights, folds_by_patient

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def survival_target(outcome: Target) -> tuple[Outcome, Floats, list[Flags], Floats]:
    """Outcome name, days (n,), for each cause whether follow-up ended in it, and the grid of the baselines."""
    if isinstance(outcome, Leakage):
        return "leakage", outcome.days, [outcome.leaked == 1], np.array([1.0, 2.0, 30.0, float(LEAK_WINDOW_DAYS)])
    events = [outcome.event_code == code for code in range(1, len(CAUSES) + 1)]
    return "refracture", outcome.days, events, np.array(GRID_DAYS, dtype=float)


class CoxRisk(CalibratedRisk):
    """Ridge Cox regression with Efron ties for each cause.

    Penalty, slope and baseline come from out-of-fold predictions.
    """

    learner: Learner = "cox"

    def fit(self, X: Table, outcome: Target) -> CoxRisk:
        """Fit all causes; raises ``TooLittleData`` with fewer than ten events of one."""
        name, days, events, grid = survival_target(outcome)
        self.outcome = name
        values = values_of(X, self.columns)
        design = fit_design(name, values)
        z = design.transform(values)
        fold = folds_by_patient(outcome.patient, np.any(events[:3], axis=0), self.settings.folds, self.settings.seed)
        held_out = [_split(name, values, fold == k) for k in range(self.settings.folds)]
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        for cause, event in enumerate(events):
            refuse_too_few(f"{name} ({CAUSES[cause] if name == 'refracture' else 'any'})", event.sum(), (~event).sum())
        data = _Data(z, days, fold, held_out, weights, grid)
        if name == "leakage":
            causes = [_fit_cause(data, events[0])]
        else:
            common = _tune(data, np.any(events[:3], axis=0))
            causes = [*(_fit_cause(data, event, common) for event in events[:3]), _fit_cause(data, events[3])]
        body = LinearBody(
            design, np.zeros(len(events)), np.array([c.beta for c in causes]), np.array([c.refits for c in causes])
        )
        baselines = np.array([c.baselines for c in causes]).swapaxes(0, 1)
        hazard, slope = np.array([c.hazard for c in causes]), np.array([c.slope for c in causes])
        self.set_fitted(name, body, HazardHead(grid, hazard, slope, baselines, events=min(len(events), 3)))
        return self


def _split(name: Outcome, values: Floats, test: Flags) -> tuple[Floats, Floats]:
    """Terms of the rows inside and outside; the design (knots, scaling, the unknown) is learned inside alone."""
    design = fit_design(name, values[~test])
    return design.transform(values[~test]), design.transform(values[test])


@dataclass(frozen=True, slots=True)
class _Data:
    """What every cause is fitted to: terms ``z`` (n, q), ``held_out`` terms by fold, ``weights`` (refits, n)."""

    z: Floats
    days: Floats
    fold: NDArray[np.intp]
    held_out: list[tuple[Floats, Floats]]
    weights: Floats
    grid: Floats


@dataclass(frozen=True, slots=True)
class _Tuned:
    """A penalty with what it gives: coefficients by fold, out-of-fold ``eta`` (n,), of all rows, and of the refits."""

    by_fold: list[Floats]
    eta: Floats
    beta: Floats
    refits: list[Floats]


@dataclass(frozen=True, slots=True)
class _Cause:
    """One fitted cause: ``refits`` (refits, q + 1) and ``baselines`` (refits, g) belong to the patient resamples."""

    beta: Floats
    slope: float
    hazard: Floats
    refits: Floats
    baselines: Floats


def _fit_cause(data: _Data, event: Flags, common: _Tuned | None = None) -> _Cause:
    """One cause: coefficients on all rows, slope and baseline from out-of-fold linear predictors."""
    tuned = _tune(data, event, common)
    sets = RiskSets.of(data.days, event)
    slope, hazard = hazard_recalibration(tuned.eta, sets, data.grid)
    again = np.array(tuned.refits).reshape(-1, data.z.shape[1])
    baselines = refit_hazards(again @ data.z.T, slope, sets, data.grid, data.weights)
    return _Cause(tuned.beta, slope, hazard, np.column_stack([np.zeros(len(again)), again]), baselines)


def _tune(data: _Data, event: Flags, common: _Tuned | None = None) -> _Tuned:
    """Fit with the penalty that has the smallest out-of-fold partial likelihood loss.

    A cause of refracture is drawn towards the coefficients of any refracture, ``common``, learned from the same rows:
    it departs from them as far as its own few events insist.
    """
    eta = np.empty((len(PENALTIES), len(data.days)))
    loss = np.zeros(len(PENALTIES))
    betas: list[list[Floats]] = [[] for _ in PENALTIES]
    for k, (inside, outside) in enumerate(data.held_out):
        train, test = data.fold != k, data.fold == k
        sets = RiskSets.of(data.days[train], event[train])
        unseen = RiskSets.of(data.days[test], event[test])
        towards = common.by_fold[k] if common else None
        beta = None
        for index, penalty in reversed(list(enumerate(PENALTIES))):
            beta = fit_cox(inside, sets, penalty, start=beta, towards=towards)
            betas[index].append(beta)
            eta[index, test] = outside @ beta
            loss[index] += cox_loss(outside @ beta, unseen) if len(unseen.time) else 0.0
    best = int(np.argmin(loss))
    return _all_rows(data, event, common, PENALTIES[best], betas[best], eta[best])


def _all_rows(
    data: _Data, event: Flags, common: _Tuned | None, penalty: float, by_fold: list[Floats], eta: Floats
) -> _Tuned:
    sets = RiskSets.of(data.days, event)
    beta = fit_cox(data.z, sets, penalty, towards=common.beta if common else None)
    refits = [
        fit_cox(data.z, sets, penalty, row, beta, common.refits[place] if common else None)
        for place, row in enumerate(data.weights)
    ]
    return _Tuned(by_fold, eta, beta, refits)
