"""How much cement is planned, and how much that is of the vertebral body."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from features.derived import Columns, Derived, Floats, coded, known_from, number, per_positive

#: Volume of an uncompressed body relative to L2, by level: an approximation.
#: T1 to L2: cube of the posterior height relative to L2 (bodies of one spine taken as geometrically similar), from the
#: mean annotated CT heights behind ``fracture_severity.NORMAL_RATIOS``; the height that fractures spare most.
#: L3 to L5: labelled bodies of one public CT, the example in the repository of TotalSegmentator (Wasserthal 2023,
#: Apache-2.0), not kept here: L2 36.4, L3 38.3, L4 39.0, L5 34.0 ml, the arch not labelled; because from L3 on bodies
#: grow wider, not higher. The rise to L4 and the fall at L5 are those of the CT series of doi
#: 10.1007/s00276-015-1552-2. S1 has no body of this kind.
RELATIVE_VOLUME: Mapping[str, float] = MappingProxyType(
    {
        "T1": 0.23,
        "T2": 0.28,
        "T3": 0.30,
        "T4": 0.33,
        "T5": 0.35,
        "T6": 0.37,
        "T7": 0.39,
        "T8": 0.40,
        "T9": 0.44,
        "T10": 0.52,
        "T11": 0.64,
        "T12": 0.78,
        "L1": 0.90,
        "L2": 1.00,
        "L3": 1.05,
        "L4": 1.07,
        "L5": 0.93,
    }
)
#: Typical volume of a lumbar body without its arch, mean over L1 to L5 and both sexes, in ml; the spread between people
#: is about 7 ml.
LUMBAR_MEAN_ML = 30.0
#: Men's bodies over women's: 1.20 in cross-section at equal age and density (J Bone Miner Res 2014;29:562) times 1.05
#: in height (posterior height of L5 26.8 against 25.5 mm in a published CT table).
MEN_TO_WOMEN = 1.26

_LUMBAR_RELATIVE = sum(RELATIVE_VOLUME[f"L{n}"] for n in range(1, 6)) / 5
_ML = {level: LUMBAR_MEAN_ML * relative / _LUMBAR_RELATIVE for level, relative in RELATIVE_VOLUME.items()}
#: The mean of both sexes lies midway between them on the scale of ratios.
_SEX_FACTOR = {"female": MEN_TO_WOMEN**-0.5, "male": MEN_TO_WOMEN**0.5}


def expected_vertebral_volume_ml(columns: Columns) -> Derived:
    """Volume of an uncompressed body of the row's ``level`` and ``sex``, in ml; approximate, see ``RELATIVE_VOLUME``.

    Not a measurement of this patient: people of one sex differ by a quarter. NaN for S1 or an unknown level. Source:
    ``expected``, or ``expected_sex_unknown`` where the mean of both sexes stands in.
    """
    by_level = coded(columns, "level", _ML)
    factor = coded(columns, "sex", _SEX_FACTOR)
    knows_sex = factor == factor
    value = by_level * np.where(knows_sex, factor, 1.0)
    return known_from(value, np.where(knows_sex, "expected", "expected_sex_unknown").astype(object))


def body_volume_ml(columns: Columns) -> Derived:
    """Volume of the body in ml: ``vertebral_volume_ml``, else expected. Source: ``measured``, or as expected."""
    measured = number(columns, "vertebral_volume_ml")
    measured = np.where(measured > 0, measured, np.nan)
    return known_from(measured, "measured").otherwise(lambda: expected_vertebral_volume_ml(columns))


def planned_fraction_pct(columns: Columns) -> Derived:
    """Planned cement as a share of the body, in %: 100 * planned_volume_ml / volume of the body.

    The measured volume is of the body as it is now, compressed; the expected one of the body before it broke, so a
    fraction by it is lower. In cadavers 16 % restored strength and 30 % stiffness on average (Molloy 2003). Source:
    ``measured``, ``expected`` or ``expected_sex_unknown``; None where either volume is unknown.
    """
    return _share(number(columns, "planned_volume_ml"), body_volume_ml(columns))


def cement_fraction_pct(columns: Columns) -> Derived:
    """Injected cement as a share of the measured body, in %: ``cement_fraction_pct`` as stated, else computed.

    Known only after the operation. No expected volume stands in for a measured one. Source: ``stated`` or ``measured``.
    """
    measured = known_from(number(columns, "vertebral_volume_ml"), "measured")
    share = _share(number(columns, "cement_volume_ml"), measured)
    return known_from(number(columns, "cement_fraction_pct"), "stated").otherwise(lambda: share)


def _share(volume_ml: Floats, body: Derived) -> Derived:
    return known_from(100 * per_positive(volume_ml, body.value), body.source)
