"""Units that a mapping may name, and the factor from each to the unit of the dictionary."""

from __future__ import annotations

import math

from features.variable import Variable

#: One table per dimension: unit -> how many of the first unit it is. A month is a twelfth of 365 days, so that 3, 12
#: and 24 months are the horizons of 91, 365 and 730 days.
_DIMENSIONS: tuple[dict[str, float], ...] = (
    {"mm": 1.0, "cm": 10.0, "m": 1000.0},
    {"ml": 1.0, "cc": 1.0, "cm3": 1.0, "mm3": 0.001, "l": 1000.0},
    {"kg": 1.0, "g": 0.001, "lb": 0.45359237},
    {"g/L": 1.0, "g/dL": 10.0, "mg/dL": 0.01},
    {"ng/mL": 1.0, "ug/L": 1.0, "pg/mL": 0.001},
    {"g/cm2": 1.0, "mg/cm2": 0.001},
    {"mg/cm3": 1.0, "mg/ml": 1.0, "g/cm3": 1000.0},
    {"%": 1.0, "fraction": 100.0},
    {"deg": 1.0, "rad": 180.0 / math.pi},
    {"days": 1.0, "weeks": 7.0, "months": 365.0 / 12.0, "years": 365.0},
    {"min": 1.0, "s": 1.0 / 60.0, "h": 60.0},
)
#: Conversions that depend on the substance: 25-hydroxyvitamin D weighs 400.6 g/mol.
_SUBSTANCES: dict[str, dict[str, float]] = {"vitamin_d_nmol_l": {"nmol/L": 1.0, "ng/mL": 2.496, "ug/L": 2.496}}


def convertible(variable: Variable) -> dict[str, float]:
    """Each unit that can be converted to the variable's, with its factor; its own unit has 1."""
    table = _SUBSTANCES.get(variable.name)
    if table is None:
        table = next((units for units in _DIMENSIONS if variable.unit in units), {variable.unit: 1.0})
    return {unit: factor / table[variable.unit] for unit, factor in table.items() if unit}
