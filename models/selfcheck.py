"""Synthetic records that a stored model is checked with.

They are drawn from the dictionary's plausible ranges, never from patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.build import PREDICTORS, Outcome
from features.dictionary import VARIABLES
from features.variable import Variable

RECORDS = 6
#: Share of inputs left unknown, so that the policy for the unknown is checked as well.
UNKNOWN = 0.15


def synthetic_records(outcome: Outcome) -> list[dict[str, Any]]:
    """The same few records each time: one vertebra each, with all that the outcome's predictors are made from."""
    rng = np.random.default_rng(20)
    names = sorted({name for predictor in PREDICTORS[outcome] for name in predictor.reads})
    return [_record([VARIABLES[name] for name in names], rng) for _ in range(RECORDS)]


def _record(variables: list[Variable], rng: np.random.Generator) -> dict[str, Any]:
    drawn = {variable.name: _value(variable, rng) for variable in variables}
    return {name: value for name, value in drawn.items() if rng.random() >= UNKNOWN}


def _value(variable: Variable, rng: np.random.Generator) -> Any:
    if variable.kind == "flag":
        return bool(rng.random() < 0.5)
    if variable.kind == "multi":
        return frozenset(choice for choice in variable.choices if rng.random() < 0.3)
    if variable.choices:
        return variable.choices[int(rng.integers(len(variable.choices)))]
    low = variable.plausible_low if variable.plausible_low is not None else variable.lowest
    high = variable.plausible_high if variable.plausible_high is not None else variable.highest
    value = float(rng.uniform(low if low is not None else 0.0, high if high is not None else 1.0))
    return int(value) if variable.kind == "integer" else round(value, 2)
