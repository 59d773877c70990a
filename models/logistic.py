"""Penalised logistic regression of leakage: any leak, and the four routes beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData, UsageError
from features.outcome import Leakage
from models.averaging import Candidate, Weighed, candidates
from models.calibrate import BinaryHead, recalibration
from models.calibrated import LEAKAGE_PARTS, CalibratedRisk
from models.design import Design, fit_design
from models.interface import Learner, Table, Target, values_of
from models.linear import LinearBody
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


@dataclass(frozen=True, slots=True)
class _Held:
    """One fold left out: its terms ``outside``, those of the others ``inside``, from a design learned from these."""

    design: Design
    inside: Floats
    outside: Floats


@dataclass(frozen=True, slots=True)
class _Part:
    """A fitted part: coefficients (q + 1,), recalibration, and the candidates that it was averaged over."""

    beta: Floats
    intercept: float
    slope: float
    tried: list[Candidate]
    weighed: Weighed


class LogisticRisk(CalibratedRisk):
    """Penalised logistic regression on splines, averaged over penalties and, if asked, over starts from published
    effects; weights and recalibration come from out-of-fold predictions.
    """

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
        parts = [self._fit_part(design, z, outcome, part, fold, held_out) for part in range(leakage_parts(outcome))]
        coefficients = np.array([part.beta for part in parts])
        body = LinearBody(design, coefficients[:, 0], coefficients[:, 1:], self._refit(z, outcome, parts[0]))
        head = BinaryHead(np.array([part.intercept for part in parts]), np.array([part.slope for part in parts]))
        self.set_fitted("leakage", body, head)
        if self.settings.prior:
            self.prior_weight = {
                name: part.weighed.of_published(part.tried) for name, part in zip(LEAKAGE_PARTS, parts, strict=False)
            }
        return self

    def _fit_part(
        self, design: Design, z: Floats, outcome: Leakage, part: int, fold: NDArray[np.intp], held_out: list[_Held]
    ) -> _Part:
        name = LEAKAGE_PARTS[part]
        y, told = leakage_target(outcome, part)
        refuse_too_few(f"leakage ({name})", y[told].sum(), (1 - y[told]).sum())
        weights = leakage_weights(outcome, part)
        eta = []
        for k, held in enumerate(held_out):
            train, test = told & (fold != k), fold == k
            tried = candidates(self.settings.prior, "leakage", name, held.design)
            betas = _fit_each(tried, held.inside[told[fold != k]], y[train], weights[train])
            eta.append((test, betas[:, :1] + betas[:, 1:] @ held.outside.T))
        margins = np.empty((len(tried), len(y)))
        for test, found in eta:
            margins[:, test] = found
        loss = np.logaddexp(0.0, margins[:, told]) @ weights[told] - margins[:, told] @ (weights * y)[told]
        weighed = self.weigh(loss)
        intercept, slope = recalibration(weighed.weight @ margins[:, told], y[told], weights[told])
        tried = candidates(self.settings.prior, "leakage", name, design)
        kept = _fit_each([tried[place] for place in weighed.kept], z[told], y[told], weights[told])
        return _Part(weighed.weight[weighed.kept] @ kept, intercept, slope, tried, weighed)

    def weigh(self, loss: Floats) -> Weighed:
        """How candidates are weighed by their out-of-fold loss (candidates,); benchmarks compare other ways."""
        return Weighed.by_loss(loss)

    def _refit(self, z: Floats, outcome: Leakage, any_leak: _Part) -> Floats:
        """Any leak refitted on patient resamples, shape (1, refits, q + 1)."""
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        drawn = any_leak.weighed.drawn(any_leak.tried, len(weights), [self.settings.seed, 11])
        found = [
            fit_logistic(z, outcome.leaked, candidate.penalty, row, any_leak.beta, candidate.centre)
            for row, candidate in zip(weights, drawn, strict=True)
        ]
        return np.array(found).reshape(1, self.settings.refits, z.shape[1] + 1)


def _fit_each(tried: list[Candidate], z: Floats, y: Floats, weights: Floats) -> Floats:
    """Coefficients (candidates, q + 1) of every candidate, each starting from the one before."""
    found: list[Floats] = []
    for candidate in tried:
        found.append(fit_logistic(z, y, candidate.penalty, weights, found[-1] if found else None, candidate.centre))
    return np.array(found)


def _split(values: Floats, test: Rows) -> _Held:
    design = fit_design("leakage", values[~test])
    return _Held(design, design.transform(values[~test]), design.transform(values[test]))
