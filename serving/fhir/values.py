"""The value of one observation, as the variable holds it; what cannot be read is a fault, what is absent nothing."""

from __future__ import annotations

from typing import Any

from features.dictionary import Variable
from serving.fhir import codes, units
from serving.fhir.reading import Item, Json, at, codings, number, text
from serving.problem import Fault

#: SNOMED's qualifiers, which some systems send in the place of a truth value.
_YES, _NO = (codes.SNOMED, "373066001"), (codes.SNOMED, "373067005")


def value_of(variable: Variable, item: Item, faults: list[Fault]) -> Any:
    """What the observation says, in the form of ``/v1/risk``; None if it says nothing that we know."""
    resource = item.resource
    if variable.kind in ("number", "integer"):
        return _numeric(variable, item, faults)
    if variable.kind == "flag":
        return _flag(resource)
    if variable.kind in ("category", "ordinal"):
        return _choice(variable, item, faults)
    if variable.kind == "multi":
        return _choices(variable, resource)
    return text(resource, "valueString")


def _numeric(variable: Variable, item: Item, faults: list[Fault]) -> float | int | None:
    resource = item.resource
    plain = resource.get("valueInteger")
    if type(plain) is int and variable.unit in units.PURE:
        return plain
    quantity = at(resource, "valueQuantity")
    value = number(at(quantity, "value"))
    if quantity is None or value is None:
        return None
    if at(quantity, "comparator") is not None:
        faults.append(_fault(item, "/comparator", "not_exact", variable, "a value with a comparator is none"))
        return None
    return _converted(variable, value, quantity, item, faults)


def _converted(variable: Variable, value: float, quantity: Json, item: Item, faults: list[Fault]) -> float | int | None:
    factor = None
    if text(quantity, "system") == units.UCUM:
        factor = units.factor(variable, text(quantity, "code") or "")
    if factor is None:
        known = ", ".join(units.known_units(variable))
        detail = f"the unit is not known for it; state one of {known} of {units.UCUM} in system and code"
        faults.append(_fault(item, "/valueQuantity/code", "unknown_unit", variable, detail))
        return None
    converted = value if factor == 1.0 else value * factor
    return int(converted) if converted.is_integer() else converted


def _flag(resource: Json) -> bool | None:
    value = resource.get("valueBoolean")
    if isinstance(value, bool):
        return value
    given = codings(resource.get("valueCodeableConcept"))
    return True if _YES in given else (False if _NO in given else None)


def _choice(variable: Variable, item: Item, faults: list[Fault]) -> str | None:
    resource = item.resource
    given = codings(resource.get("valueCodeableConcept"))
    line = codes.found((c for c in codes.CODED_VALUES if c.variable == variable.name), given)
    if line is not None:
        return str(line.value)
    stated = text(resource, "valueString") or next((code for system, code in given if system == codes.DICTIONARY), None)
    if stated is None or stated in variable.choices:
        return stated
    detail = f"expected one of {', '.join(variable.choices)}"
    faults.append(_fault(item, "/value", "unknown_choice", variable, detail))
    return None


def _choices(variable: Variable, resource: Json) -> list[str] | None:
    given = codings(resource.get("valueCodeableConcept"))
    return sorted({code for system, code in given if system == codes.DICTIONARY}) or None


def _fault(item: Item, place: str, code: str, variable: Variable, detail: str) -> Fault:
    return Fault(item.pointer + place, code, f"{variable.name}: {detail}")
