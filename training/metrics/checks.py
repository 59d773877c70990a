"""What goes into a metric, looked at once: shapes, ranges, classes, follow-up.

A wrong shape or a risk outside 0..1 is a mistake of the caller (ValueError); data from which the quantity cannot be
known (one class only, follow-up shorter than the horizon) are TooLittleData.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from features.errors import TooLittleData
from training.metrics.types import Floats, Ints


def scores(risk: ArrayLike) -> Floats:
    """Finite numbers of any range, shape (rows,): enough for ranking."""
    values = np.asarray(risk, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"risk: expected one number for each row, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("risk: expected finite numbers, found NaN or infinity; leave those rows out and say so")
    return values


def risks(risk: ArrayLike) -> Floats:
    """Probabilities, shape (rows,)."""
    values = scores(risk)
    if values.min() < 0.0 or values.max() > 1.0:
        raise ValueError("risk: expected probabilities from 0 to 1; a score or a linear predictor has no Brier score")
    return values


def outcome(y: ArrayLike, rows: int) -> Floats:
    """0.0 or 1.0 for each row."""
    values = np.asarray(y, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"y: expected one outcome for each of the {rows} risks, got shape {values.shape}")
    if not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("y: expected 0 or 1; leave rows of unknown outcome out and say so")
    return values


def both_classes(y: Floats, what: str) -> None:
    """Raises TooLittleData where ``y`` holds one class only."""
    if y.min() == y.max():
        raise TooLittleData(f"{what} needs rows with and rows without the event; all rows have the same outcome")


def event_codes(event_code: ArrayLike, rows: int) -> Ints:
    """0 censored, 1 the event, 2 and up competing; shape (rows,)."""
    values = np.asarray(event_code, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"event_code: expected one code for each of the {rows} rows, got shape {values.shape}")
    if not (np.isfinite(values) & (values >= 0) & (values == np.floor(values))).all():
        raise ValueError("event_code: expected 0 (censored), 1 (the event), 2 and up (competing)")
    return values.astype(np.int64)


def times(days: ArrayLike, rows: int) -> Floats:
    """Follow-up of each row, from 0 on, finite."""
    values = np.asarray(days, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"days: expected one time for each of the {rows} rows, got shape {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("days: expected finite times from 0 on")
    return values
