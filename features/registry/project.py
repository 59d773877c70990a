"""A REDCap project as its data dictionary describes it: fields, choices, identifiers, names of export columns."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from features.registry.codes import refuse
from features.registry.text import Table, read_table, refuse_duplicate_columns

#: The columns of a data dictionary that are read, by the names of the download and of the API.
_DICTIONARY_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "name": ("Variable / Field Name", "field_name"),
        "form": ("Form Name", "form_name"),
        "kind": ("Field Type", "field_type"),
        "label": ("Field Label", "field_label"),
        "choices": ("Choices, Calculations, OR Slider Labels", "select_choices_or_calculations"),
        "validation": (
            "Text Validation Type OR Show Slider Number",
            "text_validation_type_or_show_slider_number",
        ),
        "identifier": ("Identifier?", "identifier"),
        "required": ("Required Field?", "required_field"),
    }
)
_FIXED_CHOICES = {"yesno": {"1": "Yes", "0": "No"}, "truefalse": {"1": "True", "0": "False"}}
#: Fields that hold nothing to read.
_NO_DATA = ("descriptive", "file", "signature")

#: Columns that REDCap adds, by their names in a raw and in a label export.
SYSTEM_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "Event Name": "redcap_event_name",
        "Repeat Instrument": "redcap_repeat_instrument",
        "Repeat Instance": "redcap_repeat_instance",
        "Data Access Group": "redcap_data_access_group",
        "Survey Identifier": "redcap_survey_identifier",
        "Survey Timestamp": "redcap_survey_timestamp",
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the project; ``choices`` maps code to label."""

    name: str
    form: str
    kind: str
    label: str
    choices: Mapping[str, str] = field(default_factory=dict)
    validation: str = ""
    identifier: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """The fields in order; the first one is the record id."""

    fields: Mapping[str, Field]

    @property
    def record_id(self) -> str:
        """The field that names the record."""
        return next(iter(self.fields))


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of the export holds: a field, one ``code`` of a field of checkboxes, or something ``other``.

    ``ignored`` columns are never read, and every ``identifier`` is one of them.
    """

    name: str
    code: str = ""
    other: bool = False
    identifier: bool = False
    ignored: bool = False


def load_project(path: Path) -> Project:
    """Read a data dictionary CSV; raises ``InputRejected`` if it is not one."""
    return project_of(read_table(path))


def project_of(table: Table) -> Project:
    """The project of a data dictionary in a table."""
    refuse_duplicate_columns(table.header)
    places = {}
    for key, names in _DICTIONARY_COLUMNS.items():
        place = next((table.header.index(name) for name in names if name in table.header), None)
        if place is None and key in ("name", "form", "kind", "choices", "identifier"):
            raise refuse("bad_dictionary", hint=f"it has no column {names[0]}")
        places[key] = place
    fields: dict[str, Field] = {}
    for line in table.lines:
        if line.ragged:
            raise refuse("bad_dictionary", hint=f"row {line.position} does not fit its header")
        read = {key: "" if place is None else line.cells[place].strip() for key, place in places.items()}
        if read["name"] in fields or not read["name"]:
            raise refuse("bad_dictionary", hint=f"row {line.position} has no field name of its own")
        fields[read["name"]] = _field(read)
    return Project(MappingProxyType(fields))


def plain(text: str) -> str:
    """A label without markup and runs of blanks, as a label export prints it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def slug(text: str) -> str:
    """A name as REDCap makes it from a label: small letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def _field(read: Mapping[str, str]) -> Field:
    kind = read["kind"].lower()
    has_choices = kind in ("radio", "dropdown", "checkbox", "select")
    choices = _FIXED_CHOICES.get(kind) or (_choices(read["choices"]) if has_choices else {})
    marks = {key: read[key].lower() in ("y", "yes", "1", "true") for key in ("identifier", "required")}
    label, validation = plain(read["label"]), read["validation"].lower()
    return Field(read["name"], read["form"], kind, label, choices, validation, marks["identifier"], marks["required"])


def _choices(text: str) -> dict[str, str]:
    """``1, Female | 2, Male``: a label may hold commas, a code may not."""
    found = {}
    for part in text.split("|"):
        code, _, label = part.partition(",")
        if code.strip():
            found[code.strip()] = plain(label) or code.strip()
    return found


def columns_of(header: Iterable[str], project: Project, missing_codes: Iterable[str]) -> list[Column]:
    """What each column of an export holds. Raises ``InputRejected`` if two hold the same."""
    by_name = _names(project, missing_codes)
    found = [_column(name, by_name, project) for name in header]
    taken: dict[tuple[str, str], int] = {}
    for place, column in enumerate(found, start=1):
        if column.ignored or not column.name:
            continue
        key = (column.name, column.code)
        if key in taken:
            hint = f"columns {taken[key]} and {place}; export with field names as header"
            raise refuse("duplicate_column", hint=hint)
        taken[key] = place
    return found


def _column(name: str, by_name: Mapping[str, Column], project: Project) -> Column:
    name = SYSTEM_COLUMNS.get(name, name)
    if name in ("redcap_survey_identifier", "redcap_survey_timestamp"):
        return Column(name, identifier=True, ignored=True)
    if name in SYSTEM_COLUMNS.values():
        return Column(name)
    forms = {field.form for field in project.fields.values()}
    if name == "Complete?" or name in {f"{form}{end}" for form in forms for end in ("_complete", "_timestamp")}:
        return Column(name, ignored=True)
    return by_name.get(name) or by_name.get(plain(name)) or Column(name, other=True)


def _names(project: Project, missing_codes: Iterable[str]) -> dict[str, Column]:
    """Every header that a column can have, field names before labels; a label of two fields names none of them."""
    by_name: dict[str, Column] = {}
    by_label: dict[str, Column] = {}
    codes = tuple(missing_codes)
    for entry in project.fields.values():
        ignored = entry.identifier or entry.kind in _NO_DATA
        boxes = {**{code: code for code in codes}, **entry.choices} if entry.kind == "checkbox" else {}
        for code, label in boxes.items():
            column = Column(entry.name, code, identifier=entry.identifier, ignored=ignored)
            by_name[f"{entry.name}___{re.sub(r'[^a-z0-9]', '_', code.lower())}"] = column
            _name_by_label(by_label, f"{entry.label} (choice={label})", column)
        column = Column(entry.name, identifier=entry.identifier, ignored=ignored)
        by_name[entry.name] = column
        _name_by_label(by_label, entry.label, column)
    return {**by_label, **by_name}


def _name_by_label(by_label: dict[str, Column], label: str, column: Column) -> None:
    other = by_label.get(label)
    if other is not None and other.name != column.name:
        # Nobody can tell which field it is; if one of them identifies a patient, the column is dropped.
        column = Column(label, other=True, identifier=column.identifier or other.identifier, ignored=True)
    by_label[label] = column
