"""How badly the vertebra is broken: height ratios, height lost, Genant grade, compression degree, wedge angle.

Heights are in mm, ratios and losses in %, angles in degrees. Every function takes columns in which any input may be
absent and gives one entry per row, NaN where it cannot be known.

"Compression rate" has two opposite meanings in the papers. Here a *ratio* is height that remains (AVHR, MVHR,
anterior/posterior) and a *loss* is height that is gone; nothing is called a compression rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from features.derived import Columns, Derived, Floats, Objects, coded, first_known, number, per_positive, rows_of, words

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

_Ratio = Callable[[Columns], Derived]

#: A loss that lies on a threshold but for the last bits of its division counts as lying on it.
_ROUNDING_PCT = 1e-9
_NEIGHBOURS = np.array([None, "above_only", "below_only", "both_neighbours"], dtype=object)


def avhr_pct(columns: Columns) -> Derived:
    """Anterior vertebral height ratio, the height that REMAINS; 100 is normal.

    AVHR = 100 * 2 * FVAH / (AH above + AH below) (Zhang 2022; Huang 2022 divides by the mean of the neighbours, which
    is the same). With one neighbour only, 100 * FVAH / that one. A stated ``avhr_pct`` is taken as it is. Source:
    ``stated``, ``both_neighbours``, ``above_only`` or ``below_only``.
    """
    return _stated_or(columns, "avhr_pct", _anterior_ratio(columns))


def mvhr_pct(columns: Columns) -> Derived:
    """Middle vertebral height ratio, the height that remains: as ``avhr_pct``, with middle heights (Huang 2022)."""
    return _stated_or(columns, "mvhr_pct", _middle_ratio(columns))


def ap_ratio_pct(columns: Columns) -> Derived:
    """Anterior/posterior height ratio of the fractured body, 100 * FVAH / PVH (Feng 2022, there "compression rate").

    A healthy body is not at 100: see ``NORMAL_RATIOS``. Source: ``stated`` or ``heights``.
    """
    ratio = 100 * per_positive(number(columns, "fvah_mm"), number(columns, "pvh_mm"))
    return _stated_or(columns, "ap_ratio_pct", Derived(ratio, _where_known(ratio, "heights")))


def compression_loss_pct(columns: Columns) -> Derived:
    """Anterior height LOST, 100 - AVHR; negative where the body exceeds its neighbours. Source as ``avhr_pct``."""
    remaining = avhr_pct(columns)
    return Derived(100 - remaining.value, remaining.source)


def height_loss_pct(columns: Columns) -> Derived:
    """Largest height loss of the body, the quantity that Genant's grades cut.

    Anterior: 100 - AVHR against the neighbours, else against the body's own posterior wall times the level's normal
    anterior/posterior ratio (``NORMAL_RATIOS``; those of L3 for L4 and L5). Middle: 100 - MVHR, else against the own
    posterior wall times the normal middle/posterior ratio. The larger of those that can be computed counts. The
    posterior wall has no reference of its own here, so a body that lost all three heights evenly shows its loss only
    against its neighbours. Where no raw height gives a loss, stated ratios serve. Source: ``anterior`` or ``middle``
    with ``_neighbours``, ``_posterior_wall`` or ``_stated``.
    """
    measured = _measured_loss(columns)
    if "avhr_pct" not in columns and "mvhr_pct" not in columns:
        return measured
    stated = _stated_loss(columns)
    known = measured.value == measured.value
    return Derived(np.where(known, measured.value, stated.value), np.where(known, measured.source, stated.source))


def genant_grade(columns: Columns) -> Derived:
    """Genant's semiquantitative grade, 0 to 3, of the worst height loss (Genant 1993).

    0 below 20 %, 1 from 20 to 25 %, 2 above 25 to 40 %, 3 above 40 %: both ends of grade 1 and the upper end of grade 2
    belong to them. Measured heights come first, then a stated grade, then stated ratios. Source: ``heights``,
    ``stated`` or ``stated_ratio``.
    """
    candidates = [("heights", grade_of_loss(_measured_loss(columns).value))]
    if "genant_grade" in columns:
        candidates.append(("stated", coded(columns["genant_grade"], GENANT_CODES)))
    if "avhr_pct" in columns or "mvhr_pct" in columns:
        candidates.append(("stated_ratio", grade_of_loss(_stated_loss(columns).value)))
    return first_known(tuple(candidates))


def grade_of_loss(loss_pct: Floats) -> Floats:
    """The Genant grade of a height loss in %, see ``genant_grade``; NaN stays NaN."""
    grade = (loss_pct >= 20 - _ROUNDING_PCT) * 1.0 + (loss_pct > 25 + _ROUNDING_PCT) + (loss_pct > 40 + _ROUNDING_PCT)
    return np.where(loss_pct == loss_pct, grade, np.nan)


def compression_degree(columns: Columns) -> Derived:
    """Compression degree 1, 2, 3 for I, II, III: anterior loss below 33, 33 to 66, above 66 % (Zhang 2022).

    A stated degree is taken as it is. Source: ``stated``, or as ``avhr_pct``.
    """
    loss = compression_loss_pct(columns)
    degree = 1.0 + (loss.value >= 33 - _ROUNDING_PCT) + (loss.value > 66 + _ROUNDING_PCT)
    computed = Derived(np.where(loss.value == loss.value, degree, np.nan), loss.source)
    return _prefer(coded(words(columns, "compression_degree"), DEGREE_CODES), computed)


def severity(columns: Columns) -> Derived:
    """Fracture severity 0 none, 1 mild, 2 moderate, 3 severe: the Genant grade in words.

    Chen 2025 keeps "fracture severity" as a predictor without defining it; this is our reading. A stated severity is
    taken as it is. Source: ``stated``, or as ``genant_grade`` with ``genant_`` before it.
    """
    grade = genant_grade(columns)
    source = np.array([None if code is None else f"genant_{code}" for code in grade.source.tolist()], dtype=object)
    return _prefer(coded(words(columns, "fracture_severity"), SEVERITY_CODES), Derived(grade.value, source))


def wedge_angle_deg(columns: Columns) -> Derived:
    """Angle between the endplates of the fractured body, as stated: ``wedge_angle_deg``, else ``cobb_vertebral_deg``.

    The second is the same angle under the name that Feng 2022 gives it. Heights alone give no angle, the depth of the
    body is needed: see ``wedge_angle_from_heights``. Source: the name of the variable.
    """
    names = ("wedge_angle_deg", "cobb_vertebral_deg")
    return first_known(tuple((name, number(columns, name)) for name in names))


def wedge_angle_from_heights(anterior_mm: Floats, posterior_mm: Floats, depth_mm: Floats) -> Floats:
    """Wedge angle of a body of known heights and depth, in degrees; positive when the front is lower.

    2 * atan((posterior - anterior) / (2 * depth)): the body is taken as a symmetric trapezium, both endplates tilting
    by half the angle. NaN where the depth is not above 0.
    """
    half_tangent = per_positive(posterior_mm - anterior_mm, 2 * depth_mm)
    return np.asarray(np.degrees(2 * np.arctan(half_tangent)))


def _measured_loss(columns: Columns) -> Derived:
    anterior = _loss_of(columns, "anterior", "fvah_mm", _anterior_ratio, _ANTERIOR_TO_POSTERIOR)
    if "mvh_mm" not in columns:
        return anterior
    middle = _loss_of(columns, "middle", "mvh_mm", _middle_ratio, _MIDDLE_TO_POSTERIOR)
    return _larger(anterior, middle)


def _stated_loss(columns: Columns) -> Derived:
    anterior, middle = (100 - number(columns, name) for name in ("avhr_pct", "mvhr_pct"))
    return _larger(
        Derived(anterior, _where_known(anterior, "anterior_stated")),
        Derived(middle, _where_known(middle, "middle_stated")),
    )


def _larger(one: Derived, other: Derived) -> Derived:
    second = ~(one.value >= other.value) & (other.value == other.value)
    return Derived(np.where(second, other.value, one.value), np.where(second, other.source, one.source))


def _loss_of(
    columns: Columns, place: str, height: str, against_neighbours: _Ratio, normal: Mapping[str, float]
) -> Derived:
    """Loss of one height against the neighbours, else against the own posterior wall."""
    by_neighbours = 100 - against_neighbours(columns).value
    candidates = ((f"{place}_neighbours", by_neighbours),)
    if "pvh_mm" not in columns or "level" not in columns or bool((by_neighbours == by_neighbours).all()):
        return first_known(candidates)
    expected = columns["pvh_mm"] * coded(columns["level"], normal)
    by_wall = 100 - 100 * per_positive(number(columns, height), expected)
    return first_known((*candidates, (f"{place}_posterior_wall", by_wall)))


def _anterior_ratio(columns: Columns) -> Derived:
    return _ratio_to_neighbours(columns, "fvah_mm", "adj_ah_above_mm", "adj_ah_below_mm")


def _middle_ratio(columns: Columns) -> Derived:
    return _ratio_to_neighbours(columns, "mvh_mm", "adj_mh_above_mm", "adj_mh_below_mm")


def _ratio_to_neighbours(columns: Columns, own: str, above: str, below: str) -> Derived:
    if own not in columns or (above not in columns and below not in columns):
        rows = rows_of(columns)
        return Derived(np.full(rows, np.nan), np.full(rows, None, dtype=object))
    up, down = number(columns, above), number(columns, below)
    knows_up, knows_down = up == up, down == down
    reference = np.where(knows_up & knows_down, (up + down) / 2, np.where(knows_up, up, down))
    ratio = 100 * per_positive(columns[own], reference)
    which = np.where(ratio == ratio, knows_up + 2 * knows_down, 0)
    return Derived(ratio, _NEIGHBOURS[which])


def _stated_or(columns: Columns, name: str, computed: Derived) -> Derived:
    return computed if name not in columns else _prefer(columns[name], computed)


def _prefer(stated: Floats, computed: Derived) -> Derived:
    known = stated == stated
    return Derived(np.where(known, stated, computed.value), np.where(known, "stated", computed.source))


def _where_known(value: Floats, code: str) -> Objects:
    return np.where(value == value, code, None)  # type: ignore[call-overload,no-any-return]
