"""The axes of a nomogram: where their ticks are, so that reading between two of them is off by less than a line.

A scale of 100 points is drawn ``AXIS_WIDTH`` units wide with lines of ``LINE_WIDTH``. Between labelled ticks come as
many unlabelled ones as it takes for a straight reading between neighbours to err by less than a quarter of a line.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import Predictor
from features.dictionary import VARIABLES
from features.errors import UsageError

Floats = NDArray[np.float64]

MOST_POINTS = 100.0
AXIS_WIDTH = 640.0
LINE_WIDTH = 1.0
#: A quarter of a line, in points.
QUARTER_LINE = 0.25 * LINE_WIDTH * MOST_POINTS / AXIS_WIDTH
#: About so many labels on a continuous axis.
_LABELS = 8
_SPLITS = (1, 2, 5, 10, 20, 50)
_RISKS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
    0.95, 0.98, 0.99, 0.995, 0.998, 0.999,
)  # fmt: skip
_HAZARDS = tuple(float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 3, 5, 7))
_POOLED = {
    "any": "any level",
    "highest": "highest",
    "most": "highest",
    "lowest": "lowest level",
    "sum": "all levels together",
}


@dataclass(frozen=True, slots=True)
class Tick:
    """``value`` stands at ``points``; a tick without ``label`` is one of the short ones between."""

    value: float
    points: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One predictor: ``lines`` are monotone pieces, each with its ticks in order of value.

    ``kind``: ``continuous``, or ``steps`` where only the values with a tick exist.
    """

    column: str
    variable: str
    label: str
    unit: str
    kind: str
    lines: tuple[tuple[Tick, ...], ...]

    @property
    def most(self) -> float:
        """The largest number of points that the axis can give."""
        return max(tick.points for line in self.lines for tick in line)

    def refuse_outside(self, value: float) -> None:
        """Raise ``UsageError`` for a value that has no place on the axis."""
        values = [tick.value for line in self.lines for tick in line]
        if self.kind == "steps" and value not in values:
            labels = ", ".join(tick.label for tick in self.lines[0])
            raise UsageError(f"{self.column}: expected one of {labels}")
        if not min(values) <= value <= max(values):
            ends = f"{min(values):g} to {max(values):g} {self.unit}".strip()
            raise UsageError(f"{self.column}: the axis holds {ends}; for other values ask the service")

    def to_dict(self) -> dict[str, Any]:
        """Ticks as JSON can hold them."""
        return {
            "column": self.column,
            "variable": self.variable,
            "label": self.label,
            "unit": self.unit,
            "kind": self.kind,
            "lines": [[{"value": t.value, "points": t.points, "label": t.label} for t in line] for line in self.lines],
        }


def axis_range(
    predictor: Predictor, stated: tuple[float, float] | None, mean: float, scale: float
) -> tuple[float, float]:
    """The ends of an axis: as ``stated``, or 2.5 standard deviations around the mean within the variable's limits."""
    if predictor.shape == "flag":
        return 0.0, 1.0
    if predictor.shape == "levels":
        return 0.0, len(predictor.levels) - 1.0
    choices = VARIABLES[predictor.variable].choices
    if choices:
        return 0.0, len(choices) - 1.0
    low, high = stated if stated and stated[0] < stated[1] else _usual(predictor, mean, scale)
    if predictor.shape == "score":
        return float(round(low)), float(max(round(high), round(low) + 1))
    return _three_digits(low), _three_digits(high)


def _usual(predictor: Predictor, mean: float, scale: float) -> tuple[float, float]:
    lowest = VARIABLES[predictor.variable].lowest
    low = mean - 2.5 * scale
    return (low if lowest is None else max(low, lowest)), mean + 2.5 * scale


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def axis_of(predictor: Predictor, x: Floats, points: Floats, per_patient: bool) -> Axis:
    """The axis of a column whose values ``x`` (n,), in order, give ``points`` (n,).

    ``per_patient``: one row stands for all of a patient's vertebrae; the label says how they are taken together.
    """
    variable = VARIABLES[predictor.name]
    unit = "" if variable.unit in ("count", "points") else variable.unit
    if predictor.shape == "continuous":
        lines = tuple(_ticks(x[piece], points[piece]) for piece in monotone_pieces(points))
        kind = "continuous"
    else:
        words = _words(predictor, x)
        lines = (tuple(Tick(float(v), float(p), w) for v, p, w in zip(x, points, words, strict=True)),)
        kind = "steps"
    label = variable.label
    if per_patient and VARIABLES[predictor.variable].scope == "vertebra" and predictor.pool in _POOLED:
        label += f", {_POOLED[predictor.pool]}"
    return Axis(predictor.name, predictor.variable, label, unit, kind, lines)


def _words(predictor: Predictor, x: Floats) -> list[str]:
    """What stands at the ticks of an axis with few values."""
    choices = VARIABLES[predictor.name].choices
    if predictor.shape == "levels":
        return list(predictor.levels)
    if predictor.shape == "flag":
        return list(choices) if len(choices) == 2 else ["no", "yes"]
    return [f"{value:g}" for value in x]


def monotone_pieces(points: Floats, least: float = QUARTER_LINE) -> list[slice]:
    """Where a curve (n,) rises or falls without turning back by more than ``least``; neighbours share their end."""
    turns, extreme, rising = [0], 0, None
    for place in range(1, len(points)):
        step = points[place] - points[extreme]
        if rising is None:
            if abs(step) > least:
                rising, extreme = bool(step > 0), place
        elif (step > 0) == rising and step != 0:
            extreme = place
        elif abs(step) > least:
            turns.append(extreme)
            rising, extreme = not rising, place
    bounds = [*turns, len(points) - 1]
    return [slice(start, end + 1) for start, end in itertools.pairwise(bounds)]


def _ticks(x: Floats, points: Floats) -> tuple[Tick, ...]:
    """Labelled ticks at round values, short ones between them and at the ends."""
    step = _round_step((x[-1] - x[0]) / _LABELS)
    inner = np.arange(math.ceil(x[0] / step - 1e-9), math.floor(x[-1] / step + 1e-9) + 1) * step
    marks = [float(x[0]), *(float(round(v, 10)) for v in inner if x[0] < v < x[-1]), float(x[-1])]
    labelled = {float(round(v, 10)) for v in inner}
    values = refined(marks, lambda v: np.asarray(np.interp(v, x, points)), QUARTER_LINE)
    return tuple(Tick(v, float(np.interp(v, x, points)), f"{v:g}" if round(v, 10) in labelled else "") for v in values)


def refined(marks: list[float], curve: Callable[[Floats], Floats], tolerance: float) -> list[float]:
    """``marks`` with values between them, until a straight line between neighbours is off by ``tolerance`` at most."""
    values = [marks[0]]
    for start, end in itertools.pairwise(marks):
        for parts in _SPLITS:
            between = np.linspace(start, end, parts + 1)
            fine = np.linspace(start, end, 20 * parts + 1)
            if np.abs(np.interp(fine, between, curve(between)) - curve(fine)).max() <= tolerance:
                break
        values += [float(v) for v in between[1:]]
    return values


def total_ticks(most: float) -> tuple[Tick, ...]:
    """The axis of the sum of points: from 0 to the first round number that nobody exceeds."""
    step = _round_step(most / 10)
    count = math.ceil(most / step - 1e-9)
    fine = np.linspace(0.0, count * step, 5 * count + 1)
    return tuple(Tick(float(v), float(v), f"{v:g}" if place % 5 == 0 else "") for place, v in enumerate(fine))


def outcome_ticks(
    place: Callable[[Floats], Floats], value_at: Callable[[float], float], hazard: bool, most: float
) -> tuple[Tick, ...]:
    """The axis of the risk (or cumulative hazard) between 0 and ``most`` points; ``place``: value to points."""
    ends = value_at(0.0), value_at(most)
    labelled = [v for v in (_HAZARDS if hazard else _RISKS) if ends[0] < v < ends[1]]
    values = refined([ends[0], *labelled, ends[1]], place, QUARTER_LINE * most / MOST_POINTS)
    words = {v: f"{v:g}" if hazard else f"{100 * v:g} %" for v in labelled}
    return tuple(Tick(v, float(place(np.array(v))), words.get(v, "")) for v in values)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
