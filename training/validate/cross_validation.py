"""Cross-validation by patient: everything that is learned, tuning and recalibration included, is learned again in each
fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import CAUSES, HORIZON_DAYS, ROUTES, Leakage, Refracture
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.boosted import BOOSTED_REFITS
from models.calibrated import CalibratedRisk
from models.interface import Learner
from models.prior import Prior
from models.resample import folds_by_patient
from training import metrics
from training.cohort import Cohort
from training.engine import Engine, run

Floats = NDArray[np.float64]

FOLDS = 5
CLASSES: dict[Learner, type[CalibratedRisk]] = {"logistic": LogisticRisk, "cox": CoxRisk, "boosted": BoostedRisk}
LEARNERS: dict[str, tuple[Learner, ...]] = {
    "leakage": ("logistic", "cox", "boosted"),
    "refracture": ("cox", "boosted"),
}
HORIZONS = tuple(HORIZON_DAYS.values())


@dataclass(frozen=True, slots=True)
class Validated:
    """A learner fitted to the whole cohort, with what it predicted for each patient before it had seen him.

    ``risk``: leakage (n,), refracture (n, horizons) of any; ``detail``: routes (n, 4) or incidences (n, 4, horizons),
    None for a Cox model of leakage. ``base``: the base rate of the same training folds, of the shape of ``risk``.
    """

    learner: Learner
    model: CalibratedRisk
    risk: Floats
    detail: Floats | None
    base: Floats
    metrics: dict[str, float]


def validate(
    cohort: Cohort,
    learners: tuple[Learner, ...],
    seed: int,
    engine: Engine = "local",
    progress: Callable[[int, int], None] = lambda done, total: None,
    prior: Prior | None = None,
) -> list[Validated]:
    """Fit and cross-validate the learners; ``progress`` is told how many of how many fits are done.

    ``prior``: published effects that every fit, of all rows and of each fold, starts from.
    """
    settings = Settings(seed=seed, prior=prior)
    fold = folds_by_patient(cohort.patient, _event(cohort), FOLDS, seed)
    jobs = [(learner, k) for learner in learners for k in [-1, *range(FOLDS)]]
    # The longest fits first: the others fill the gaps between them.
    jobs.sort(key=lambda job: (job[0] != "boosted", job[1]))
    found: dict[tuple[Learner, int], Any] = {}
    progress(0, len(jobs))
    for place, result in run([(_fit, (cohort, learner, k, fold, settings)) for learner, k in jobs], engine):
        found[jobs[place]] = result
        progress(len(found), len(jobs))
    base = base_rates(cohort, fold)
    return [_gather(cohort, learner, found, fold, base) for learner in learners]


def _fit(cohort: Cohort, learner: Learner, k: int, fold: NDArray[np.intp], settings: Settings) -> Any:
    """The model on the whole cohort (k = -1), or what a model without fold k predicts for that fold."""
    if k < 0:
        model = CLASSES[learner](replace(settings, refits=BOOSTED_REFITS) if learner == "boosted" else settings)
        return model.fit(cohort.matrix, cohort.target)  # type: ignore[attr-defined]
    model = CLASSES[learner](replace(settings, refits=0))
    try:
        model.fit(cohort.matrix.take(fold != k), cohort.target.take(fold != k))  # type: ignore[attr-defined]
    except TooLittleData as error:
        raise TooLittleData(f"{error} (in four fifths of the data, as cross-validation needs it)") from error
    return _predict(model, cohort, fold == k)


def _predict(model: CalibratedRisk, cohort: Cohort, rows: NDArray[np.bool_]) -> tuple[Floats, Floats | None]:
    margins = model.margins(cohort.matrix.take(rows), with_refits=False)
    if isinstance(cohort.target, Leakage):
        return model.risk_of(margins), model.routes_of(margins) if model.has_routes else None
    risk = np.column_stack([model.risk_of(margins, days) for days in HORIZONS])
    return risk, model.incidence_of(margins, HORIZONS)


def _gather(
    cohort: Cohort, learner: Learner, found: dict[tuple[Learner, int], Any], fold: NDArray[np.intp], base: Floats
) -> Validated:
    risk = np.empty_like(base)
    pieces = [found[learner, k] for k in range(FOLDS)]
    # A fold may lack the leaks to tell routes although the whole cohort just has them: then none are judged.
    told = all(more is not None for _, more in pieces)
    detail = np.empty((len(fold), *pieces[0][1].shape[1:])) if told else None
    for k, (one, more) in enumerate(pieces):
        risk[fold == k] = one
        if detail is not None:
            detail[fold == k] = more
    measured = measure(cohort.target, risk, detail, base)
    return Validated(learner, found[learner, -1], risk, detail, base, measured)


def _event(cohort: Cohort) -> NDArray[np.bool_]:
    if isinstance(cohort.target, Leakage):
        return np.asarray(cohort.target.leaked == 1)
    return np.asarray((cohort.target.event_code > 0) & (cohort.target.event_code < len(CAUSES)))


def base_rates(cohort: Cohort, fold: NDArray[np.intp]) -> Floats:
    """What one would say who only knew the training folds: leaks by detection, refractures by Aalen-Johansen."""
    target = cohort.target
    if isinstance(target, Leakage):
        return _leak_rates(target, fold)
    base = np.empty((len(fold), len(HORIZONS)))
    for k in range(FOLDS):
        seen = fold != k
        reached = [days for days in HORIZONS if days <= target.days[seen].max()]
        curve = metrics.aalen_johansen(any_code(target)[seen], target.days[seen], reached)
        base[fold == k] = np.r_[curve.value, np.full(len(HORIZONS) - len(reached), np.nan)]
    return base


def _leak_rates(target: Leakage, fold: NDArray[np.intp]) -> Floats:
    base = np.empty(len(fold))
    for k in range(FOLDS):
        for detection in (0.0, 1.0):
            same = target.detection == detection
            seen = (fold != k) & same
            base[(fold == k) & same] = target.leaked[seen if seen.any() else fold != k].mean()
    return base


def any_code(target: Refracture) -> NDArray[np.intp]:
    """Event codes of any refracture: 1 refracture, 2 death, 0 censored."""
    return np.where(target.event_code == len(CAUSES), 2, (target.event_code > 0).astype(np.intp))


def measure(target: Leakage | Refracture, risk: Floats, detail: Floats | None, base: Floats) -> dict[str, float]:
    """All metrics of out-of-fold predictions under their MLflow names, each with ``_lo`` and ``_hi``."""
    if isinstance(target, Leakage):
        found = metrics.summary(risk, target.leaked, cluster=target.patient)
        found["log_loss_base"] = metrics.log_loss(base, target.leaked, cluster=target.patient).value
        if detail is not None:
            for index, route in enumerate(ROUTES):
                found |= _route_metrics(target, detail[:, index], index, route)
        return found
    found = {}
    for index, (months, days) in enumerate(HORIZON_DAYS.items()):
        found |= _horizon_metrics(target, risk[:, index], detail, base[:, index], index, months, days)
    return found


def _route_metrics(target: Leakage, risk: Floats, index: int, route: str) -> dict[str, float]:
    told = ~np.isnan(target.routes[:, index])
    if not told.all():
        # Leaks of unknown route are missing from what was observed: only the order of risks can be judged.
        one = metrics.auc(risk[told], target.routes[told, index], cluster=target.patient[told])
        return {f"auc_{route}": one.value, f"auc_{route}_lo": one.lo, f"auc_{route}_hi": one.hi}
    summary = metrics.summary(risk[told], target.routes[told, index], cluster=target.patient[told])
    wanted = ("auc", "oe", "calibration_slope", "brier", "log_loss")
    return {f"{name}_{route}{end}": summary[name + end] for name in wanted for end in ("", "_lo", "_hi")}


def _horizon_metrics(
    target: Refracture, risk: Floats, detail: Floats | None, base: Floats, index: int, months: int, days: int
) -> dict[str, float]:
    """Empty where follow-up, or that of the others of a fold, ends before the horizon: nothing is extrapolated."""
    if not np.isfinite(base).all():
        return {}
    code, suffix = any_code(target), f"m{months}"
    try:
        found = metrics.summary_at(risk, code, target.days, days, suffix, cluster=target.patient)
        found[f"log_loss_base_{suffix}"] = metrics.log_loss_at(
            base, code, target.days, days, cluster=target.patient
        ).value
    except TooLittleData:
        return {}
    if detail is None:
        return found
    for place, cause in enumerate(CAUSES):
        observed = metrics.aalen_johansen(_first(target.event_code, place + 1), target.days, [days]).value[0]
        found[f"oe_{cause}_{suffix}"] = float(observed / detail[:, place, index].mean())
    return found


def _first(event_code: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Codes with the wanted cause as 1 and all others as competing."""
    return np.where(event_code == wanted, 1, np.where(event_code > 0, 2, 0))
