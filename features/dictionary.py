"""The variable dictionary: the single source of truth for names, units, limits and the moment of knowledge.

Request types, export checks, the REDCap dictionary, the README table and the column order of every model are generated
from it. ``fingerprint()`` is its hash; a trained model carries it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from features.variable import Kind, Moment, Role, Scope, Value, Variable
from features.variables import bone, course, fracture, heights, outcome, patient, plan

__all__ = [
    "OMITTED",
    "UNKNOWN_TOKENS",
    "VARIABLES",
    "Kind",
    "Moment",
    "Role",
    "Scope",
    "Value",
    "Variable",
    "fingerprint",
]

#: Words that stand for "unknown" in a cell of any kind, beside the empty cell. A reader may accept them; no choice of
#: any variable is spelled like one of them.
UNKNOWN_TOKENS = ("unknown",)

#: Names that papers and older exports use and that are no variables here, each with what says the same.
OMITTED: Mapping[str, str] = MappingProxyType(
    {
        "leak_any": "leak_routes: none, or unspecified when the route is not known",
        "refracture_any": "refracture",
        "refracture_same": "refracture = same",
        "refracture_adjacent": "refracture = adjacent",
        "refracture_remote": "refracture = remote",
        "event_code": "refracture and died",
        "last_contact_date": "last_seen_days: a count of days identifies nobody",
        "death_date": "died and last_seen_days",
        "follow_up_months": "last_seen_days",
        "survival_status": "died and last_seen_days",
    }
)


def _in_order(*groups: tuple[Variable, ...]) -> dict[str, Variable]:
    ordered: dict[str, Variable] = {}
    for variable in (variable for group in groups for variable in group):
        if variable.name in ordered:
            raise ValueError(f"the dictionary defines {variable.name} twice")
        ordered[variable.name] = variable
    return ordered


#: Every variable by its name, in the order of columns.
VARIABLES: Mapping[str, Variable] = MappingProxyType(
    _in_order(
        patient.VARIABLES,
        bone.VARIABLES,
        fracture.VARIABLES,
        heights.VARIABLES,
        plan.VARIABLES,
        course.VARIABLES,
        outcome.VARIABLES,
    )
)

#: What a fingerprint covers: a change of any of these changes what a value means or whether it is accepted. Labels,
#: sources and notes may be reworded without making a trained model foreign.
_MEANING = (
    "name",
    "definition",
    "kind",
    "known_at",
    "scope",
    "role",
    "unit",
    "choices",
    "lowest",
    "highest",
    "plausible_low",
    "plausible_high",
    "derived",
    "derivation",
)


@cache
def fingerprint() -> str:
    """SHA-256, in hex, of all that gives the variables their meaning, in the order of columns."""
    meaning = [{key: getattr(variable, key) for key in _MEANING} for variable in VARIABLES.values()]
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
