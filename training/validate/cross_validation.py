"""Folds by patient: everything that is learned, tuning and recalibration included, is learned again in each fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import CAUSES, Leakage
from models import Settings
from models.interface import Learner
from models.resample import folds_by_patient
from training import metrics
from training.cohort import Cohort
from training.validate.fitting import HORIZONS, Predicted, fit_on, predict
from training.validate.judging import any_code

Floats = NDArray[np.float64]

FOLDS = 5


def folds_of(cohort: Cohort, seed: int) -> NDArray[np.intp]:
    """The fold of each row (n,), those with an event dealt evenly."""
    return folds_by_patient(cohort.patient, _event(cohort), FOLDS, seed)


def predict_fold(
    cohort: Cohort, learner: Learner, settings: Settings, fold: NDArray[np.intp], number: int
) -> Predicted:
    """What a model without a fold predicts for that fold."""
    try:
        model = fit_on(cohort, learner, settings, fold != number)
    except TooLittleData as error:
        raise TooLittleData(f"{error} (in four fifths of the data, as cross-validation needs it)") from error
    return predict(model, cohort, fold == number)


def out_of_fold(fold: NDArray[np.intp], pieces: Sequence[Predicted]) -> Predicted:
    """The predictions of all folds in the order of the rows."""
    risk = np.empty((len(fold), *pieces[0].risk.shape[1:]))
    for k, piece in enumerate(pieces):
        risk[fold == k] = piece.risk
    details = [piece.detail for piece in pieces if piece.detail is not None]
    # A fold may lack the leaks to tell routes although the whole cohort just has them: then none are judged.
    if len(details) < len(pieces):
        return Predicted(risk, None)
    detail = np.empty((len(fold), *details[0].shape[1:]))
    for k, more in enumerate(details):
        detail[fold == k] = more
    return Predicted(risk, detail)


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
