"""Three made-up patients, built from the published aggregates alone, with the model's risks and their reasons.

The typical one has every value at its median and every finding that most have. In the others the three predictors that
move the risk most, up or down, stand at a quartile, or the finding is there or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Predictor
from features.outcome import HORIZON_DAYS
from models.calibrated import CalibratedRisk
from training.report.words import predictor_label

Floats = NDArray[np.float64]
_MOVED = 3


@dataclass(frozen=True, slots=True)
class MadeUp:
    """``risks``: (months or None, risk, low, high); ``reasons``: (predictor, value, contribution), largest first."""

    title: str
    risks: tuple[tuple[int | None, float, float, float], ...]
    scale: str
    base: float
    total: float
    reasons: tuple[tuple[str, str, float], ...]


def made_up(model: CalibratedRisk, characteristics: Mapping[str, Any]) -> list[MadeUp]:
    """A typical patient, one at higher and one at lower risk."""
    predictors = PREDICTORS[model.outcome]
    choices = [_choices(one, characteristics.get(one.name, {})) for one in predictors]
    typical = np.array([values[len(values) // 2] for values in choices])
    rows = np.vstack([typical, _moved(model, typical, choices, 1.0), _moved(model, typical, choices, -1.0)])
    titles = ("A typical patient", "A patient at higher risk", "A patient at lower risk")
    return [_told(model, predictors, title, row) for title, row in zip(titles, rows, strict=True)]


def _choices(predictor: Predictor, told: Mapping[str, Any]) -> list[float]:
    """Values that the aggregates allow, the typical one in the middle; unknown where nothing is told."""
    quartiles = told.get("quartiles", {}).get("all")
    if quartiles is not None:
        return [float(value) for value in quartiles]
    levels = told.get("levels", {})
    shares = {name: found["all"][0] / max(found["all"][1], 1) for name, found in levels.items() if found.get("all")}
    if not shares:
        return [float("nan")]
    if predictor.levels:
        commonest = max(shares, key=lambda name: shares[name])
        others = [float(predictor.levels.index(name)) for name in shares if name != commonest]
        return [*others[:1], float(predictor.levels.index(commonest)), *others[1:]]
    usual = float(shares["yes"] >= 0.5)
    # How leaks are looked for is the same in all three: it decides the rate.
    return [usual] if predictor.name == "detection" else [1.0 - usual, usual]


def _moved(model: CalibratedRisk, typical: Floats, choices: list[list[float]], sign: float) -> Floats:
    """The typical row with the few predictors that raise (``sign`` 1) or lower (-1) its risk most moved."""
    trials = [(place, value) for place, values in enumerate(choices) for value in values]
    rows = np.repeat(typical[None, :], len(trials), axis=0)
    for row, (place, value) in zip(rows, trials, strict=True):
        row[place] = value
    gain = sign * (_risk(model, rows) - _risk(model, typical[None, :]))
    best: dict[int, tuple[float, float]] = {}
    for (place, value), more in zip(trials, gain, strict=True):
        best[place] = max(best.get(place, (0.0, float(typical[place]))), (float(more), value))
    moved = typical.copy()
    for place in sorted(best, key=lambda one: -best[one][0])[:_MOVED]:
        moved[place] = best[place][1]
    return moved


def _risk(model: CalibratedRisk, rows: Floats) -> Floats:
    return model.risk(_table(model, rows))


def _table(model: CalibratedRisk, rows: Floats) -> dict[str, Floats]:
    return dict(zip(model.columns, rows.T, strict=True))


def _told(model: CalibratedRisk, predictors: tuple[Predictor, ...], title: str, row: Floats) -> MadeUp:
    table = _table(model, row[None, :])
    explained = model.explain(table)
    order = np.argsort(-np.abs(explained.contributions[0]))
    reasons = tuple(
        (predictor_label(predictors[place]), _value(predictors[place], row[place]),
         float(explained.contributions[0, place]))
        for place in order
    )  # fmt: skip
    horizons = [(None, None)] if model.outcome == "leakage" else list(HORIZON_DAYS.items())
    return MadeUp(
        title,
        tuple(_risk_at(model, table, months, days) for months, days in horizons),
        explained.scale.replace("_", " "),
        explained.base,
        float(explained.total[0]),
        reasons,
    )


def _risk_at(
    model: CalibratedRisk, table: dict[str, Floats], months: int | None, days: int | None
) -> tuple[int | None, float, float, float]:
    low, high = model.interval(table, days)[0]
    return months, float(model.risk(table, days)[0]), float(low), float(high)


def _value(predictor: Predictor, value: float) -> str:
    if np.isnan(value):
        return "unknown"
    if predictor.levels:
        return predictor.levels[int(value)]
    return ("yes" if value else "no") if predictor.shape == "flag" else f"{value:g}"
