"""An export read and judged: every row either accepted as a record or rejected with its reasons.

accepted + rejected = read, always. Nothing is repaired but what follows from the file itself: a patient's value that
stands on another row of the same operation, and the number of treated vertebrae.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.check import at_row, judge_export, judge_patient, judge_record
from features.errors import Finding
from features.records import to_columns
from features.registry.binding import Bound, bind
from features.registry.codes import finding, refuse
from features.registry.mapping import ExportMapping, load_mapping
from features.registry.operations import in_whole_operation
from features.registry.project import load_project
from features.registry.pseudonym import is_simulated
from features.registry.redcap import looks_like_redcap, redcap_source, resolved
from features.registry.redcap_cells import translated
from features.registry.source import Source, SourceRow, flat_source
from features.registry.text import Table, read_table
from features.rules import PATIENT_VARIABLES, count_vertebrae
from features.variable import Value


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: its position in the file, its cells as they came, its record, and what was found."""

    position: int
    cells: tuple[str, ...]
    record: dict[str, Value]
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether nothing rejects the row; warnings do not."""
        return not any(found.rejects for found in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """``code:variable`` of each fault that rejects the row, in order, each once."""
        return tuple(dict.fromkeys(f"{found.code}:{found.variable}" for found in self.findings if found.rejects))


@dataclass(frozen=True)
class Export:
    """A whole export.

    ``source_columns`` head the cells of the rows (identifiers are not among them), ``unmapped`` are columns that feed
    no variable, ``findings`` speak of the file or its columns, ``joined`` counts REDCap rows joined to others,
    ``column_of`` gives the source column of each variable, ``simulated`` is whether any identifier as it came, also of
    a rejected row, is one of a simulated patient.
    """

    rows: tuple[Row, ...]
    source_columns: tuple[str, ...]
    unmapped: tuple[str, ...]
    findings: tuple[Finding, ...]
    joined: int
    column_of: Mapping[str, str]
    simulated: bool = False

    @cached_property
    def kept(self) -> tuple[Row, ...]:
        """The accepted rows in file order."""
        return tuple(row for row in self.rows if row.accepted)

    @cached_property
    def accepted(self) -> list[dict[str, Value]]:
        """The records of the accepted rows, in file order."""
        return [row.record for row in self.kept]

    @cached_property
    def positions(self) -> NDArray[np.intp]:
        """Row positions of ``accepted``, the first data row being 1."""
        return np.array([row.position for row in self.kept], dtype=np.intp)

    @cached_property
    def rejected(self) -> list[Row]:
        """The rejected rows, in file order."""
        return [row for row in self.rows if not row.accepted]

    @cached_property
    def patient_complete(self) -> NDArray[np.bool_]:
        """For each of ``accepted``, whether the patient of its operation is there with all rows of the operation.

        The others get no refracture risk. What is rejected of another operation does not matter.
        """
        whole = in_whole_operation([row.record for row in self.rows], [row.findings for row in self.rows])
        return np.array([one for one, row in zip(whole, self.rows, strict=True) if row.accepted], dtype=bool)

    @cached_property
    def all_findings(self) -> tuple[Finding, ...]:
        """What was found in the file, then in each row."""
        return (*self.findings, *(found for row in self.rows for found in row.findings))

    def columns(self) -> dict[str, NDArray[Any]]:
        """The accepted records as columns; see ``features.records.to_columns``."""
        return to_columns(self.accepted)


def read_export(path: Path | str, *, dictionary: Path | str | None = None, mapping: Path | str | None = None) -> Export:
    """Read an export: a flat CSV, any CSV with a mapping file, or a REDCap export with its data dictionary.

    Raises ``UsageError`` for a file that is not there or a mapping that cannot be used, ``InputRejected`` for a file
    that cannot be read as an export at all. Faults of rows are no exception: they are in the rows.
    """
    rules = load_mapping(Path(mapping)) if mapping is not None else ExportMapping()
    table = read_table(Path(path))
    if dictionary is not None:
        return _read_redcap(table, Path(dictionary), rules)
    if looks_like_redcap(table.header):
        raise refuse("dictionary_needed")
    source = flat_source(table)
    return _judged(source, bind(source.names, rules), rules)


def _read_redcap(table: Table, dictionary: Path, rules: ExportMapping) -> Export:
    project = load_project(dictionary)
    rules = resolved(rules, project)
    source = redcap_source(table, project, rules)
    bound = bind(source.names, rules, source.fallbacks)
    bindings = tuple(translated(binding, project) for binding in bound.bindings)
    return _judged(source, Bound(bindings, bound.unmapped, bound.findings), rules)


@dataclass(slots=True)
class _Draft:
    """A row on its way to be judged. ``unreadable``: variables that have a cell which could not be read."""

    source: SourceRow
    record: dict[str, Value]
    findings: list[Finding] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)

    @property
    def readable(self) -> bool:
        return not self.source.fault

    def add(self, code: str, variable: str = "") -> None:
        self.findings.append(finding(code, variable, row=self.source.position))


def _judged(source: Source, bound: Bound, rules: ExportMapping) -> Export:
    drafts = [_draft(row, bound, rules, source.required) for row in source.rows]
    operations = _operations(drafts)
    for members in operations:
        _fill(members)
    for draft in drafts:
        if draft.readable:
            found = judge_record(draft.record, unreadable=frozenset(draft.unreadable))
            draft.findings += at_row(found, draft.source.position)
    for members in operations:
        _judge_operation([draft for draft in members if draft.readable])
    _judge_whole(drafts)
    return Export(
        rows=tuple(Row(d.source.position, d.source.cells, d.record, tuple(d.findings)) for d in drafts),
        source_columns=source.columns,
        unmapped=bound.unmapped,
        findings=(*source.findings, *bound.findings),
        joined=source.joined,
        column_of={binding.variable.name: binding.column for binding in bound.bindings},
        simulated=source.simulated or any(is_simulated(draft.record.get("patient_id")) for draft in drafts),
    )


def _draft(row: SourceRow, bound: Bound, rules: ExportMapping, required: frozenset[str]) -> _Draft:
    draft = _Draft(row, {} if row.fault else dict(rules.constants))
    if row.fault:
        draft.add(row.fault)
    for binding in bound.bindings:
        name = binding.variable.name
        if row.fault and name != "patient_id":
            continue
        value = binding.read(row.fields.get(binding.column, ""))
        if binding.column in row.conflicts:
            draft.add("several_values", name)
            draft.unreadable.add(name)
        elif isinstance(value, Finding):
            draft.findings += at_row([value], row.position)
            draft.unreadable.add(name)
        elif value is not None:
            draft.record[name] = value
        elif binding.column in required and not row.fault:
            draft.add("required_empty", name)
    return draft


def _operations(drafts: Sequence[_Draft]) -> list[list[_Draft]]:
    """Rows of one patient and one procedure date. A row without a date belongs to its patient's only operation."""
    patients: dict[Value, list[_Draft]] = {}
    for draft in drafts:
        if (patient := draft.record.get("patient_id")) is not None:
            patients.setdefault(patient, []).append(draft)
    operations = []
    for members in patients.values():
        dates = {draft.record["procedure_date"] for draft in members if "procedure_date" in draft.record}
        if len(dates) < 2:
            operations.append(members)
            continue
        by_date: dict[Value | None, list[_Draft]] = {}
        for draft in members:
            by_date.setdefault(draft.record.get("procedure_date"), []).append(draft)
            if draft.readable:
                code = "several_operations" if "procedure_date" in draft.record else "operation_unknown"
                draft.add(code, "procedure_date")
        operations += by_date.values()
    return operations


def _fill(members: Sequence[_Draft]) -> None:
    """Give every row what its patient has on another row, and the number of vertebrae where nobody states it."""
    readable = [draft for draft in members if draft.readable]
    for name in PATIENT_VARIABLES if len(readable) > 1 else ():
        lacking = [draft for draft in readable if name not in draft.record and name not in draft.unreadable]
        if not lacking or len(lacking) == len(readable):
            continue
        values = {draft.record[name] for draft in readable if name in draft.record}
        for draft in lacking if len(values) == 1 else ():
            draft.record[name] = next(iter(values))
            draft.add("filled_from_patient", name)
    treated = count_vertebrae([draft.record for draft in members])
    for draft in readable:
        if "treated_count" not in draft.unreadable:
            draft.record.setdefault("treated_count", treated)


def _judge_operation(readable: Sequence[_Draft]) -> None:
    for found in judge_patient([draft.record for draft in readable]):
        draft = readable[found.row - 1]
        draft.findings += at_row([found], draft.source.position)


def _judge_whole(drafts: Sequence[_Draft]) -> None:
    """Judge all rows, and those that would be accepted: what is kept must stand when it is read again."""
    readable = [draft for draft in drafts if draft.readable]
    kept = [draft for draft in readable if not any(found.rejects for found in draft.findings)]
    found = judge_export([draft.record for draft in readable]) or judge_export([draft.record for draft in kept])
    for draft in drafts if found else ():
        draft.findings += at_row(found, draft.source.position)
