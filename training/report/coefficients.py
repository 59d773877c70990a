"""The fitted model in numbers: effects with intervals, and the whole equation in raw units.

Effects are those that the model answers with: shrunk by its penalty and recalibrated, so smaller than those of an
unpenalised fit. Their intervals come from the refits on patient resamples, which exist for any leak and each cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Predictor
from models.calibrate import BinaryHead
from models.calibrated import CalibratedRisk
from models.design import Term
from models.interval import Z95
from models.linear import LinearBody
from training.report.words import predictor_label

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect:
    """One contrast: ``ratios`` gives for each explained part the odds or hazard ratio with its 95 % interval."""

    label: str
    contrast: str
    ratios: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """link(risk or hazard ratio) of part k = ``constants``[k] + sum over ``terms`` of coefficient[k] * term.

    ``terms``: (column, what it is, coefficient of each part), in raw units.
    """

    parts: tuple[str, ...]
    constants: tuple[float, ...]
    terms: tuple[tuple[str, str, tuple[float, ...]], ...]


def effects(model: CalibratedRisk, characteristics: Mapping[str, Any]) -> list[Effect]:
    """One or more contrasts for each predictor of a linear model; ``characteristics`` of the evaluation by column."""
    body = model.body
    assert isinstance(body, LinearBody)
    found = []
    for place, predictor in enumerate(PREDICTORS[model.outcome]):
        for contrast, low, high in _contrasts(predictor, characteristics.get(predictor.name, {})):
            rows = np.zeros((2, len(model.columns)))
            rows[:, place] = low, high
            start, end = body.design.transform(rows)
            found.append(Effect(predictor_label(predictor), contrast, _ratios(model, body, end - start)))
    return found


def _contrasts(predictor: Predictor, told: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """What is compared: quartiles of the training cohort, one step, yes with no, each level with the first."""
    if predictor.shape == "levels":
        return [(f"{name} v {predictor.levels[0]}", 0.0, float(code)) for code, name in enumerate(predictor.levels)][1:]
    if predictor.shape == "flag":
        return [("yes v no", 0.0, 1.0)]
    if predictor.shape == "score":
        return [("one step up", 0.0, 1.0)]
    quartiles = told.get("quartiles", {}).get("all")
    return [] if quartiles is None else [(f"{quartiles[2]:g} v {quartiles[0]:g}", quartiles[0], quartiles[2])]


def _ratios(model: CalibratedRisk, body: LinearBody, moved: Floats) -> tuple[tuple[float, float, float], ...]:
    """exp of the change of each explained part when the terms are ``moved`` (q,)."""
    ratios = []
    for part in range(model.head.explained):
        slope = float(model.head.slope[part])
        change = slope * float(body.coefficients[part] @ moved)
        again = slope * body.refits[part][:, 1:] @ moved
        spread = Z95 * float(again.std(ddof=1)) if len(again) > 1 else float("nan")
        ratios.append((float(np.exp(change)), float(np.exp(change - spread)), float(np.exp(change + spread))))
    return tuple(ratios)


def equation(model: CalibratedRisk) -> Equation:
    """The linear model in raw units, recalibration included; needs every value known."""
    body, head = model.body, model.head
    assert isinstance(body, LinearBody)
    raw = head.slope[:, None] * body.coefficients / body.design.scale
    shift = head.intercept if isinstance(head, BinaryHead) else np.zeros(len(head.slope))
    constants = shift + head.slope * body.intercept - raw @ body.design.mean
    terms: list[tuple[str, str, tuple[float, ...]]] = []
    for term, first in zip(body.design.terms, body.design.first_terms, strict=True):
        for step, words in enumerate(_described(term, model)):
            terms.append((term.column, words, tuple(map(float, raw[:, first + step]))))
    return Equation(model.parts, tuple(map(float, constants)), tuple(terms))


def _described(term: Term, model: CalibratedRisk) -> list[str]:
    """What each term of a column is."""
    if term.levels:
        levels = next(one.levels for one in PREDICTORS[model.outcome] if one.name == term.column)
        return [f"1 if {name}, else 0" for name in levels[1:]]
    if not term.knots:
        return ["its value"]
    knots = ", ".join(f"{knot:g}" for knot in term.knots)
    return ["its value", *(f"spline term {place}, knots {knots}" for place in range(1, len(term.knots) - 1))]
