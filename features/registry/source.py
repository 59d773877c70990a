"""What every kind of export is brought into before its cells are read: rows of named cells, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from features.errors import Finding
from features.registry.binding import Cell
from features.registry.text import Line, Table, refuse_duplicate_columns

_NOTHING: Mapping[str, Cell] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One treated vertebra as the export tells it, or a row that cannot be read.

    ``cells``: the row as it came, without identifiers. ``fields``: cells by column. ``fault``: why the row cannot be
    read (a row code), empty if it can. ``conflicts``: columns of which the rows of one record give different values.
    """

    position: int
    cells: tuple[str, ...]
    fields: Mapping[str, Cell] = field(default_factory=lambda: _NOTHING)
    fault: str = ""
    conflicts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """An export as text. ``columns`` head the cells as they came, ``names`` are the columns that a variable can be read
    from, ``joined`` counts the rows that were joined to others, ``required`` the columns that the project requires,
    ``simulated`` is whether an identifier that no variable is read from marks simulated patients."""

    rows: tuple[SourceRow, ...]
    columns: tuple[str, ...]
    names: tuple[str, ...]
    joined: int = 0
    findings: tuple[Finding, ...] = ()
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    simulated: bool = False


def flat_source(table: Table) -> Source:
    """A flat file: every line is a row. Raises ``InputRejected`` if two columns have one name."""
    refuse_duplicate_columns(table.header)
    rows = tuple(_flat_row(table.header, line) for line in table.lines)
    return Source(rows, table.header, table.header)


def _flat_row(header: tuple[str, ...], line: Line) -> SourceRow:
    fields = dict(zip(header, line.cells, strict=False))
    if line.ragged:
        return SourceRow(line.position, line.cells, fields, fault="ragged_row")
    return SourceRow(line.position, line.cells, fields, fault="" if any(map(str.strip, line.cells)) else "empty_row")
