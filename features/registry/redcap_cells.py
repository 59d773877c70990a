"""The cells of a REDCap export in one form, whether it was exported raw or with labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from features.errors import Finding
from features.registry.binding import Binding, Cell
from features.registry.cells import parse
from features.registry.codes import refuse
from features.registry.project import Column, Field, Project, plain, slug
from features.registry.text import Line, Table
from features.variable import Variable

#: Stands for a cell that is none of its field's choices; no choice is spelled like it.
NO_CHOICE = "\ufffd"

_BOXES = {"raw": {"1": True, "0": False}, "label": {"checked": True, "unchecked": False}}
_DATETIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T][0-9:.]+")


@dataclass(frozen=True, slots=True)
class Decoder:
    """Brings a line to ``fields``: choices as codes, checkboxes as the tuple of checked codes, nothing for unknown."""

    columns: tuple[Column, ...]
    project: Project
    export: str
    missing: frozenset[str]

    def fields(self, line: Line) -> dict[str, Cell]:
        """The cells of a line that say something, by field name; identifiers are not among them."""
        found: dict[str, Cell] = {}
        checked: dict[str, list[str]] = {}
        for column, cell in zip(self.columns, line.cells, strict=True):
            text = cell.strip()
            if not text or column.ignored:
                continue
            if column.code:
                code = self._box(column.code, text)
                if code:
                    checked.setdefault(column.name, []).append(code)
            elif (value := self._cell(column.name, text)) is not None:
                found[column.name] = value
        return found | {name: tuple(codes) for name, codes in checked.items()}

    def system(self, line: Line, name: str) -> str:
        """The cell of a column that REDCap adds, in small letters and underscores; empty if there is none."""
        place = next((place for place, column in enumerate(self.columns) if column.name == name), None)
        return "" if place is None or line.ragged else slug(line.cells[place])

    def _box(self, code: str, text: str) -> str:
        """The code if the box is checked, empty if not; a missing data code that is checked says nothing."""
        is_checked = _BOXES[self.export].get(text.lower())
        if is_checked is None:
            return NO_CHOICE
        return code if is_checked and code not in self.missing else ""

    def _cell(self, name: str, text: str) -> str | None:
        entry = self.project.fields.get(name)
        choices = entry.choices if entry else {}
        if text in self.missing and text not in choices and text not in choices.values():
            return None
        if name == "redcap_data_access_group":
            return slug(text)
        if not choices:
            stamp = _DATETIME.fullmatch(text)
            return stamp[1] if stamp and entry and entry.validation.startswith("datetime") else text
        if self.export == "raw":
            return text if text in choices else NO_CHOICE
        return _by_label(choices).get(plain(text).lower(), NO_CHOICE)


def raw_or_label(table: Table, columns: Sequence[Column], project: Project) -> str:
    """``raw`` or ``label``, by cells that can be only one of them; raises ``InputRejected`` if there are both kinds."""
    raw = label = False
    for place, column in enumerate(columns):
        entry = project.fields.get(column.name)
        if entry is None or column.ignored or not entry.choices:
            continue
        codes = set(_BOXES["raw"]) if column.code else set(entry.choices)
        labels = set(_BOXES["label"]) if column.code else set(_by_label(entry.choices))
        cells = {line.cells[place].strip() for line in table.lines if not line.ragged}
        raw = raw or any(cell in codes and plain(cell).lower() not in labels for cell in cells)
        label = label or any(cell not in codes and plain(cell).lower() in labels for cell in cells)
    if raw and label:
        raise refuse("raw_or_label")
    return "label" if label else "raw"


def translated(binding: Binding, project: Project) -> Binding:
    """The binding with what the project says of its field: its choices in the dictionary's words, its decimal comma."""
    entry = project.fields.get(binding.column)
    if entry is None:
        return binding
    decimal_comma = "comma_decimal" in entry.validation
    values = _in_our_words(binding, entry) if entry.choices else binding.values
    return replace(binding, values=values, decimal_comma=decimal_comma)


def _in_our_words(binding: Binding, entry: Field) -> dict[str, str]:
    """Code -> cell of the variable. The mapping's values may name codes or labels.

    Without them the labels are taken if all of them are words of the variable, for labels are what was seen at entry;
    else the codes if all of them are; else whichever of both has any. Where both have some, nothing is taken.
    """
    if binding.values is not None:
        given = binding.values
        return {
            code: given[code] if code in given else given[label]
            for code, label in entry.choices.items()
            if code in given or label in given
        }
    labels = {code: label for code, label in entry.choices.items() if _is_word(binding.variable, label)}
    codes = {code: code for code in entry.choices if _is_word(binding.variable, code)}
    for words in (labels, codes):
        if len(words) == len(entry.choices):
            return words
    return {} if labels and codes else labels or codes


def _is_word(variable: Variable, text: str) -> bool:
    return not isinstance(parse(variable, text), Finding)


def _by_label(choices: Mapping[str, str]) -> dict[str, str]:
    """Label in small letters -> code; a label of two codes names neither."""
    labels = [label.lower() for label in choices.values()]
    return {label.lower(): code for code, label in choices.items() if labels.count(label.lower()) == 1}
