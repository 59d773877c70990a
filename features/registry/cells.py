"""From the text of one cell to the value that its variable holds, or to the reason why not. Nothing is guessed."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from types import MappingProxyType

from features.dictionary import UNKNOWN_TOKENS
from features.errors import Finding
from features.registry.codes import finding
from features.variable import Value, Variable

FLAGS = MappingProxyType({"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True})
#: Between the values of a cell that holds several.
SEPARATOR = ";"
MAX_TEXT = 200

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_NUMBER = 40


def parse(variable: Variable, text: str, date_format: str = "") -> Value | Finding | None:
    """The value in ``text``, None if it is unknown, or the finding that says why it cannot be read.

    ``date_format`` is that of ``datetime.strptime``; without it a date is ISO. Limits are not looked at here.
    """
    text = text.strip()
    if not text or (variable.kind != "text" and text.lower() in UNKNOWN_TOKENS):
        return None
    if variable.kind == "number":
        return _number(variable, text)
    if variable.kind == "integer":
        return _integer(variable, text)
    if variable.kind == "flag":
        found = FLAGS.get(text.lower())
        return finding("not_a_flag", variable.name) if found is None else found
    if variable.kind == "multi":
        return parse_several(variable, text.split(SEPARATOR))
    if variable.kind == "date":
        return _date(variable, text, date_format)
    if variable.kind == "text":
        return _text(variable, text)
    return _choice(variable, text)


def parse_several(variable: Variable, parts: Iterable[str]) -> Value | Finding | None:
    """The set of choices in ``parts``; empty and unknown ones say nothing, and nothing at all is unknown."""
    found: set[str] = set()
    for part in (part.strip() for part in parts):
        if not part or part.lower() in UNKNOWN_TOKENS:
            continue
        choice = _choice(variable, part)
        if isinstance(choice, Finding):
            return choice
        found.add(choice)
    return frozenset(found) or None


def write(variable: Variable, value: Value | None) -> str:
    """The cell that ``parse`` reads back as ``value``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, frozenset):
        return SEPARATOR.join(choice for choice in variable.choices if choice in value)
    return repr(value) if isinstance(value, float) else str(value)


def number(text: str) -> float | None:
    """A finite number written with a decimal point, or None."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def _number(variable: Variable, text: str) -> float | Finding:
    found = number(text)
    return finding("not_a_number", variable.name, _number_hint(text)) if found is None else found


def _integer(variable: Variable, text: str) -> int | Finding:
    found = number(text)
    if found is None:
        return finding("not_a_number", variable.name, _number_hint(text))
    # A column of integers with gaps comes out of many programs as 3.0.
    return int(found) if found.is_integer() else finding("not_an_integer", variable.name)


def _number_hint(text: str) -> str:
    """What the cell looks like, in words that hold nothing of it."""
    if "\u2212" in text or "\u2013" in text:
        return "the minus is a typographic sign: write the plain hyphen"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return "it has a decimal comma: write a point"
    if re.match(r"([pP]\s*)?[<>=≤≥]", text):
        return "it looks like a P value or a bound, not like a measurement"
    if "±" in text:
        return "it looks like a mean with its spread, not like a patient's value"
    if re.match(r"[+-]?[0-9.]+\s*[^\W\d_%]+\W*[0-9]?$|[+-]?[0-9.]+\s*%$", text):
        return "write the number without its unit"
    return "leave the cell empty if the value is unknown"


def _choice(variable: Variable, text: str) -> str | Finding:
    if text in variable.choices:
        return text
    # Capitals do not matter, unless two choices differ in nothing else.
    alike = [choice for choice in variable.choices if choice.lower() == text.lower()]
    if len(alike) == 1:
        return alike[0]
    return finding("unknown_choice", variable.name, f"choices: {', '.join(variable.choices)}")


def _date(variable: Variable, text: str, date_format: str) -> str | Finding:
    try:
        if date_format:
            return datetime.strptime(text, date_format).date().isoformat()
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    return finding("not_a_date", variable.name)


def _text(variable: Variable, text: str) -> str | Finding:
    if len(text) > MAX_TEXT or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
        return finding("not_printable", variable.name)
    return text

