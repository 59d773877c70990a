"""The page and what it loads: read from the package when first asked for, nothing from another host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.build import PREDICTORS, outcomes_at
from features.dictionary import VARIABLES, Moment
from features.dictionary_text import as_json
from serving.schema import accepted_in_question

#: What may be loaded from ``/static/``, with its media type.
STATIC: Mapping[str, str] = MappingProxyType(
    {
        "page.css": "text/css",
        "page.js": "text/javascript",
        "form.js": "text/javascript",
        "result.js": "text/javascript",
    }
)


@cache
def asset(name: str) -> bytes:
    """A file of the page. ``name`` is one of ours, never taken from a request unchecked."""
    return (Path(__file__).parent / name).read_bytes()


@cache
def dictionary() -> dict[str, Any]:
    """The dictionary with, for each variable, whether a question before surgery takes it and which models use it.

    ``used_before``: a model asked before surgery uses it. ``asked_first`` are the variables that its predictors
    are named after; the others that are used stand in for them.
    """
    found, before = as_json(), outcomes_at(Moment.PLANNED)
    for described in found["variables"]:
        variable = VARIABLES[described["name"]]
        described["asked"] = accepted_in_question(variable, Moment.PLANNED)
        described["used_by"] = [
            outcome for outcome, predictors in PREDICTORS.items() if any(variable.name in p.reads for p in predictors)
        ]
        described["used_before"] = any(outcome in described["used_by"] for outcome in before)
        described["asked_first"] = any(variable.name == p.variable for outcome in before for p in PREDICTORS[outcome])
    return found
