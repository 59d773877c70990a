"""What the patient takes, as far as a drug's code, dose and time say what the dictionary asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from serving.fhir import codes
from serving.fhir.codes import Coding
from serving.fhir.reading import Item, Json, at, codings, day, number, objects, text
from serving.fhir.units import UCUM

if TYPE_CHECKING:
    from serving.fhir.mapping import Mapped

#: Requests and statements that stand now.
_STANDING = frozenset({"active", "draft", "intended"})
#: The definition of ``steroid_use``: at least 3 months at 5 mg prednisolone-equivalent a day.
_DAYS, _MILLIGRAMS = 90, 5.0
_DAYS_OF = {"d": 1.0, "wk": 7.0}


def read_medications(items: Sequence[Item], found: Mapped) -> None:
    """The drug against osteoporosis, and whether glucocorticoids are taken as the dictionary means it."""
    standing = [
        item
        for item in items
        if text(item.resource, "status") in _STANDING and item.resource.get("doNotPerform") is not True
    ]
    _bone_drug(standing, found)
    if "steroid_use" not in found.question["patient"]:
        _steroids(standing, found)


def _drug(resource: Json) -> list[Coding]:
    """Its codes; a reference is followed to a contained resource only, as nothing else was sent with it."""
    inside = text(resource, "medicationReference", "reference") or ""
    contained = [one for one in objects(resource.get("contained")) if inside == f"#{one.get('id')}"]
    return codings(resource.get("medicationCodeableConcept")) + [
        c for one in contained for c in codings(one.get("code"))
    ]


def _bone_drug(items: Sequence[Item], found: Mapped) -> None:
    lines = [
        (line, item) for item in items if (line := codes.found(codes.BONE_DRUGS, _drug(item.resource))) is not None
    ]
    if len({line.value for line, _ in lines}) > 1:
        found.notes.append("several drugs against osteoporosis are listed, so anti_osteoporosis_plan stays unknown")
    elif lines and "anti_osteoporosis_plan" not in found.question["patient"]:
        found.take("/patient/anti_osteoporosis_plan", lines[0][0].value, lines[0][1])


def _steroids(items: Sequence[Item], found: Mapped) -> None:
    for item in items:
        line = codes.found(codes.STEROIDS, _drug(item.resource))
        if line is None:
            continue
        assert isinstance(line.value, float) and found.operation is not None
        a_day, since = _milligrams_a_day(item.resource), _since(item.resource)
        if a_day is None or since is None:
            found.notes.append("a glucocorticoid without its dose or since when: steroid_use stays unknown")
        elif a_day * line.value >= _MILLIGRAMS and (found.operation - since).days >= _DAYS:
            found.take("/patient/steroid_use", True, item)
            return


def _milligrams_a_day(resource: Json) -> float | None:
    """Of the only dosage; None where there are several, or it is not told in mg and times a day or week."""
    dosages = objects(resource.get("dosageInstruction") or resource.get("dosage"))
    rates = objects(dosages[0].get("doseAndRate")) if len(dosages) == 1 else []
    if len(rates) != 1:
        return None
    dose: Any = rates[0].get("doseQuantity")
    repeat = at(dosages[0], "timing", "repeat")
    days = _DAYS_OF.get(text(repeat, "periodUnit") or "")
    value, period = number(at(dose, "value")), number(at(repeat, "period"))
    times = number(at(repeat, "frequency") if at(repeat, "frequency") is not None else 1)
    if (text(dose, "system"), text(dose, "code")) != (UCUM, "mg") or None in (value, period, times) or days is None:
        return None
    assert value is not None and period is not None and times is not None
    return value * times / (period * days) if period > 0 else None


def _since(resource: Json) -> date | None:
    return day(
        at(resource, "effectivePeriod", "start") or resource.get("effectiveDateTime") or resource.get("authoredOn")
    )
