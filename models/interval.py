"""Intervals: the spread of refits on patient resamples, on the link scale.

A 95 % interval is unlink(link(risk) ± 1.96 se): what the model's own sampling variation leaves open for this patient,
not what may happen to him.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.calibrate import unlink
from models.interface import Scale

Floats = NDArray[np.float64]
Z95 = 1.959963984540054


def interval(scale: Scale, total: Floats, refit_totals: Floats) -> Floats:
    """(..., 2) from totals (...) and those of the refits (..., refits), all on the link scale."""
    se = refit_totals.std(axis=-1, ddof=1)
    return unlink(scale, np.stack([total - Z95 * se, total + Z95 * se], axis=-1))


def paired_difference(scale: Scale, refits_from: Floats, refits_to: Floats, difference: Floats) -> Floats:
    """95 % interval (..., 2) of a difference of two risks (...), each refit being paired with itself."""
    se = (unlink(scale, refits_to) - unlink(scale, refits_from)).std(axis=-1, ddof=1)
    return np.stack([difference - Z95 * se, difference + Z95 * se], axis=-1)
