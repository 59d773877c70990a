"""Gradient-boosted trees (xgboost), small enough for a registry: at most three splits deep, many slow rounds.

Depth and number of rounds of each part are chosen by out-of-fold loss, folds by patient (models/boosting.py). The same
out-of-fold margins recalibrate. Monotone constraints stand only where the evidence points one way for every route.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome, on_grid
from features.outcome import CAUSES, Leakage, Refracture
from models.boosting import Boosted, Part, boost
from models.calibrate import BinaryHead, recalibration
from models.calibrated import LEAKAGE_PARTS, CalibratedRisk
from models.competing import HazardHead, hazard_recalibration, refit_hazards
from models.cox import survival_target
from models.interface import Learner, Settings, Table, Target, values_of
from models.logistic import leakage_parts, leakage_target, leakage_weights, refuse_too_few
from models.newton import RiskSets
from models.resample import bootstrap_weights, folds_by_patient
from models.trees import TreeBody, trees_file

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

BOOSTED_REFITS = 24

#: Directions on which trials and meta-analyses agree (Zhan 2017; the viscosity trials; zoledronate after PKP). The
#: cleft is left free: it raises the cortical routes and lowers the venous ones (Tang 2021). So are CT value and
#: T-score for leakage, on which cohorts conflict.
_REFRACTURE = {"ct_value_hu": -1, "steroid_use": 1, "prior_vertebral_fracture": 1, "anti_osteoporosis_planned": -1}
MONOTONE: dict[Outcome, dict[str, int]] = {
    "leakage": {"detection": 1, "viscosity": -1, "cortical_disruption": 1, "planned_volume_ml": 1, "procedure_pkp": -1},
    "refracture": _REFRACTURE,
    "refracture-postop": _REFRACTURE,  # what the operation showed is left free: it rests on few cohorts
}


class BoostedRisk(CalibratedRisk):
    """Gradient-boosted trees for any leak and its routes, or for the four causes of refracture."""

    learner: Learner = "boosted"

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(refits=BOOSTED_REFITS))
        self.trees: bytes = b""

    def fit(self, X: Table, outcome: Target) -> BoostedRisk:
        """Fit all parts; raises ``TooLittleData`` with fewer than ten events of any leak, or of a cause."""
        self.outcome = outcome.name
        # A split stands at a value of the data: on the grid it is nobody's own, and it parts other values alike.
        values = on_grid(self.outcome, values_of(X, self.columns))
        parts = _parts(outcome, self.columns)
        fold = folds_by_patient(outcome.patient, _any_event(outcome), self.settings.folds, self.settings.seed)
        weights = bootstrap_weights(outcome.patient, self.settings.refits, self.settings.seed)
        fitted = _boosted(values, outcome, parts, fold, self.settings.seed, weights)
        explained = 1 if isinstance(outcome, Leakage) else len(parts)
        mains = [bytes(part.whole.save_raw("ubj")) for part in fitted]
        refits = [bytes(refit.save_raw("ubj")) for part in fitted[:explained] for refit in part.refits]
        self.trees = trees_file(mains, refits)
        body = TreeBody.read(self.trees, len(parts), explained, len(self.columns))
        oof = np.column_stack([part.margins for part in fitted])
        self.set_fitted(self.outcome, body, _head(outcome, parts, oof, body, values, weights))
        return self


def _boosted(
    values: Floats, outcome: Target, parts: list[Part], fold: NDArray[np.intp], seed: int, weights: Floats
) -> list[Boosted]:
    """All parts fitted; of leakage only any leak has refits, of refracture every cause."""
    none = weights[:0]
    if isinstance(outcome, Leakage):
        return [boost(values, part, fold, seed, none if place else weights) for place, part in enumerate(parts)]
    event = _any_event(outcome)
    common = replace(parts[0], name="any", label=np.where(event, outcome.days, -outcome.days))
    start = boost(values, common, fold, seed, weights)
    causes = [boost(values, part, fold, seed, weights, start) for part in parts[:-1]]
    return [*causes, boost(values, parts[-1], fold, seed, weights)]


def _any_event(outcome: Target) -> Rows:
    if isinstance(outcome, Leakage):
        return np.asarray(outcome.leaked == 1)
    return np.asarray((outcome.event_code > 0) & (outcome.event_code < len(CAUSES)))


def _parts(outcome: Target, columns: tuple[str, ...]) -> list[Part]:
    monotone = tuple(MONOTONE[outcome.name].get(column, 0) for column in columns)
    if isinstance(outcome, Leakage):
        known = np.array([column == "detection" for column in columns])
        return [_leakage_part(outcome, index, monotone, known) for index in range(leakage_parts(outcome))]
    free = (0,) * len(columns)
    return [_cause_part(outcome, cause, monotone if cause != "death" else free) for cause in CAUSES]


def _leakage_part(outcome: Leakage, index: int, monotone: tuple[int, ...], known: Rows) -> Part:
    y, told = leakage_target(outcome, index)
    refuse_too_few(f"leakage ({LEAKAGE_PARTS[index]})", y[told].sum(), (1 - y[told]).sum())
    weight = leakage_weights(outcome, index)
    rate = float(np.average(y[told], weights=weight[told]))
    return Part(LEAKAGE_PARTS[index], y, told, "binary:logistic", rate, monotone, weight, known)


def _cause_part(outcome: Refracture, cause: str, monotone: tuple[int, ...]) -> Part:
    event = outcome.event_code == CAUSES.index(cause) + 1
    refuse_too_few(f"{outcome.name} ({cause})", event.sum(), (~event).sum())
    # xgboost's Cox objective wants the time, negative where follow-up ended otherwise.
    label = np.where(event, outcome.days, -outcome.days)
    return Part(
        cause,
        label,
        np.ones(len(outcome), dtype=bool),
        "survival:cox",
        0.5,
        monotone,
        np.ones(len(outcome)),
        np.zeros(len(monotone), dtype=bool),
    )


def _head(
    outcome: Target, parts: list[Part], oof: Floats, body: TreeBody, values: Floats, weights: Floats
) -> BinaryHead | HazardHead:
    if isinstance(outcome, Leakage):
        pairs = [recalibration(oof[p.told, k], p.label[p.told], p.weight[p.told]) for k, p in enumerate(parts)]
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
