"""Harrell's bootstrap: how much better a model looks on the patients that it was made from than on others.

Patients are drawn with replacement, with all their vertebrae; on each resample the whole model building is done again,
tuning, knots, the unknown and recalibration included; the model is judged on its resample and on the cohort. The mean
difference, the optimism, is taken from what the model of the whole cohort reaches on the cohort (Harrell 2015,
section 5.3; Steyerberg 2019, chapter 5). Copies of a patient stand in one fold of the tuning, as they have his code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from models import Settings
from models.interface import Learner
from training.cohort import Cohort
from training.validate.fitting import Predicted, fit_on, predict
from training.validate.measuring import measure

#: Boosted trees take ten times as long as linear models: they get this share of the resamples, but no fewer than 20.
SLOW_SHARE = 0.25
FEWEST = 20
#: Resamples of one piece of work: few, so that progress is seen.
BLOCK = 4
#: A metric that exists in fewer resamples than this share has no optimism.
ENOUGH = 0.8
#: What a metric cannot go beyond; a shifted interval is cut there.
_UNIT = ("auc", "concordance", "ici", "e50", "e90", "emax")
_POSITIVE = ("brier", "log_loss", "oe")

Flat = dict[str, float]


@dataclass(frozen=True, slots=True)
class Resampled:
    """Metrics of the model of one resample, on the resample and on the cohort."""

    on_itself: Flat
    on_cohort: Flat


@dataclass(frozen=True, slots=True)
class Corrected:
    """``metrics``: apparent minus optimism, intervals shifted alike. All three by the names of ``measure``.

    ``resamples``: how many were drawn, ``failed``: how many of them had too few events to fit a model.
    """

    metrics: Flat
    apparent: Flat
    optimism: Flat
    resamples: int
    failed: int


def drawn_rows(patient: NDArray[np.intp], seed: int, number: int) -> NDArray[np.intp]:
    """Rows of resample ``number``: as many patients as there are, with replacement, each with all his rows, in order.

    The same for every learner, so that what differs between them is not the draw.
    """
    who, code = np.unique(patient, return_inverse=True)
    rng = np.random.default_rng([seed, 23, number])
    times = np.bincount(rng.integers(0, len(who), len(who)), minlength=len(who))
    return np.repeat(np.arange(len(patient)), times[code])


def resample(cohort: Cohort, learner: Learner, settings: Settings, numbers: Sequence[int]) -> list[Resampled | None]:
    """A model for each resample of ``numbers``; None where it had too few events."""
    return [_one(cohort, learner, settings, number) for number in numbers]


def _one(cohort: Cohort, learner: Learner, settings: Settings, number: int) -> Resampled | None:
    rows = drawn_rows(cohort.patient, settings.seed, number)
    everyone = np.arange(len(cohort.matrix))
    try:
        model = fit_on(cohort, learner, _folds_of(settings, number), rows)
    except TooLittleData:
        return None
    on_cohort = predict(model, cohort, everyone)
    # The model answers row by row, so what it says of its resample is known already.
    on_itself = Predicted(on_cohort.risk[rows], None if on_cohort.detail is None else on_cohort.detail[rows])
    return Resampled(points(cohort, on_itself, rows), points(cohort, on_cohort, everyone))


def points(cohort: Cohort, found: Predicted, rows: NDArray[np.intp]) -> Flat:
    """Metrics of predictions for ``rows`` without the intervals; empty where they cannot be judged."""
    try:
        flat = measure(cohort.target.take(rows), found.risk, found.detail, curves=0)
    except TooLittleData:
        return {}
    return {name: value for name, value in flat.items() if not name.endswith(("_lo", "_hi"))}


def correct(apparent: Flat, found: Sequence[Resampled | None]) -> Corrected:
    """Take the mean optimism from ``apparent``, whose intervals are shifted by it.

    The width is that of the apparent interval: what the draw of the optimism adds is small beside it (Noma 2021).
    Raises ``TooLittleData`` if too many resamples had too few events.
    """
    fitted = [one for one in found if one is not None]
    if len(fitted) < ENOUGH * len(found):
        raise TooLittleData(
            f"{len(found) - len(fitted)} of {len(found)} resamples have too few events: leave --bootstrap out"
        )
    optimism = {}
    for name in apparent:
        gaps = np.array([one.on_itself.get(name, np.nan) - one.on_cohort.get(name, np.nan) for one in fitted])
        if np.isfinite(gaps).mean() >= ENOUGH:
            optimism[name] = float(gaps[np.isfinite(gaps)].mean())
    shifted: Flat = {}
    for name, gap in optimism.items():
        for end in ("", "_lo", "_hi"):
            if name + end in apparent:
                shifted[name + end] = _inside(name, apparent[name + end] - gap)
    return Corrected(shifted, apparent, optimism, len(found), len(found) - len(fitted))


def _inside(name: str, value: float) -> float:
    """The value, or the end of what is possible."""
    if name.startswith(_UNIT):
        return min(max(value, 0.0), 1.0)
    return max(value, 0.0) if name.startswith(_POSITIVE) else value


def resamples_of(learner: Learner, asked: int) -> int:
    """How many resamples a learner gets of those asked for."""
    return max(FEWEST, round(asked * SLOW_SHARE)) if asked and learner == "boosted" else asked


def blocks(resamples: int) -> list[range]:
    """The numbers of the resamples in pieces of work."""
    return [range(start, min(start + BLOCK, resamples)) for start in range(0, resamples, BLOCK)]


def _folds_of(settings: Settings, number: int) -> Settings:
    """Settings under which each resample deals its folds anew."""
    return replace(settings, seed=(settings.seed + 1 + number) % 2**31)
