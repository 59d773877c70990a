"""What a clinical variable is: a frozen value that knows its unit, limits and moment, and judges a value of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Literal

from features.errors import Finding

Kind = Literal["number", "integer", "flag", "category", "ordinal", "multi", "date", "text"]
Scope = Literal["patient", "vertebra"]
Role = Literal["identifier", "predictor", "plan", "course", "outcome"]

#: What a variable holds in a record, by kind: float, int, bool, str, str, frozenset[str], ISO date str, str.
Value = float | int | bool | str | frozenset[str]


class Moment(IntEnum):
    """When a variable becomes known. A model asked at one moment may use nothing that is known later."""

    PREOP = 0
    PLANNED = 1  # a decision about the operation, made before it: a lever, not a fact
    INTRAOP = 2
    POSTOP = 3
    FOLLOW_UP = 4


#: The way out of a choice that there is not; nobody may take it where a value is required.
OR_EMPTY = "; leave it empty if unknown"
#: unit -> (factor, what the value then probably was): the slips of unit that real exports show; of a sign, a question.
UNIT_SLIPS: dict[str, tuple[tuple[float, str], ...]] = {
    "mm": ((10.0, "centimetres"),),
    "cm": ((100.0, "metres"), (0.1, "millimetres")),
    "g/L": ((10.0, "g/dL"),),
    "nmol/L": ((2.496, "ng/mL"),),
    "g/cm2": ((0.001, "mg/cm2"),),
    "ml": ((0.001, "cubic millimetres"),),
    "%": ((100.0, "a fraction between 0 and 1"),),
    "SD": ((-1.0, "did you lose the minus sign?"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One clinical variable.

    ``lowest``/``highest`` are hard limits (outside: rejected), ``plausible_low``/``plausible_high`` the range that
    holds about the central 99 % of treated patients (outside: warned); all four are inclusive. ``choices`` are in order
    for an ordinal. ``scope`` says whether a patient or each treated vertebra has one. ``aliases`` are names that
    readers accept for the same thing in the same unit and coding.

    ``derivation`` says how the value is computed. With ``derived`` true it is only ever computed and refused as input;
    with ``derived`` false a stated value is taken and the derivation fills the gap when it is absent.
    """

    name: str
    label: str
    definition: str
    kind: Kind
    known_at: Moment
    scope: Scope
    role: Role
    unit: str = ""
    choices: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    plausible_low: float | None = None
    plausible_high: float | None = None
    derived: bool = False
    derivation: str = ""
    measurement: str = ""
    source: str = ""
    notes: str = ""
    aliases: tuple[str, ...] = ()
    # The range inside which a number needs no second look, and the choices as a set: `judge` is on the path of every
    # request and every cell of an export.
    _low: float = field(init=False, repr=False, compare=False, default=-math.inf)
    _high: float = field(init=False, repr=False, compare=False, default=math.inf)
    _choices: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        lows = [bound for bound in (self.lowest, self.plausible_low) if bound is not None]
        highs = [bound for bound in (self.highest, self.plausible_high) if bound is not None]
        object.__setattr__(self, "_low", max(lows, default=-math.inf))
        object.__setattr__(self, "_high", min(highs, default=math.inf))
        object.__setattr__(self, "_choices", frozenset(self.choices))

    def judge(self, value: Value) -> Finding | None:
        """Say what is wrong with ``value`` (of the Python type that this kind holds), or None.

        Rejects with ``not_finite``, ``below_limit``, ``above_limit``, ``unknown_choice``, ``no_choice`` or
        ``not_a_date``; warns with ``implausible_low`` or ``implausible_high``. The detail never holds the value.
        """
        kind = self.kind
        if kind == "number" or kind == "integer":
            # NaN fails the comparison too, and so reaches the slow path.
            return None if self._low <= value <= self._high else self._judge_range(float(value))  # type: ignore
        if kind == "category" or kind == "ordinal":
            return None if value in self._choices else self._unknown_choice()
        if kind == "multi":
            return self._judge_set(value)
        if kind == "date":
            return self._judge_date(value)
        return None

    def describe_limits(self) -> str:
        """The hard limits in words, such as ``4 to 45 mm``; empty when there are none."""
        return _range_text(self.lowest, self.highest, self.unit)

    def describe_plausible(self) -> str:
        """The plausible range in words; empty when there is none."""
        return _range_text(self.plausible_low, self.plausible_high, self.unit)

    def _judge_range(self, value: float) -> Finding | None:
        if not math.isfinite(value):
            return self._finding("not_finite", "a finite number is expected; leave it empty if it is unknown")
        if self.lowest is not None and value < self.lowest:
            return self._finding("below_limit", f"possible is {self.describe_limits()}{self._hint(value)}")
        if self.highest is not None and value > self.highest:
            return self._finding("above_limit", f"possible is {self.describe_limits()}{self._hint(value)}")
        usual = f"treated patients have {self.describe_plausible()}{self._hint(value)}"
        low = self.plausible_low is not None and value < self.plausible_low
        return self._finding("implausible_low" if low else "implausible_high", usual, "warn")

    def _hint(self, value: float) -> str:
        for factor, what in UNIT_SLIPS.get(self.unit, ()):
            if self._low <= value * factor <= self._high:
                if factor < 0:
                    return f"; {what}"
                return f"; it looks like {what}: convert to {self.unit}"
        return ""

    def _unknown_choice(self) -> Finding:
        return self._finding("unknown_choice", f"expected one of {', '.join(self.choices)}{OR_EMPTY}")

    def _judge_set(self, value: Value) -> Finding | None:
        assert isinstance(value, frozenset)
        if not value:
            return self._finding("no_choice", f"an empty set says nothing{OR_EMPTY}")
        return None if value <= self._choices else self._unknown_choice()

    def _judge_date(self, value: Value) -> Finding | None:
        try:
            well_formed = date.fromisoformat(str(value)).isoformat() == value
        except ValueError:
            well_formed = False
        return None if well_formed else self._finding("not_a_date", "expected a calendar date as YYYY-MM-DD")

    def _finding(self, code: str, detail: str, severity: str = "reject") -> Finding:
        return Finding(code=code, variable=self.name, detail=f"{self.name}: {detail}", severity=severity)


def _range_text(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    ends = [f"{bound:g}" if bound is not None else "" for bound in (low, high)]
    text = f"{ends[0]} to {ends[1]}" if all(ends) else (f"at least {ends[0]}" if ends[0] else f"at most {ends[1]}")
    return text if unit in ("", "count") else f"{text} {unit}"
