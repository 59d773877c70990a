"""Gradient-boosted trees (xgboost), small enough for a registry: at most three splits deep, many slow rounds.

Depth and number of rounds of each part are chosen by out-of-fold loss, folds by patient. The same out-of-fold margins
recalibrate. Monotone constraints stand only where the evidence points one way for every route.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from features.outcome import CAUSES, Leakage, Refracture
from models.calibrate import BinaryHead, recalibration
from models.calibrated import LEAKAGE_PARTS, CalibratedRisk
from models.competing import HazardHead, hazard_recalibration, refit_hazards
from models.cox import survival_target
from models.interface import Learner, Settings, Table, Target, values_of
from models.logistic import leakage_target, refuse_too_few
from models.newton import RiskSets, cox_loss
from models.resample import bootstrap_weights, folds_by_patient
from models.trees import MAX_DEPTH, TreeBody

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

DEPTHS = (1, 2, MAX_DEPTH)
ROUNDS = tuple(range(20, 301, 20))
BOOSTED_REFITS = 24

#: Directions on which trials and meta-analyses agree (Zhan 2017; the viscosity trials; zoledronate after PKP). The
#: cleft is left free: it raises the cortical routes and lowers the venous ones (Tang 2021). So are CT value and
#: T-score for leakage, on which cohorts conflict.
MONOTONE: dict[Outcome, dict[str, int]] = {
    "leakage": {"detection": 1, "viscosity": -1, "cortical_disruption": 1, "planned_volume_ml": 1, "procedure_pkp": -1},
    "refracture": {"ct_value_hu": -1, "steroid_use": 1, "prior_vertebral_fracture": 1, "anti_osteoporosis_planned": -1},
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One thing to predict: label in xgboost's form, the rows that tell it, and how its margins are judged."""

    name: str
    label: Floats
    told: Rows
    objective: str
    base: float
    monotone: tuple[int, ...]

    def loss(self, margins: Floats, rows: Rows) -> float:
        """Out-of-fold loss of margins (n,) on the rows that are told among those given."""
        use = rows & self.told
        if self.objective == "binary:logistic":
            return float((np.logaddexp(0.0, margins[use]) - self.label[use] * margins[use]).sum())
        sets = RiskSets.of(np.abs(self.label[use]), self.label[use] > 0)
        return cox_loss(margins[use], sets) if len(sets.time) else 0.0


class BoostedRisk(CalibratedRisk):
    """Gradient-boosted trees for any leak and its routes, or for the four causes of refracture."""

    learner: Learner = "boosted"

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(refits=BOOSTED_REFITS))
        self.trees: bytes = b""

    def fit(self, X: Table, outcome: Target) -> BoostedRisk:
        """Fit all parts; raises ``TooLittleData`` with fewer than ten events of one."""
        self.outcome = "leakage" if isinstance(outcome, Leakage) else "refracture"
        values = values_of(X, self.columns)
        parts = _parts(outcome, self.columns)
        fold = folds_by_patient(outcome.patient, _any_event(outcome), self.settings.folds, self.settings.seed)
        tuned = [_tune(values, part, fold, self.settings) for part in parts]
        boosters = [
            _train(values, part, depth, rounds, self.settings.seed)
            for part, (depth, rounds, _) in zip(parts, tuned, strict=True)
        ]
        explained = 1 if isinstance(outcome, Leakage) else len(parts)
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        refits = [
            _train(values, part, depth, rounds, self.settings.seed, row)
            for part, (depth, rounds, _) in zip(parts[:explained], tuned, strict=False)
            for row in weights
        ]
        self.trees = b"".join(bytes(booster.save_raw("ubj")) for booster in [*boosters, *refits])
        body = TreeBody.read(self.trees, len(parts), explained, len(self.columns))
        oof = np.column_stack([eta for _, _, eta in tuned])
        self.set_fitted(self.outcome, body, _head(outcome, parts, oof, body, values, weights))
        return self


def _any_event(outcome: Target) -> Rows:
    if isinstance(outcome, Leakage):
        return outcome.leaked == 1
    return (outcome.event_code > 0) & (outcome.event_code < len(CAUSES))


def _parts(outcome: Target, columns: tuple[str, ...]) -> list[_Part]:
    name: Outcome = "leakage" if isinstance(outcome, Leakage) else "refracture"
    monotone = tuple(MONOTONE[name].get(column, 0) for column in columns)
    if isinstance(outcome, Leakage):
        return [_leakage_part(outcome, index, monotone) for index in range(len(LEAKAGE_PARTS))]
    return [_cause_part(outcome, cause, monotone if cause != "death" else (0,) * len(columns)) for cause in CAUSES]


def _leakage_part(outcome: Leakage, index: int, monotone: tuple[int, ...]) -> _Part:
    y, told = leakage_target(outcome, index)
    refuse_too_few(f"leakage ({LEAKAGE_PARTS[index]})", y[told].sum(), (1 - y[told]).sum())
    return _Part(LEAKAGE_PARTS[index], y, told, "binary:logistic", float(y[told].mean()), monotone)


def _cause_part(outcome: Refracture, cause: str, monotone: tuple[int, ...]) -> _Part:
    event = outcome.event_code == CAUSES.index(cause) + 1
    refuse_too_few(f"refracture ({cause})", event.sum(), (~event).sum())
    # xgboost's Cox objective wants the time, negative where follow-up ended otherwise.
    label = np.where(event, outcome.days, -outcome.days)
    return _Part(cause, label, np.ones(len(outcome), dtype=bool), "survival:cox", 0.5, monotone)


def _train(values: Floats, part: _Part, depth: int, rounds: int, seed: int, weights: Floats | None = None) -> Any:
    """A booster on the rows that tell the part; a weight of 0 leaves a row out."""
    import xgboost

    use = part.told if weights is None else part.told & (weights > 0)
    weight = None if weights is None else weights[use]
    data = xgboost.DMatrix(values[use], part.label[use], weight=weight)
    parameters = {
        "objective": part.objective,
        "base_score": part.base,
        "max_depth": depth,
        "eta": 0.05,
        "min_child_weight": 5.0 if part.objective == "binary:logistic" else 3.0,
        "lambda": 5.0,
        "subsample": 0.7,
        "colsample_bynode": 0.7,
        "tree_method": "hist",
        "max_bin": 64,
        "monotone_constraints": str(part.monotone),
        "nthread": 1,
        "seed": seed,
    }
    return xgboost.train(parameters, data, rounds)


def _tune(values: Floats, part: _Part, fold: NDArray[np.intp], settings: Settings) -> tuple[int, int, Floats]:
    """Depth, rounds and out-of-fold margins (n,) of the choice with the smallest out-of-fold loss."""
    import xgboost

    margins = np.empty((len(DEPTHS), len(ROUNDS), len(values)))
    loss = np.zeros(margins.shape[:2])
    for k in range(settings.folds):
        test = fold == k
        unseen = xgboost.DMatrix(values[test])
        for i, depth in enumerate(DEPTHS):
            booster = _train(values, part, depth, ROUNDS[-1], settings.seed, (~test).astype(float))
            for j, rounds in enumerate(ROUNDS):
                margins[i, j, test] = booster.predict(unseen, output_margin=True, iteration_range=(0, rounds))
                loss[i, j] += part.loss(margins[i, j], test)
    i, j = (int(index) for index in np.unravel_index(np.argmin(loss), loss.shape))
    return DEPTHS[i], ROUNDS[j], margins[i, j]


def _head(
    outcome: Target, parts: list[_Part], oof: Floats, body: TreeBody, values: Floats, weights: Floats
) -> BinaryHead | HazardHead:
    if isinstance(outcome, Leakage):
        pairs = [recalibration(oof[p.told, k], p.label[p.told]) for k, p in enumerate(parts)]
        return BinaryHead(np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))
    _, days, events, grid = survival_target(outcome)
    margins = body.margins(values).refits
    slopes, hazards, baselines = [], [], []
    for k, event in enumerate(events):
        sets = RiskSets.of(days, event)
        slope, hazard = hazard_recalibration(oof[:, k], sets, grid)
        slopes.append(slope)
        hazards.append(hazard)
        baselines.append(refit_hazards(margins[:, k].T, slope, sets, grid, weights))
    return HazardHead(grid, np.array(hazards), np.array(slopes), np.array(baselines).swapaxes(0, 1), events=3)
