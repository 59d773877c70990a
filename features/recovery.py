"""Height and alignment regained by the operation and lost again afterwards, by the formulas of Zhang 2022.

Pure functions on arrays of one shape (or numbers); heights in mm, ratios in % points, angles in degrees, kyphosis
positive. NaN in any input gives NaN. None of it is known before surgery.
"""

from __future__ import annotations

import numpy as np

from features.derived import Floats, per_positive


def avhr_pct(fvah_mm: Floats, above_mm: Floats, below_mm: Floats) -> Floats:
    """Anterior vertebral height ratio, 100 * 2 * FVAH / (AH above + AH below): height that remains, at any time."""
    return 100 * 2 * per_positive(fvah_mm, above_mm + below_mm)


def avhrr_pct(before_pct: Floats, after_pct: Floats) -> Floats:
    """Recovery of the anterior height ratio: AVHR after surgery minus before."""
    return after_pct - before_pct


def avhlr_pct(after_pct: Floats, final_pct: Floats) -> Floats:
    """Loss of the anterior height ratio: AVHR after surgery minus at the last follow-up."""
    return after_pct - final_pct


def fvahr_mm(before_mm: Floats, after_mm: Floats) -> Floats:
    """Recovery of the anterior height: after surgery minus before."""
    return after_mm - before_mm


def fvahl_mm(after_mm: Floats, final_mm: Floats) -> Floats:
    """Loss of the anterior height: after surgery minus at the last follow-up."""
    return after_mm - final_mm


def kyphosis_recovery_deg(before_deg: Floats, after_deg: Floats) -> Floats:
    """Recovery of a kyphotic angle, local or regional: before surgery minus after. Less kyphosis is recovery."""
    return before_deg - after_deg


def kyphosis_loss_deg(after_deg: Floats, final_deg: Floats) -> Floats:
    """Loss of the correction of a kyphotic angle, local or regional: at the last follow-up minus after surgery."""
    return final_deg - after_deg


def reduction_rate_pct(before_mm: Floats, after_mm: Floats, reference_mm: Floats) -> Floats:
    """Height regained as a share of the height that had been lost, doi 10.1186/s12891-021-04355-w.

    ``reference_mm``: height before the fracture, the mean of the neighbours. NaN where nothing had been lost.
    """
    return np.asarray(100 * per_positive(after_mm - before_mm, reference_mm - before_mm))
