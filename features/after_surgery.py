"""What the first images after the operation say, as numbers for the postoperative model: pure, row by row.

Of several vertebrae the worst leak and distribution count, and of contact, height and angle the vertebra with most. NaN
is unknown. None of it is known before surgery.
"""

from __future__ import annotations

import numpy as np

from features import recovery
from features.derived import Columns, Floats, coded, first_known, number, words
from features.predictor import Predictor, coded_as, number_of

#: The landmark of the postoperative model, in days from the procedure: the first images are there by then (mean stays
#: are 4.5 to 4.9 days, Zhang 2022). It counts time from here, and only for those who reach it without a new fracture.
LANDMARK_DAY = 7

LEAK_LEVELS = ("none", "other", "disc")
CONTACT_LEVELS = ("none", "one", "both")
DISTRIBUTION_LEVELS = ("A", "B", "C")

_CONTACT = {"none": 0.0, "upper": 1.0, "lower": 1.0, "both": 2.0}
_DISTRIBUTION = {name: float(code) for code, name in enumerate(DISTRIBUTION_LEVELS)}


def leak_route(columns: Columns) -> Floats:
    """0 no leak, 1 a leak but none into a disc, 2 a leak into a disc (route D), index into ``LEAK_LEVELS``.

    Unknown if it was not assessed, if a leak's route was not told, or if it was found after the landmark: at the
    landmark nobody knew of it, and "none seen" would not be true either.
    """
    found = words(columns, "leak_routes").tolist()
    codes = np.array([_leak_code(routes) for routes in found], dtype=float)
    return np.where(number(columns, "leak_detected_days") > LANDMARK_DAY, np.nan, codes)


def _leak_code(routes: frozenset[str] | None) -> float:
    if not routes:
        return float("nan")
    if "D" in routes:
        return 2.0
    if "unspecified" in routes:
        return float("nan")
    return 0.0 if "none" in routes else 1.0


def endplate_contact(columns: Columns) -> Floats:
    """0 no endplate touched by cement, 1 one, 2 both, index into ``CONTACT_LEVELS``."""
    return coded(columns, "endplate_contact", _CONTACT)


def distribution_abc(columns: Columns) -> Floats:
    """Distribution type of Zhang 2022: index into ``DISTRIBUTION_LEVELS``."""
    return coded(columns, "distribution_abc", _DISTRIBUTION)


def height_regained_mm(columns: Columns) -> Floats:
    """Anterior height regained: as stated, else after surgery minus before."""
    before, after = number(columns, "fvah_mm"), number(columns, "fvah_postop_mm")
    computed = recovery.fvahr_mm(before, after)
    return first_known(columns, (("stated", number(columns, "fvahr_mm")), ("heights", computed))).value


def angle_corrected_deg(columns: Columns) -> Floats:
    """Local kyphotic angle corrected: as stated, else before surgery minus after."""
    before, after = number(columns, "lka_deg"), number(columns, "lka_postop_deg")
    computed = recovery.kyphosis_recovery_deg(before, after)
    return first_known(columns, (("stated", number(columns, "lka_recovery_deg")), ("angles", computed))).value


#: What the postoperative model reads beside what the preoperative one does.
PREDICTORS = (
    Predictor(
        "cement_volume_ml",
        "cement_volume_ml",
        ("cement_volume_ml",),
        "continuous",
        number_of("cement_volume_ml"),
        "sum",
        resolution=0.25,
    ),
    Predictor(
        "distribution_abc",
        "distribution_abc",
        ("distribution_abc",),
        "levels",
        distribution_abc,
        "highest",
        DISTRIBUTION_LEVELS,
    ),
    Predictor(
        "distribution_separated",
        "distribution_cf_sp",
        ("distribution_cf_sp",),
        "flag",
        coded_as("distribution_cf_sp", {"CF": 0.0, "SP": 1.0}),
        "any",
    ),
    Predictor(
        "solid_lump",
        "cement_pattern",
        ("cement_pattern",),
        "flag",
        coded_as("cement_pattern", {"solid_lump": 1.0}, 0.0),
        "any",
    ),
    Predictor(
        "endplate_contact",
        "endplate_contact",
        ("endplate_contact",),
        "levels",
        endplate_contact,
        "most",
        CONTACT_LEVELS,
    ),
    Predictor(
        "leak_route",
        "leak_routes",
        ("leak_routes", "leak_detected_days"),
        "levels",
        leak_route,
        "highest",
        LEAK_LEVELS,
    ),
    Predictor(
        "fvahr_mm",
        "fvahr_mm",
        ("fvahr_mm", "fvah_mm", "fvah_postop_mm"),
        "continuous",
        height_regained_mm,
        "most",
        resolution=0.5,
    ),
    Predictor(
        "lka_recovery_deg",
        "lka_recovery_deg",
        ("lka_recovery_deg", "lka_deg", "lka_postop_deg"),
        "continuous",
        angle_corrected_deg,
        "most",
        resolution=0.5,
    ),
)
