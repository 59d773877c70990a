"""The words of the page. One JSON file for each language, named by its code (ISO 639-1), beside this module.

To add a language copy ``/static/en.json`` of a running service, which holds every word, translate the values (what
stands in {braces} is filled in and stays), add ``faults``, ``warnings`` and ``drawn`` as ``zh.json`` has them, and put
it here. ``drawn`` are the words of the nomogram, each # a number.

English is what the service itself speaks, so ``en.json`` holds only the words of the page: labels, units, choices and
titles of problems are taken from where they are defined, and a fault or warning is shown as the service puts it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from features.cement_catalogue import CEMENTS
from features.dictionary import VARIABLES
from serving.problem import TITLES

_HERE = Path(__file__).parent
#: A choice with a small letter is a word; the others, such as L1 or OF2, are codes that stay.
_A_WORD = re.compile("[a-z]")
#: Choices with names of their own, which no language changes.
_NAMED = frozenset({"cement_product_id"})
#: Codes of the languages, English first.
LANGUAGES = ("en", "zh")


@cache
def language(code: str) -> dict[str, Any]:
    """Every word in one language, by ``ui``, ``variables``, ``units``, ``choices``, ``problems``, ``faults`` and
    ``warnings``; names of cements are the same in all of them."""
    found: dict[str, Any] = json.loads((_HERE / f"{code}.json").read_text(encoding="utf-8"))
    names = {f"cement_product_id.{product}": cement.name for product, cement in CEMENTS.items()}
    found["choices"] = {**names, **found["choices"]}
    return _english(found) if code == "en" else found


def _english(found: dict[str, Any]) -> dict[str, Any]:
    """The words of the page with those that the rest of the project defines; what the file has comes first."""
    choices = {choice for v in VARIABLES.values() if not v.derived and v.name not in _NAMED for choice in v.choices}
    said = {choice: choice.replace("_", " ") for choice in sorted(choices) if _A_WORD.search(choice)}
    return {
        **found,
        "variables": {name: variable.label for name, variable in VARIABLES.items()} | found["variables"],
        "units": {variable.unit: variable.unit for variable in VARIABLES.values() if variable.unit} | found["units"],
        "choices": said | found["choices"],
        "problems": dict(TITLES) | found["problems"],
    }
