"""How badly the vertebra is broken: height ratios, height lost, Genant grade, compression degree, wedge angle.

Heights are in mm, ratios and losses in %, angles in degrees. Every function takes columns in which any input may be
absent and gives one entry per row, NaN where it cannot be known.

"Compression rate" has two opposite meanings in the papers. Here a *ratio* is height that remains (AVHR, MVHR,
anterior/posterior) and a *loss* is height that is gone; nothing is called a compression rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from features.derived import (
    Columns,
    Derived,
    Floats,
    Objects,
    coded,
    first_known,
    known_from,
    number,
    per_positive,
    rows_of,
)

#: Normal (anterior/posterior, middle/posterior) height ratios by level: means of annotated CT heights, 9 (L3) to 269
#: bodies a level. Fractured bodies were not left out, so they lie a little low. L4 and L5 were not measured and take
#: the ratios of L3, which is 9 bodies. S1 has none.
NORMAL_RATIOS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "T1": (0.945, 0.856),
        "T2": (0.966, 0.857),
        "T3": (0.941, 0.841),
        "T4": (0.926, 0.842),
        "T5": (0.899, 0.828),
        "T6": (0.861, 0.820),
        "T7": (0.855, 0.828),
        "T8": (0.886, 0.836),
        "T9": (0.920, 0.853),
        "T10": (0.934, 0.858),
        "T11": (0.893, 0.843),
        "T12": (0.894, 0.844),
        "L1": (0.911, 0.844),
        "L2": (0.970, 0.859),
        "L3": (1.022, 0.860),
        "L4": (1.022, 0.860),
        "L5": (1.022, 0.860),
    }
)
_ANTERIOR_TO_POSTERIOR = {level: ratios[0] for level, ratios in NORMAL_RATIOS.items()}
_MIDDLE_TO_POSTERIOR = {level: ratios[1] for level, ratios in NORMAL_RATIOS.items()}

GENANT_CODES: Mapping[str, float] = MappingProxyType({"0": 0.0, "1": 1.0, "2": 2.0, "3": 3.0})
SEVERITY_CODES: Mapping[str, float] = MappingProxyType({"none": 0.0, "mild": 1.0, "moderate": 2.0, "severe": 3.0})
DEGREE_CODES: Mapping[str, float] = MappingProxyType({"I": 1.0, "II": 2.0, "III": 3.0})

#: (place and reference, loss in %) of each loss that can be computed.
_Losses = tuple[tuple[str, Floats], ...]

#: A loss that lies on a threshold but for the last bits of its division counts as lying on it.
_ROUNDING_PCT = 1e-9
#: The least loss of grades 1, 2 and 3, see ``genant_grade``; 25 and 40 belong to the grade below.
_GRADE_FROM_PCT = np.array([20 - _ROUNDING_PCT, *np.nextafter([25 + _ROUNDING_PCT, 40 + _ROUNDING_PCT], np.inf)])
_ANTERIOR_NEIGHBOURS = ("adj_ah_above_mm", "adj_ah_below_mm")
_MIDDLE_NEIGHBOURS = ("adj_mh_above_mm", "adj_mh_below_mm")
_WHICH_NEIGHBOURS = np.array([None, "above_only", "below_only", "both_neighbours"], dtype=object)


def avhr_pct(columns: Columns) -> Derived:
    """Anterior vertebral height ratio, the height that REMAINS; 100 is normal.

    AVHR = 100 * 2 * FVAH / (AH above + AH below) (Zhang 2022; Huang 2022 divides by the mean of the neighbours, which
    is the same). With one neighbour only, 100 * FVAH / that one. A stated ``avhr_pct`` is taken as it is. Source:
    ``stated``, ``both_neighbours``, ``above_only`` or ``below_only``.
    """
    return _stated(columns, "avhr_pct").otherwise(lambda: _ratio(columns, "fvah_mm", _ANTERIOR_NEIGHBOURS))


def mvhr_pct(columns: Columns) -> Derived:
    """Middle vertebral height ratio, the height that remains: as ``avhr_pct``, with middle heights (Huang 2022)."""
    return _stated(columns, "mvhr_pct").otherwise(lambda: _ratio(columns, "mvh_mm", _MIDDLE_NEIGHBOURS))


def ap_ratio_pct(columns: Columns) -> Derived:
    """Anterior/posterior height ratio of the fractured body, 100 * FVAH / PVH (Feng 2022, there "compression rate").

    A healthy body is not at 100: see ``NORMAL_RATIOS``. Source: ``stated`` or ``heights``.
    """
    ratio = 100 * per_positive(number(columns, "fvah_mm"), number(columns, "pvh_mm"))
    return _stated(columns, "ap_ratio_pct").otherwise(lambda: known_from(ratio, "heights"))


def compression_loss_pct(columns: Columns) -> Derived:
    """Anterior height LOST, 100 - AVHR; negative where the body exceeds its neighbours. Source as ``avhr_pct``."""
    remaining = avhr_pct(columns)
    return Derived(100 - remaining.value, remaining.tell)


def height_loss_pct(columns: Columns) -> Derived:
    """Largest height loss of the body, the quantity that Genant's grades cut.

    Anterior: 100 - AVHR against the neighbours, else against the body's own posterior wall times the level's normal
    anterior/posterior ratio (``NORMAL_RATIOS``; those of L3 for L4 and L5). Middle: 100 - MVHR, else against the own
    posterior wall times the normal middle/posterior ratio. The larger of those that can be computed counts. The
    posterior wall has no reference of its own here, so a body that lost all three heights evenly shows its loss only
    against its neighbours. Where no raw height gives a loss, stated ratios serve. Source: ``anterior`` or ``middle``
    with ``_neighbours``, ``_posterior_wall`` or ``_stated``.
    """
    losses = _measured_losses(columns)
    worst = _worst(columns, losses)
    stated = _stated_losses(columns)
    if stated:
        gap = np.isnan(worst)
        losses = (*losses, *((code, np.where(gap, loss, np.nan)) for code, loss in stated))
        worst = _worst(columns, losses)
    return Derived(worst, lambda: _where_worst(worst, losses))


def _where_worst(worst: Floats, losses: _Losses) -> Objects:
    source = np.full(len(worst), None, dtype=object)
    for code, loss in reversed(losses):
        source[loss == worst] = code
    return source


def genant_grade(columns: Columns) -> Derived:
    """Genant's semiquantitative grade, 0 to 3, of the worst height loss (Genant 1993).

    0 below 20 %, 1 from 20 to 25 %, 2 above 25 to 40 %, 3 above 40 %: both ends of grade 1 and the upper end of grade 2
    belong to them. Measured heights come first, then a stated grade, then stated ratios. Source: ``heights``,
    ``stated`` or ``stated_ratio``.
    """
    candidates = []
    if measured := _measured_losses(columns):
        candidates.append(("heights", grade_of_loss(_worst(columns, measured))))
    if "genant_grade" in columns:
        candidates.append(("stated", coded(columns, "genant_grade", GENANT_CODES)))
    if stated := _stated_losses(columns):
        candidates.append(("stated_ratio", grade_of_loss(_worst(columns, stated))))
    return first_known(columns, candidates)


def grade_of_loss(loss_pct: Floats) -> Floats:
    """The Genant grade of a height loss in %, see ``genant_grade``; NaN stays NaN."""
    return np.where(loss_pct == loss_pct, _GRADE_FROM_PCT.searchsorted(loss_pct, side="right"), np.nan)


def compression_degree(columns: Columns) -> Derived:
    """Compression degree 1, 2, 3 for I, II, III: anterior loss below 33, 33 to 66, above 66 % (Zhang 2022).

    A stated degree is taken as it is. Source: ``stated``, or as ``avhr_pct``.
    """
    loss = compression_loss_pct(columns)
    degree = 1.0 + (loss.value >= 33 - _ROUNDING_PCT) + (loss.value > 66 + _ROUNDING_PCT)
    computed = Derived(np.where(loss.value == loss.value, degree, np.nan), loss.tell)
    return known_from(coded(columns, "compression_degree", DEGREE_CODES), "stated").otherwise(lambda: computed)


def severity(columns: Columns) -> Derived:
    """Fracture severity 0 none, 1 mild, 2 moderate, 3 severe: the Genant grade in words.

    Chen 2025 keeps "fracture severity" as a predictor without defining it; this is our reading. A stated severity is
    taken as it is. Source: ``stated``, or as ``genant_grade`` with ``genant_`` before it.
    """
    stated = known_from(coded(columns, "fracture_severity", SEVERITY_CODES), "stated")
    return stated.otherwise(lambda: _severity_by_grade(columns))


def _severity_by_grade(columns: Columns) -> Derived:
    grade = genant_grade(columns)
    return Derived(grade.value, lambda: np.array([code and f"genant_{code}" for code in grade.source], dtype=object))


def wedge_angle_deg(columns: Columns) -> Derived:
    """Angle between the endplates of the fractured body, as stated: ``wedge_angle_deg``, else ``cobb_vertebral_deg``.

    The second is the same angle under the name that Feng 2022 gives it. Heights alone give no angle, the depth of the
    body is needed: see ``wedge_angle_from_heights``. Source: the name of the variable.
    """
    names = ("wedge_angle_deg", "cobb_vertebral_deg")
    return first_known(columns, [(name, number(columns, name)) for name in names])


def wedge_angle_from_heights(anterior_mm: Floats, posterior_mm: Floats, depth_mm: Floats) -> Floats:
    """Wedge angle of a body of known heights and depth, in degrees; positive when the front is lower.

    2 * atan((posterior - anterior) / (2 * depth)): the body is taken as a symmetric trapezium, both endplates tilting
    by half the angle. NaN where the depth is not above 0.
    """
    half_tangent = per_positive(posterior_mm - anterior_mm, 2 * depth_mm)
    return np.asarray(np.degrees(2 * np.arctan(half_tangent)))


def _measured_losses(columns: Columns) -> _Losses:
    """The losses of raw heights, each place against one reference only: the neighbours where they are known."""
    anterior = _losses_of(columns, "anterior", "fvah_mm", _ANTERIOR_NEIGHBOURS, _ANTERIOR_TO_POSTERIOR)
    return (*anterior, *_losses_of(columns, "middle", "mvh_mm", _MIDDLE_NEIGHBOURS, _MIDDLE_TO_POSTERIOR))


def _losses_of(
    columns: Columns, place: str, own: str, neighbours: tuple[str, str], normal: Mapping[str, float]
) -> _Losses:
    height = columns.get(own)
    if height is None:
        return ()
    by_neighbours = 100 - 100 * per_positive(height, _reference(columns, neighbours))
    known = by_neighbours == by_neighbours
    found = ((f"{place}_neighbours", by_neighbours),)
    if "pvh_mm" not in columns or "level" not in columns or known.all():
        return found
    expected = columns["pvh_mm"] * coded(columns, "level", normal)
    by_wall = np.where(known, np.nan, 100 - 100 * per_positive(height, expected))
    return (*found, (f"{place}_posterior_wall", by_wall))


def _stated_losses(columns: Columns) -> _Losses:
    ratios = (("anterior_stated", "avhr_pct"), ("middle_stated", "mvhr_pct"))
    return tuple((code, 100 - columns[name]) for code, name in ratios if name in columns)


def _worst(columns: Columns, losses: _Losses) -> Floats:
    worst = losses[0][1] if losses else np.full(rows_of(columns), np.nan)
    for _, loss in losses[1:]:
        worst = np.fmax(worst, loss)
    return worst


def _reference(columns: Columns, neighbours: tuple[str, str]) -> Floats:
    """Mean height of the two neighbours, or the height of the only one that is known."""
    up, down = (number(columns, name) for name in neighbours)
    mean = (up + down) / 2
    return np.where(mean == mean, mean, np.fmax(up, down))


def _ratio(columns: Columns, own: str, neighbours: tuple[str, str]) -> Derived:
    ratio = 100 * per_positive(number(columns, own), _reference(columns, neighbours))
    above, below = (number(columns, name) for name in neighbours)
    which = (above == above) + 2 * (below == below)
    return known_from(ratio, _WHICH_NEIGHBOURS[which])


def _stated(columns: Columns, name: str) -> Derived:
    return known_from(number(columns, name), "stated")
