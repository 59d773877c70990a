"""Which column feeds which variable, and how one of its cells becomes a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.dictionary import UNKNOWN_TOKENS, VARIABLES
from features.errors import Finding
from features.registry import cells
from features.registry.codes import finding, refuse
from features.registry.mapping import ColumnMapping, ExportMapping, is_compression_rate
from features.variable import Value, Variable

#: A cell of one column, or the checked choices of a field of checkboxes.
Cell = str | tuple[str, ...]

#: Kinds whose cells are words: a mapping that translates words must know them all.
_WORDS = ("category", "ordinal", "multi", "flag")


@dataclass(frozen=True, slots=True)
class Binding:
    """A variable and the column that it is read from; ``values`` translates cells before they are parsed."""

    variable: Variable
    column: str
    rule: ColumnMapping
    values: Mapping[str, str] | None = None
    date_format: str = ""
    decimal_comma: bool = False

    def read(self, cell: Cell) -> Value | Finding | None:
        """The value of a cell, None if unknown, or why it cannot be read."""
        if isinstance(cell, tuple):
            return self._several(cell)
        text = cell.strip()
        if not text:
            return None
        if self.values is not None:
            if text in self.values:
                text = self.values[text]
            elif self.variable.kind == "multi":
                return self._several(tuple(text.split(self.rule.separator)))
            elif self.variable.kind in _WORDS and text.lower() not in UNKNOWN_TOKENS:
                return finding("unknown_choice", self.variable.name, "the mapping's values do not name it")
        if self.variable.kind in ("number", "integer"):
            return self._number(text)
        if self.variable.kind == "multi":
            return cells.parse_several(self.variable, text.split(self.rule.separator))
        return cells.parse(self.variable, text, self.date_format)

    def _several(self, parts: tuple[str, ...]) -> Value | Finding | None:
        words = [part.strip() for part in parts]
        if self.values is not None:
            named = {*self.values, "", *UNKNOWN_TOKENS}
            if not named.issuperset(words):
                return finding("unknown_choice", self.variable.name, "the mapping's values do not name it")
            words = [one for word in words for one in self.values.get(word, "").split(cells.SEPARATOR)]
        return cells.parse_several(self.variable, words)

    def _number(self, text: str) -> Value | Finding | None:
        if self.decimal_comma:
            text = text.replace(",", ".", 1)
        rule = self.rule
        if rule.scale == rule.factor == 1.0 and not rule.complement:
            return cells.parse(self.variable, text)
        if text.lower() in UNKNOWN_TOKENS:
            return None
        found = cells.number(text)
        if found is None:
            return cells.parse(self.variable, text)
        # Twelve digits hide what binary fractions do to 2.3 x 10, and no measurement has more.
        scaled = float(f"{found * rule.scale * rule.factor:.12g}")
        result = 100.0 - scaled if rule.complement else scaled
        return round(result) if self.variable.kind == "integer" else result


@dataclass(frozen=True, slots=True)
class Bound:
    """All bindings of an export, the columns that feed nothing, and what is odd about the columns."""

    bindings: tuple[Binding, ...]
    unmapped: tuple[str, ...]
    findings: tuple[Finding, ...]


def variable_named(column: str) -> Variable | None:
    """The variable that a column of this name holds: by its name or by one of its aliases."""
    return VARIABLES.get(column) or _ALIASES.get(column)


def bind(columns: Sequence[str], mapping: ExportMapping, fallbacks: Mapping[str, str] | None = None) -> Bound:
    """Bind the columns of an export.

    What the mapping names comes first, then columns with a dictionary name or alias, then ``fallbacks`` (variable ->
    column) for variables that nothing feeds. Raises ``InputRejected`` if a mapped column is absent or if patient or
    level have no source: then the first line is perhaps no header, and none of it is repeated in the message.
    """
    rules = dict(mapping.columns)
    for variable, rule in rules.items():
        if rule.source not in columns:
            raise refuse("mapped_column_absent", variable, f"from = {rule.source!r}")
    used = {rule.source for rule in rules.values()}
    taken = {*rules, *mapping.constants}
    for column in columns:
        found = variable_named(column)
        if found is None or column in used or found.derived or is_compression_rate(column):
            continue
        if found.name in mapping.constants:
            raise refuse("duplicate_column", found.name, "it is a column, and in the mapping a constant")
        if found.name in taken and found.name not in mapping.columns:
            raise refuse("duplicate_column", found.name, "two columns hold this variable, one by an alias")
        if found.name not in taken:
            taken.add(found.name)
            rules[found.name] = ColumnMapping(variable=found.name, source=column)
    for name, column in (fallbacks or {}).items():
        if name not in taken and column in columns:
            rules[name] = ColumnMapping(variable=name, source=column)
    return _complete(columns, rules, mapping)


def _complete(columns: Sequence[str], rules: Mapping[str, ColumnMapping], mapping: ExportMapping) -> Bound:
    for name in ("patient_id", "level"):
        if name not in rules and name not in mapping.constants:
            raise refuse("missing_column", name)
    bindings = (
        Binding(VARIABLES[name], rules[name].source, rules[name], rules[name].values, mapping.date_format)
        for name in VARIABLES
        if name in rules
    )
    used = {rule.source for rule in rules.values()}
    left = tuple(name or f"(column {place} has no name)" for place, name in enumerate(columns, 1) if name not in used)
    return Bound(tuple(bindings), left, tuple(_odd_columns(left)))


def _odd_columns(columns: Sequence[str]) -> list[Finding]:
    odd = []
    for column in columns:
        named = variable_named(column)
        if named is not None and named.derived:
            odd.append(finding("derived_ignored", column))
        elif is_compression_rate(column):
            odd.append(finding("compression_rate_ignored", column))
    return odd


_ALIASES = {alias: variable for variable in VARIABLES.values() for alias in variable.aliases}
