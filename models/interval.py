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
BOTH_SIDES = np.array([-Z95, Z95])


def interval(scale: Scale, total: Floats, refit_totals: Floats) -> Floats:
    """(..., 2) from totals (...) and those of the refits (..., refits), all on the link scale."""
    return unlink(scale, _about(total, refit_totals))


def paired_difference(difference: Floats, of_refits: Floats) -> Floats:
    """95 % interval (..., 2) of a difference of two risks (...), each refit (..., refits) being paired with itself."""
    return _about(difference, of_refits)


def _about(value: Floats, refits: Floats) -> Floats:
    """1.96 standard deviations of the refits (..., refits) to both sides of the value (...): (..., 2)."""
    count = refits.shape[-1]
    centred = refits - refits.sum(axis=-1, keepdims=True) / count  # ``std`` takes twice as long over few
    se = np.sqrt(np.vecdot(centred, centred) / (count - 1))
    return np.asarray(value[..., None] + se[..., None] * BOTH_SIDES)
