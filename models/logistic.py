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

        Raises ``UsageError`` for refracture, ``TooLittleData`` with fewer than ten events of a part, or without.
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
        fitted = [self._fit_part(z, outcome, part, fold, held_out) for part in range(len(LEAKAGE_PARTS))]
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
        eta = np.full((len(PENALTIES), len(y)), np.nan)
        for k, (inside, outside) in enumerate(held_out):
            train, test = told & (fold != k), fold == k
            beta = None
            for index, penalty in reversed(list(enumerate(PENALTIES))):
                beta = fit_logistic(inside[told[fold != k]], y[train], penalty, start=beta)
                eta[index, test] = beta[0] + outside @ beta[1:]
        loss = np.logaddexp(0.0, eta[:, told]).sum(axis=1) - eta[:, told] @ y[told]
        best = int(np.argmin(loss))
        intercept, slope = recalibration(eta[best, told], y[told])
        return fit_logistic(z[told], y[told], PENALTIES[best]), PENALTIES[best], intercept, slope

    def _refit(self, z: Floats, outcome: Leakage, start: Floats, penalty: float) -> Floats:
        """Any leak refitted on patient resamples, shape (1, refits, q + 1)."""
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        found = [fit_logistic(z, outcome.leaked, penalty, row, start) for row in weights]
        return np.array(found).reshape(1, self.settings.refits, z.shape[1] + 1)


def _split(values: Floats, test: Rows) -> tuple[Floats, Floats]:
    """Terms of the rows inside and outside; the design (knots, scaling, the unknown) is learned inside alone."""
    design: Design = fit_design("leakage", values[~test])
    return design.transform(values[~test]), design.transform(values[test])
