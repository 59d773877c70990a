"""UCUM units of a quantity, converted to those of the dictionary; one that is not known is refused, never guessed.

One table from UCUM to the names of ``features.units``, which has the factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.units import convertible
from features.variable import Variable

UCUM = "http://unitsofmeasure.org"

#: UCUM code -> the unit as the dictionary writes it.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mm": "mm", "cm": "cm", "m": "m", "kg": "kg", "g": "g", "[lb_av]": "lb",
        "mL": "ml", "ml": "ml", "cm3": "cm3", "L": "l", "l": "l",
        "g/L": "g/L", "g/l": "g/L", "g/dL": "g/dL", "g/dl": "g/dL", "mg/dL": "mg/dL", "mg/dl": "mg/dL",
        "ng/mL": "ng/mL", "ng/ml": "ng/mL", "ug/L": "ug/L", "ug/l": "ug/L", "pg/mL": "pg/mL", "pg/ml": "pg/mL",
        "nmol/L": "nmol/L", "nmol/l": "nmol/L", "g/cm2": "g/cm2", "mg/cm2": "mg/cm2",
        "mg/cm3": "mg/cm3", "mg/mL": "mg/ml", "mg/ml": "mg/ml", "kg/m2": "kg/m2", "cm2/m2": "cm2/m2",
        "%": "%", "deg": "deg", "rad": "rad", "d": "days", "wk": "weeks", "min": "min", "h": "h",
        "[hnsf'U]": "HU", "kV": "kV", "Cel": "°C", "a": "years",
    }
)  # fmt: skip
#: Units of the dictionary that have no dimension, with the UCUM codes that say so.
PURE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "SD": frozenset({"1", "{T-score}", "{T-Score}", "{T_score}", "{SD}"}),
        "points": frozenset({"1", "{score}", "{points}"}),
        "ratio": frozenset({"1", "{ratio}"}),
        "count": frozenset({"1", "{count}"}),
        "": frozenset({"1"}),
    }
)
#: Of an age only whole years are sure: a month of an age is not a month of the calendar of follow-ups.
_ONLY: Mapping[str, frozenset[str]] = MappingProxyType({"age_years": frozenset({"a"})})


def factor(variable: Variable, code: str) -> float | None:
    """What a value in this UCUM unit is multiplied by; None if the unit is not known for the variable."""
    only = _ONLY.get(variable.name)
    if only is not None and code not in only:
        return None
    if variable.unit in PURE:
        return 1.0 if code in PURE[variable.unit] else None
    name = NAMES.get(code)
    return None if name is None else convertible(variable).get(name)


def known_units(variable: Variable) -> list[str]:
    """The UCUM codes that are taken for the variable."""
    return sorted({code for code in (*NAMES, *PURE.get(variable.unit, ())) if factor(variable, code) is not None})
