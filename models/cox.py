"""Cox models: cause-specific for refracture; for leakage, as a comparator, any leak within a year (Chen 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from features.outcome import CAUSES, LEAK_WINDOW_DAYS, Leakage
from models.averaging import Candidate, Weighed, candidates
from models.calibrated import CalibratedRisk
from models.competing import GRID_DAYS, HazardHead, hazard_recalibration, refit_hazards
from models.design import Design, fit_design
from models.interface import Learner, Settings, Table, Target, values_of
from models.linear import LinearBody
from models.logistic import refuse_too_few
from models.newton import RiskSets, cox_loss, fit_cox
from models.resample import bootstrap_weights, folds_by_patient

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.intp]


def survival_target(outcome: Target) -> tuple[Outcome, Floats, list[Flags], Floats]:
    """Outcome name, days (n,), for each cause whether follow-up ended in it, and the grid of the baselines."""
    if isinstance(outcome, Leakage):
        return outcome.name, outcome.days, [outcome.leaked == 1], np.array([1.0, 2.0, 30.0, float(LEAK_WINDOW_DAYS)])
    events = [outcome.event_code == code for code in range(1, len(CAUSES) + 1)]
    return outcome.name, outcome.days, events, np.array(GRID_DAYS, dtype=float)


class CoxRisk(CalibratedRisk):
    """Penalised Cox regression with Efron ties for each cause, averaged over penalties and, if asked, over starts from
    published effects; weights, slope and baseline come from out-of-fold predictions.
    """

    learner: Learner = "cox"

    def fit(self, X: Table, outcome: Target) -> CoxRisk:
        """Fit all causes; raises ``TooLittleData`` with fewer than ten events of one."""
        name, days, events, grid = survival_target(outcome)
        self.outcome = name
        values = values_of(X, self.columns)
        fold = folds_by_patient(outcome.patient, np.any(events[:3], axis=0), self.settings.folds, self.settings.seed)
        parts = CAUSES if name != "leakage" else ("any",)
        for part, event in zip(parts, events, strict=True):
            refuse_too_few(f"{name} ({part})", event.sum(), (~event).sum())
        data = _data(name, values, days, fold, outcome.patient, grid, self.settings)
        tuned = _tuned(data, parts, events)
        causes = [_recalibrated(data, part, event) for part, event in zip(tuned, events, strict=True)]
        body = LinearBody(
            data.design, np.zeros(len(events)), np.array([c.beta for c in causes]), np.array([c.refits for c in causes])
        )
        baselines = np.array([c.baselines for c in causes]).swapaxes(0, 1)
        hazard, slope = np.array([c.hazard for c in causes]), np.array([c.slope for c in causes])
        self.set_fitted(name, body, HazardHead(grid, hazard, slope, baselines, events=min(len(events), 3)))
        if self.settings.prior:
            self.prior_weight = {part: one.of_published for part, one in zip(parts, tuned, strict=True)}
        return self


@dataclass(frozen=True, slots=True)
class _Held:
    """One fold left out: its rows ``test``, their terms ``outside``, those of the others ``inside``."""

    design: Design
    test: Flags
    inside: Floats
    outside: Floats


@dataclass(frozen=True, slots=True)
class _Data:
    """What every cause is fitted to: terms ``z`` (n, q), ``held_out`` terms by fold, ``weights`` (refits, n)."""

    outcome: Outcome
    design: Design
    z: Floats
    days: Floats
    held_out: list[_Held]
    weights: Floats
    grid: Floats
    settings: Settings


@dataclass(frozen=True, slots=True)
class _Tuned:
    """Averaged coefficients by fold, out-of-fold ``eta`` (n,), of all rows, and of the refits."""

    by_fold: list[Floats]
    eta: Floats
    beta: Floats
    refits: list[Floats]
    of_published: float


@dataclass(frozen=True, slots=True)
class _Cause:
    """One fitted cause: ``refits`` (refits, q + 1) and ``baselines`` (refits, g) belong to the patient resamples."""

    beta: Floats
    slope: float
    hazard: Floats
    refits: Floats
    baselines: Floats


def _data(
    name: Outcome, values: Floats, days: Floats, fold: Ints, patient: Ints, grid: Floats, settings: Settings
) -> _Data:
    held_out = []
    for k in range(settings.folds):
        test = fold == k
        # The design (knots, scaling, the unknown) is learned from the others alone.
        inside = fit_design(name, values[~test])
        held_out.append(_Held(inside, test, inside.transform(values[~test]), inside.transform(values[test])))
    design = fit_design(name, values)
    weights = bootstrap_weights(patient, settings.refits, settings.seed)
    return _Data(name, design, design.transform(values), days, held_out, weights, grid, settings)


def _tuned(data: _Data, parts: Sequence[str], events: list[Flags]) -> list[_Tuned]:
    """Each part; a cause of refracture is drawn towards the coefficients of any refracture, learned from the same
    rows: it departs from them as far as its own few events insist. Death has nothing in common with it.
    """
    if data.outcome == "leakage":
        return [_tune(data, "any", events[0], stream=0)]
    common = _tune(data, "any", np.any(events[:3], axis=0), stream=0)
    causes = [
        _tune(data, part, event, stream, common)
        for stream, (part, event) in enumerate(zip(parts[:3], events[:3], strict=True), start=1)
    ]
    return [*causes, _tune(data, parts[3], events[3], stream=4)]


def _recalibrated(data: _Data, tuned: _Tuned, event: Flags) -> _Cause:
    """One cause: coefficients on all rows, slope and baseline from out-of-fold linear predictors."""
    sets = RiskSets.of(data.days, event)
    slope, hazard = hazard_recalibration(tuned.eta, sets, data.grid)
    again = np.array(tuned.refits).reshape(-1, data.z.shape[1])
    baselines = refit_hazards(again @ data.z.T, slope, sets, data.grid, data.weights)
    return _Cause(tuned.beta, slope, hazard, np.column_stack([np.zeros(len(again)), again]), baselines)


def _tune(data: _Data, part: str, event: Flags, stream: int, common: _Tuned | None = None) -> _Tuned:
    """One part averaged over its candidates, which weigh by their out-of-fold partial likelihood."""

    def tried(design: Design, towards: Floats | None) -> list[Candidate]:
        found = candidates(data.settings.prior, data.outcome, part, design, "any" if common else "")
        return found if towards is None else [candidate.moved(towards) for candidate in found]

    betas, loss = [], np.zeros(0)
    for k, held in enumerate(data.held_out):
        sets = RiskSets.of(data.days[~held.test], event[~held.test])
        unseen = RiskSets.of(data.days[held.test], event[held.test])
        betas.append(_fit_each(tried(held.design, common.by_fold[k] if common else None), held.inside, sets))
        found = [cox_loss(eta, unseen) if len(unseen.time) else 0.0 for eta in betas[-1] @ held.outside.T]
        loss = np.array(found) if k == 0 else loss + found
    weighed = Weighed.by_loss(loss)
    by_fold = [weighed.weight @ found for found in betas]
    eta = np.empty(len(data.days))
    for held, beta in zip(data.held_out, by_fold, strict=True):
        eta[held.test] = held.outside @ beta
    sets, all_tried = RiskSets.of(data.days, event), tried(data.design, None)
    at = [all_tried[place].moved(common.beta if common else 0.0 * data.z[0]) for place in weighed.kept]
    beta = weighed.weight[weighed.kept] @ _fit_each(at, data.z, sets)
    drawn = weighed.drawn(all_tried, len(data.weights), [data.settings.seed, 11, stream])
    if common:
        drawn = [candidate.moved(centre) for candidate, centre in zip(drawn, common.refits, strict=True)]
    refits = [
        fit_cox(data.z, sets, candidate.penalty, row, beta, candidate.centre)
        for row, candidate in zip(data.weights, drawn, strict=True)
    ]
    return _Tuned(by_fold, eta, beta, refits, weighed.of_published(all_tried))


def _fit_each(tried: list[Candidate], z: Floats, sets: RiskSets) -> Floats:
    """Coefficients (candidates, q) of every candidate, each starting from the one before."""
    found: list[Floats] = []
    for candidate in tried:
        found.append(fit_cox(z, sets, candidate.penalty, None, found[-1] if found else None, candidate.centre))
    return np.array(found)
