"""One column of a model's matrix: what it is made from, how it is pooled over vertebrae, how a model takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.derived import Columns, Floats, coded, number
from features.dictionary import VARIABLES, Moment

#: "most" is "highest" of what is no finding to be feared: it is called otherwise in words.
Pool = Literal["any", "highest", "most", "lowest", "sum", "first"]
Shape = Literal["continuous", "flag", "score", "levels"]


@dataclass(frozen=True, slots=True)
class Predictor:
    """One column of the matrix.

    ``variable`` is the dictionary variable that a person reads or changes, ``reads`` all those that it is made from.
    ``shape`` says how a linear model takes it: continuous (a spline or a line), flag (0/1), score (equal steps) or
    levels (one coefficient for each level but the first; ``levels`` names them). What a model keeps of a continuous
    column, such as knots and splits, lies on a grid of ``resolution``, a power of two in the column's unit: a stored
    model then holds no value that only one patient had.
    """

    name: str
    variable: str
    reads: tuple[str, ...]
    shape: Shape
    make: Callable[[Columns], Floats]
    pool: Pool = "first"
    levels: tuple[str, ...] = ()
    resolution: float = 0.0
    #: The latest moment at which something that it is made from becomes known.
    known_at: Moment = field(init=False, compare=False, default=Moment.PREOP)

    def __post_init__(self) -> None:
        latest = max((VARIABLES[name].known_at for name in self.reads), default=Moment.PREOP)
        object.__setattr__(self, "known_at", latest)


def number_of(name: str) -> Callable[[Columns], Floats]:
    """Makes a column of a number or a flag as it stands."""
    return lambda columns: np.asarray(number(columns, name), dtype=float)


def coded_as(name: str, codes: Mapping[str, float], otherwise: float = np.nan) -> Callable[[Columns], Floats]:
    """Makes a text column into numbers; unknown stays unknown, a value that has no code becomes ``otherwise``."""
    known_or_not = {None: np.nan} | dict(codes)
    return lambda columns: coded(columns, name, known_or_not, otherwise)


def flag(name: str) -> Predictor:
    """A flag of the patient as it stands."""
    return Predictor(name, name, (name,), "flag", number_of(name))
