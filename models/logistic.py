"""Penalised logistic regression of leakage: any leak, and the four routes beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData, UsageError
from features.outcome import Leakage
from models.calibrate import BinaryHead, recalibration
from models.calibrated import LEAKAGE_PARTS, CalibratedRisk
from models.design import Design, fit_design
from models.interface import Learner, Table, Target, values_of
from models.linear import PENALTIES, LinearBody
from models.newton import fit_logistic
from models.resample import bootstrap_weights, folds_by_patient

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

FEWEST_EVENTS = 10


def leakage_target(outcome: Leakage, part: int) -> tuple[Floats, Rows]:
    """What a part predicts (n,), and the rows that tell it: all for any leak, those with a told route for a route."""
    if part == 0:
        return outcome.leaked, np.ones(len(outcome), dtype=bool)
    y = outcome.routes[:, part - 1]
    told = ~np.isnan(y)
    return np.where(told, y, 0.0), told


def leakage_weights(outcome: Leakage, part: int) -> Floats:
    """Weight of each row (n,) for a part: a leak with a told route also stands for those whose route was not told.

    Without it the route models would see every vertebra without a leak and only some of those with one.
    """
    weights = np.ones(len(outcome))
    if part:
        told = (outcome.leaked == 1) & ~np.isnan(outcome.routes[:, part - 1])
        weights[told] = outcome.leaked.sum() / max(told.sum(), 1)
    return weights


def leakage_parts(outcome: Leakage) -> int:
    """How many parts can be fitted: any leak and all four routes, or any leak alone where a route has too few leaks.

    Routes come all or none: their sum must reach any leak. A registry that tells no routes trains any leak only.
    """
    told = ~np.isnan(outcome.routes)
    leaks = np.where(told, outcome.routes, 0.0).sum(axis=0)
    return len(LEAKAGE_PARTS) if min(leaks.min(), (told.sum(axis=0) - leaks).min()) >= FEWEST_EVENTS else 1


def refuse_too_few(what: str, events: float, others: float) -> None:
    """Raise ``TooLittleData`` if a part has too few events, or too few without, to be fitted at all."""
    if min(events, others) < FEWEST_EVENTS:
        raise TooLittleData(
            f"{what}: {int(events)} events and {int(others)} without; at least {FEWEST_EVENTS} of each are needed"
        )


class LogisticRisk(CalibratedRisk):
    """Ridge logistic regression on splines; penalty and recalibration come from out-of-fold predictions."""

    learner: Learner = "logistic"

    def fit(self, X: Table, outcome: Target) -> LogisticRisk:
        """Fit all parts.

        Raises ``UsageError`` for refracture, ``TooLittleData`` with fewer than ten rows with a leak, or without.
        """
        if not isinstance(outcome, Leakage):
            raise UsageError(
                "logistic exists for leakage only: refracture has times and a competing event, use cox or boosted"
            )
        self.outcome = "leakage"
        values = values_of(X, self.columns)
        design = fit_design("leakage", values)
        z = design.transform(values)
        fold = folds_by_patient(outcome.patient, outcome.leaked == 1, self.settings.folds, self.settings.seed)
        held_out = [_split(values, fold == k) for k in range(self.settings.folds)]
        fitted = [self._fit_part(z, outcome, part, fold, held_out) for part in range(leakage_parts(outcome))]
        coefficients = np.array([beta for beta, _, _, _ in fitted])
        refits = self._refit(z, outcome, coefficients[0], fitted[0][1])
        body = LinearBody(design, coefficients[:, 0], coefficients[:, 1:], refits)
        head = BinaryHead(np.array([a for _, _, a, _ in fitted]), np.array([b for _, _, _, b in fitted]))
        self.set_fitted("leakage", body, head)
        return self

    def _fit_part(
        self, z: Floats, outcome: Leakage, part: int, fold: NDArray[np.intp], held_out: list[tuple[Floats, Floats]]
    ) -> tuple[Floats, float, float, float]:
        """Coefficients, penalty, and intercept and slope of the recalibration of one part."""
        y, told = leakage_target(outcome, part)
        refuse_too_few(f"leakage ({LEAKAGE_PARTS[part]})", y[told].sum(), (1 - y[told]).sum())
        weights = leakage_weights(outcome, part)
        eta = np.full((len(PENALTIES), len(y)), np.nan)
        for k, (inside, outside) in enumerate(held_out):
            train, test = told & (fold != k), fold == k
            beta = None
            for index, penalty in reversed(list(enumerate(PENALTIES))):
                beta = fit_logistic(inside[told[fold != k]], y[train], penalty, weights[train], beta)
                eta[index, test] = beta[0] + outside @ beta[1:]
        loss = np.logaddexp(0.0, eta[:, told]) @ weights[told] - eta[:, told] @ (weights * y)[told]
        best = int(np.argmin(loss))
        intercept, slope = recalibration(eta[best, told], y[told], weights[told])
        return fit_logistic(z[told], y[told], PENALTIES[best], weights[told]), PENALTIES[best], intercept, slope

    def _refit(self, z: Floats, outcome: Leakage, start: Floats, penalty: float) -> Floats:
        """Any leak refitted on patient resamples, shape (1, refits, q + 1)."""
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        found = [fit_logistic(z, outcome.leaked, penalty, row, start) for row in weights]
        return np.array(found).reshape(1, self.settings.refits, z.shape[1] + 1)


def _split(values: Floats, test: Rows) -> tuple[Floats, Floats]:
    """Terms of the rows inside and outside; the design (knots, scaling, the unknown) is learned inside alone."""
    design: Design = fit_design("leakage", values[~test])
    return design.transform(values[~test]), design.transform(values[test])
