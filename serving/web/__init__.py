"""The page and what it loads: read from the package when first asked for, nothing from another host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from features.build import PREDICTORS, outcomes_at
from features.dictionary import VARIABLES, Moment, Variable
from features.dictionary_text import as_json
from features.rules import LOWEST_AGE_YEARS
from serving.answer import READ_BY_RULES
from serving.schema import MOMENTS, accepted_in_question
from serving.web.languages import LANGUAGES, language

_HERE = Path(__file__).parent

#: What may be loaded from ``/static/``, with its media type.
STATIC: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("page.css", "result.css", "print.css"), "text/css")
    | dict.fromkeys(
        (
            "page.js",
            "dom.js",
            "service.js",
            "language.js",
            "form.js",
            "charts.js",
            "result.js",
            "plan.js",
            "nomogram.js",
        ),
        "text/javascript",
    )
    | dict.fromkeys(
        ("example.json", "languages.json", *(f"{code}.json" for code in LANGUAGES)),
        "application/json",
    )
)

#: Asked by no model, yet a rule wants it beside a variable that is.
_WANTED_BY_RULES = READ_BY_RULES | {"leak_modality"}

#: Values that can be read, yet are of patients whom the models do not know, lie below.
_LOWEST_IN_SCOPE: Mapping[str, float] = MappingProxyType({"age_years": LOWEST_AGE_YEARS})

Place = Literal["first", "more"]


@cache
def asset(name: str) -> bytes:
    """A file of the page. ``name`` is one of ours, never taken from a request unchecked."""
    code = name.removesuffix(".json")
    if name == "languages.json":
        return _json({code: language(code)["name"] for code in LANGUAGES})
    return _json(language(code)) if code in LANGUAGES else (_HERE / name).read_bytes()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@cache
def dictionary() -> dict[str, Any]:
    """The dictionary with, for each variable, whether a question before surgery takes it and which models use it.

    ``form``: where the form has it, by the moment of the question: ``first`` are the variables that the predictors are
    named after, those that decide whether the models know such a patient, and what the operation showed; ``more`` those
    that stand in for what is missing; null where nothing uses it. ``lowest_in_scope``: from which value on the models
    know a patient, null where any that can be read will do.
    """
    found = as_json()
    for described in found["variables"]:
        variable = VARIABLES[described["name"]]
        described["asked"] = accepted_in_question(variable, Moment.PLANNED)
        described["used_by"] = [
            outcome for outcome, predictors in PREDICTORS.items() if any(variable.name in p.reads for p in predictors)
        ]
        described["lowest_in_scope"] = _LOWEST_IN_SCOPE.get(variable.name)
        described["form"] = {word: form_place(variable, moment) for word, moment in MOMENTS.items()}
    return found


def form_place(variable: Variable, moment: Moment) -> Place | None:
    """Where the form of a question asked at ``moment`` has the variable; None if it has it not."""
    predictors = [p for outcome in outcomes_at(moment) for p in PREDICTORS[outcome]]
    used = any(variable.name in p.reads for p in predictors) or variable.name in _WANTED_BY_RULES
    if not used or not accepted_in_question(variable, moment):
        return None
    named = variable.name in _WANTED_BY_RULES or any(variable.name == p.variable for p in predictors)
    return "first" if named or variable.known_at > Moment.PLANNED else "more"
