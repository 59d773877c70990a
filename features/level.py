"""What follows from the level alone: its region, its SINS class, whether it lies at the thoracolumbar junction."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.derived import Columns, Derived, coded, known_from
from features.variables.fracture import LEVELS

#: T11 to L2, where the stiff thoracic spine meets the mobile lumbar one.
THORACOLUMBAR_JUNCTION = frozenset({"T11", "T12", "L1", "L2"})

#: Region after Zhang 2022; S1 belongs to none.
REGION: Mapping[str, str] = MappingProxyType(
    {
        **{f"T{n}": "T1-T10" for n in range(1, 11)},
        **dict.fromkeys(("T11", "T12", "L1", "L2"), "T11-L2"),
        **dict.fromkeys(("L3", "L4", "L5"), "L3-L5"),
    }
)

#: Location class of the Spinal Instability Neoplastic Score (Fisher 2010) of the levels that are treated here.
SINS_LOCATION: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("T1", "T2", "T11", "T12", "L1", "L5", "S1"), "junctional"),
        **{f"T{n}": "semirigid" for n in range(3, 11)},
        **dict.fromkeys(("L2", "L3", "L4"), "mobile"),
    }
)

_AT_JUNCTION = {level: float(level in THORACOLUMBAR_JUNCTION) for level in LEVELS}


def thoracolumbar_junction(columns: Columns) -> Derived:
    """1 where the level is one of T11 to L2, 0 where it is another, NaN where it is unknown; from ``level``."""
    return known_from(coded(columns, "level", _AT_JUNCTION), "level")
