"""A REDCap export, raw or label, as rows of treated vertebrae.

The cells are first brought to one form (choices as codes, checkboxes as the checked codes, missing data codes as empty,
identifiers gone), then the rows of a record are joined: a vertebra takes from the other rows of its record what it does
not say itself. What two rows say differently is a conflict, not a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from features.errors import Finding
from features.registry.codes import finding, refuse
from features.registry.mapping import ExportMapping
from features.registry.project import SYSTEM_COLUMNS, Column, Project, columns_of, plain
from features.registry.pseudonym import is_simulated, pseudonym
from features.registry.redcap_cells import Decoder, raw_or_label
from features.registry.redcap_join import Layout, Read, join
from features.registry.source import Source
from features.registry.text import Line, Table

_GROUP = "redcap_data_access_group"


def looks_like_redcap(header: Sequence[str]) -> bool:
    """Whether there are columns that only REDCap writes."""
    return bool({*SYSTEM_COLUMNS.values(), "Repeat Instrument", "Data Access Group"}.intersection(header))


def resolved(mapping: ExportMapping, project: Project) -> ExportMapping:
    """The mapping with field labels under ``from`` replaced by the names of their fields."""
    labels: dict[str, list[str]] = {}
    for entry in project.fields.values():
        labels.setdefault(entry.label, []).append(entry.name)
    columns = {}
    for variable, rule in mapping.columns.items():
        names = labels.get(plain(rule.source), [])
        known = rule.source in project.fields or len(names) != 1
        columns[variable] = rule if known else replace(rule, source=names[0])
    return replace(mapping, columns=columns)


def redcap_source(table: Table, project: Project, mapping: ExportMapping) -> Source:
    """Decode and join an export; raises ``InputRejected`` if its columns cannot be told apart.

    ``mapping`` is one that ``resolved`` gave.
    """
    columns = tuple(columns_of(table.header, project, mapping.missing_codes))
    if project.record_id not in {column.name for column in columns}:
        raise refuse("missing_column", project.record_id, "it is the record id of the project")
    export = mapping.redcap_export or raw_or_label(table, columns, project)
    decoder = Decoder(columns, project, export, frozenset(mapping.missing_codes))
    rows, joined = join(_reads(table, decoder), _layout(project, mapping))
    return Source(
        rows=tuple(rows),
        columns=tuple(name for name, column in zip(table.header, columns, strict=True) if not column.identifier),
        names=_names(columns, project),
        joined=joined,
        findings=_dropped(columns, project),
        fallbacks={"patient_id": project.record_id, "centre_id": _GROUP},
        simulated=_is_simulated(table, columns, project),
        required=frozenset(entry.name for entry in project.fields.values() if entry.required),
    )


def _reads(table: Table, decoder: Decoder) -> list[Read]:
    record_place = [column.name for column in decoder.columns].index(decoder.project.record_id)
    has_identifiers = any(column.identifier for column in decoder.columns)
    pseudonyms: dict[str, str] | None = {} if decoder.columns[record_place].identifier else None
    reads = []
    for line in table.lines:
        record = line.cells[record_place].strip() if record_place < len(line.cells) else ""
        if pseudonyms is not None and record:
            record = pseudonyms.setdefault(record, pseudonym(record, len(pseudonyms) + 1))
        read = Read(
            position=line.position,
            cells=_without_identifiers(line, decoder.columns, has_identifiers),
            record=record,
            instrument=decoder.system(line, "redcap_repeat_instrument"),
            event=decoder.system(line, "redcap_event_name"),
            fields={} if line.ragged else decoder.fields(line),
            ragged=line.ragged,
        )
        reads.append(read)
    return reads


def _is_simulated(table: Table, columns: Sequence[Column], project: Project) -> bool:
    """Whether a record id or an identifier, as it came and before it is dropped, is one of a simulated patient."""
    places = [place for place, one in enumerate(columns) if one.identifier or one.name == project.record_id]
    return any(is_simulated(line.cells[place]) for line in table.lines for place in places if place < len(line.cells))


def _without_identifiers(line: Line, columns: Sequence[Column], has_identifiers: bool) -> tuple[str, ...]:
    if not has_identifiers:
        return line.cells
    if line.ragged:
        # Its cells cannot be told apart, so neither can the identifiers among them.
        return ()
    return tuple(cell for cell, column in zip(line.cells, columns, strict=True) if not column.identifier)


def _layout(project: Project, mapping: ExportMapping) -> Layout:
    level = mapping.columns["level"].source if "level" in mapping.columns else "level"
    form = project.fields[level].form if level in project.fields else ""
    events: Mapping[str, str] = {rule.source: rule.event for rule in mapping.columns.values() if rule.event}
    return Layout(project.record_id, level, form, events)


def _names(columns: Sequence[Column], project: Project) -> tuple[str, ...]:
    """Columns that a variable can be read from, each once."""
    hidden = set(SYSTEM_COLUMNS.values()) - {_GROUP}
    names = (column.name for column in columns if not column.ignored and column.name not in hidden)
    return tuple(dict.fromkeys([project.record_id, *names]))


def _dropped(columns: Sequence[Column], project: Project) -> tuple[Finding, ...]:
    names = dict.fromkeys(column.name for column in columns if column.identifier and column.name in project.fields)
    return tuple(finding("identifier_dropped", name) for name in names)
