"""The rows of a REDCap record, joined: one row per treated vertebra, with what the patient's other rows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from features.registry.binding import Cell
from features.registry.project import slug
from features.registry.source import SourceRow


@dataclass(frozen=True, slots=True)
class Read:
    """One row of the export. ``fields`` holds only cells that say something; ``instrument`` is empty on a base row."""

    position: int
    cells: tuple[str, ...]
    record: str
    instrument: str = ""
    event: str = ""
    fields: Mapping[str, Cell] = field(default_factory=dict)
    ragged: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a project keeps things: the record id, the level, the level's instrument, and fields read in one event."""

    record_id: str
    level: str
    level_form: str
    events: Mapping[str, str]


def join(reads: Sequence[Read], layout: Layout) -> tuple[list[SourceRow], int]:
    """One row per vertebra in file order, and the number of rows that were joined to others.

    Rows that cannot be read, records without a vertebra and vertebrae without a patient come back as rows with a fault,
    so that every row of the export is either a row of the result or counted as joined.
    """
    records: dict[str, list[Read]] = {}
    rows: list[SourceRow] = []
    joined = 0
    for read in reads:
        if read.ragged:
            rows.append(SourceRow(read.position, read.cells, {layout.record_id: read.record}, "ragged_row"))
        elif not read.record:
            rows.append(SourceRow(read.position, read.cells, fault="record_id_missing"))
        else:
            records.setdefault(read.record, []).append(read)
    for members in records.values():
        found = _join_record(members, layout)
        rows += found
        joined += len(members) - len(found)
    return sorted(rows, key=lambda row: row.position), joined


def same_event(event: str, wanted: str) -> bool:
    """Whether two names mean one event: raw exports add the arm to what label exports print."""
    return wanted == "" or _event_name(event) == _event_name(wanted)


def _event_name(event: str) -> str:
    name, arm, number = slug(event).rpartition("_arm_")
    return name if arm and number.isdigit() else slug(event)


def _join_record(members: Sequence[Read], layout: Layout) -> list[SourceRow]:
    vertebrae = [read for read in members if _is_vertebra(read, layout)]
    if not vertebrae:
        first = members[0]
        return [SourceRow(first.position, first.cells, {layout.record_id: first.record}, "patient_without_vertebra")]
    others = [read for read in members if not _is_vertebra(read, layout)]
    return [_join_vertebra(vertebra, others, layout) for vertebra in vertebrae]


def _is_vertebra(read: Read, layout: Layout) -> bool:
    if read.instrument:
        return read.instrument == slug(layout.level_form)
    return layout.level in read.fields


def _join_vertebra(vertebra: Read, others: Sequence[Read], layout: Layout) -> SourceRow:
    """The vertebra's own cells, then those of its event, then those of the record's other events."""
    if vertebra.instrument and not others:
        known: dict[str, Cell] = {layout.record_id: vertebra.record}
        return SourceRow(vertebra.position, vertebra.cells, known, "vertebra_without_patient")
    near = [read for read in others if read.event == vertebra.event]
    far = [read for read in others if read.event != vertebra.event]
    fields: dict[str, Cell] = {}
    conflicts: set[str] = set()
    for tier in ([vertebra], near, far):
        found: dict[str, Cell] = {}
        for name, cell, event in ((name, cell, read.event) for read in tier for name, cell in read.fields.items()):
            if name in fields or not same_event(event, layout.events.get(name, "")):
                continue
            if found.setdefault(name, cell) != cell:
                conflicts.add(name)
        fields |= found
    fields[layout.record_id] = vertebra.record
    return SourceRow(vertebra.position, vertebra.cells, fields, conflicts=frozenset(conflicts))
