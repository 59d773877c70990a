"""Cox models: cause-specific for refracture, and for leakage as Chen 2025 used one (any leak within a year; a
comparator).
"""

from __future__ import annotations

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
    """Ridge Cox regression with Efron ties for each cause; penalty, slope and baseline come from out-of-fold
    predictions.
    """

    learner: Learner = "cox"

    def fit(self, X: Table, outcome: Target) -> CoxRisk:
        """Fit all causes. Rows of leakage without a known time are left out; raises ``TooLittleData``."""
        name, days, _, _ = survival_target(outcome)
        self.outcome = name
        timed = ~np.isnan(days)
        values, outcome = values_of(X, self.columns)[timed], outcome.take(timed)
        _, days, events, grid = survival_target(outcome)
        design = fit_design(name, values)
        z = design.transform(values)
        fold = folds_by_patient(outcome.patient, np.any(events[:3], axis=0), self.settings.folds, self.settings.seed)
        held_out = []
        for k in range(self.settings.folds):
            inside = fit_design(name, values[fold != k])
            held_out.append((inside.transform(values[fold != k]), inside.transform(values[fold == k])))
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        betas, slopes, hazards, refits, refit_baselines = [], [], [], [], []
        for cause, event in enumerate(events):
            refuse_too_few(f"{name} ({CAUSES[cause] if name == 'refracture' else 'any'})", event.sum(), (~event).sum())
            penalty, eta = _tune(days, event, fold, held_out)
            sets = RiskSets.of(days, event)
            slope, hazard = hazard_recalibration(eta, sets, grid)
            beta = fit_cox(z, sets, penalty)
            again = np.array([fit_cox(z, sets, penalty, row, beta) for row in weights]).reshape(-1, z.shape[1])
            betas.append(beta)
            slopes.append(slope)
            hazards.append(hazard)
            refits.append(np.column_stack([np.zeros(len(again)), again]))
            refit_baselines.append(refit_hazards(again @ z.T, slope, sets, grid, weights))
        body = LinearBody(design, np.zeros(len(events)), np.array(betas), np.array(refits))
        baselines = np.array(refit_baselines).swapaxes(0, 1)
        head = HazardHead(grid, np.array(hazards), np.array(slopes), baselines, events=min(len(events), 3))
        self.set_fitted(name, body, head)
        return self


def _tune(
    days: Floats, event: Flags, fold: NDArray[np.intp], held_out: list[tuple[Floats, Floats]]
) -> tuple[float, Floats]:
    """The penalty with the smallest out-of-fold partial likelihood loss, and its out-of-fold linear predictors (n,)."""
    eta = np.empty((len(PENALTIES), len(days)))
    loss = np.zeros(len(PENALTIES))
    for k, (inside, outside) in enumerate(held_out):
        train, test = fold != k, fold == k
        sets, unseen = RiskSets.of(days[train], event[train]), RiskSets.of(days[test], event[test])
        beta = None
        for index, penalty in reversed(list(enumerate(PENALTIES))):
            beta = fit_cox(inside, sets, penalty, start=beta)
            eta[index, test] = outside @ beta
            loss[index] += cox_loss(outside @ beta, unseen) if len(unseen.time) else 0.0
    best = int(np.argmin(loss))
    return PENALTIES[best], eta[best]
