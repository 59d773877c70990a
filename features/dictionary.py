"""The variable dictionary: the single source of truth for names, units, limits and the moment of knowledge.

Request types, export checks, the REDCap dictionary, the README table and the column order of every model are generated
from it. ``fingerprint()`` is its hash; a trained model carries it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Literal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One clinical variable.

    ``lowest``/``highest`` are hard limits (outside: rejected), ``plausible_low``/``plausible_high`` the range seen in
    treated patients (outside: warned). ``choices`` are ordered for an ordinal. ``scope`` says whether a patient or each
    treated vertebra has one. ``aliases`` are names that readers accept for the same thing in the same unit.
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
    derivation: str = ""
    measurement: str = ""
    source: str = ""
    notes: str = ""
    aliases: tuple[str, ...] = ()
