"""How viscous the cement will be when it is injected: the state, not the brand."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from features.cement_catalogue import CEMENTS, Cement
from features.derived import Columns, Derived, coded, known_from, number, words

VISCOSITY_CODES: Mapping[str, float] = MappingProxyType({"low": 0.0, "medium": 1.0, "high": 2.0})

#: Stage of polymerisation -> state. In staged injection (Huang 2022) the dough is what meets the breach and closes it;
#: the wire-drawing cement that follows finds it closed. For leakage the state is therefore the dough's.
STAGE_VISCOSITY: Mapping[str, str] = MappingProxyType(
    {"wire-drawing": "low", "toothpaste": "medium", "dough": "high", "staged dough then wire-drawing": "high"}
)
_STAGE_CODES = {stage: VISCOSITY_CODES[state] for stage, state in STAGE_VISCOSITY.items()}

#: Room temperatures, in °C, at which a measured time is taken to hold: the test temperature of the cement standards,
#: 23 °C, give or take 2. Warmth hastens every cement, but by how much was measured for none of those catalogued.
TIMED_AT_C = (21.0, 25.0)


def viscosity(columns: Columns) -> Derived:
    """State of the cement at injection: 0 low, 1 medium, 2 high, NaN unknown.

    The first that is known of: ``planned_viscosity``; ``planned_injection_stage`` (wire-drawing low, toothpaste medium,
    dough high, staged dough then wire-drawing as dough); the product's state at ``planned_minutes_after_mixing``, only
    where the catalogue has a measured time and ``room_temperature_c`` is unknown or within ``TIMED_AT_C``; the
    product's class. A product whose sources contradict each other, or that is no PMMA, gives unknown.

    Source: ``planned_viscosity``, ``planned_injection_stage``, ``product_at_minutes``, ``product_class``; with NaN
    ``product_conflict``, ``not_pmma`` or ``product_unknown`` (a product outside the catalogue), or None (nothing said).
    """
    stated = known_from(coded(columns, "planned_viscosity", VISCOSITY_CODES), "planned_viscosity")
    return stated.otherwise(lambda: _by_stage(columns).otherwise(lambda: _by_product(columns)))


def state_of(cement: Cement, minutes: float, temperature_c: float) -> tuple[float, str]:
    """Viscosity code and source of a product, ``minutes`` after the start of mixing at a room temperature; NaN unknown.

    Between two measured times the earlier one holds, before the first the product's class.
    """
    if not cement.is_pmma:
        return np.nan, "not_pmma"
    if cement.viscosity is None:
        return np.nan, "product_conflict"
    reached = [state for time, state in cement.timed if minutes >= time]
    if reached and not (temperature_c < TIMED_AT_C[0] or temperature_c > TIMED_AT_C[1]):
        return VISCOSITY_CODES[reached[-1]], "product_at_minutes"
    return VISCOSITY_CODES[cement.viscosity], "product_class"


def _by_stage(columns: Columns) -> Derived:
    return known_from(coded(columns, "planned_injection_stage", _STAGE_CODES), "planned_injection_stage")


def _by_product(columns: Columns) -> Derived:
    products = words(columns, "cement_product_id").tolist()
    minutes = number(columns, "planned_minutes_after_mixing").tolist()
    warmth = number(columns, "room_temperature_c").tolist()
    states = [_state(*facts) for facts in zip(products, minutes, warmth, strict=True)]
    value = np.array([state for state, _ in states], dtype=np.float64)
    return Derived(value, lambda: np.array([code for _, code in states], dtype=object))


def _state(product: str | None, minutes: float, temperature_c: float) -> tuple[float, str | None]:
    if product is None:
        return np.nan, None
    cement = CEMENTS.get(product)
    return (np.nan, "product_unknown") if cement is None else state_of(cement, minutes, temperature_c)
