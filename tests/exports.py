"""Registry exports as files: flat ones from records, and one REDCap project, raw or with labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

#: The least that a row needs, with an outcome of each kind.
ROW = {
    "patient_id": "P1",
    "procedure_date": "2024-03-01",
    "level": "L1",
    "age_years": "73",
    "sex": "female",
    "leak_routes": "B;D",
    "leak_modality": "CT",
    "refracture": "none",
    "last_seen_days": "400",
    "died": "0",
}

DICTIONARY_HEADER = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number",
    "Text Validation Min", "Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)",
    "Required Field?", "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip


def row(**changes: str) -> dict[str, str]:
    """A valid flat row with some cells changed or added."""
    return ROW | changes


def write_flat(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """A flat export whose header is every column that a row mentions."""
    header = list(dict.fromkeys(name for one in rows for name in one))
    return write_table(path, [header, *([one.get(name, "") for name in header] for one in rows)])


def write_table(path: Path, table: Sequence[Sequence[str]], encoding: str = "utf-8") -> Path:
    """A CSV file of these rows."""
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows(table)
    return path


def field(name: str, form: str, kind: str = "text", **more: str) -> list[str]:
    """One line of a data dictionary; ``more`` by choices, label, validation, identifier, required."""
    line = dict.fromkeys(DICTIONARY_HEADER, "")
    line |= {"Variable / Field Name": name, "Form Name": form, "Field Type": kind}
    line["Field Label"] = more.get("label", name.replace("_", " ").title())
    line["Choices, Calculations, OR Slider Labels"] = more.get("choices", "")
    line["Text Validation Type OR Show Slider Number"] = more.get("validation", "")
    line["Identifier?"], line["Required Field?"] = more.get("identifier", ""), more.get("required", "")
    return list(line.values())


FIELDS = [
    field("record_id", "patient", label="Record ID"),
    field("full_name", "patient", label="Full name", identifier="y"),
    field("procedure_date", "patient", validation="date_dmy"),
    field("age_years", "patient", validation="number", required="y"),
    field("sex", "patient", "radio", choices="1, Female | 2, Male"),
    field("steroid_use", "patient", "yesno"),
    field("t_score", "patient", validation="number_1dp_comma_decimal"),
    field("level", "vertebra", "dropdown", label="Treated <b>level</b>", choices="11, T12 | 12, L1 | 13, L2"),
    field("leak_routes", "vertebra", "checkbox", label="Leak routes", choices="0, none | 1, B | 2, C | 3, D"),
    field("leak_modality", "vertebra", "radio", choices="1, CT | 2, radiograph"),
    field("refracture", "follow_up", "radio", choices="0, none | 1, same | 2, adjacent | 3, remote"),
    field("refracture_days", "follow_up", validation="integer"),
    field("last_seen_days", "follow_up", validation="integer"),
    field("died", "follow_up", "truefalse"),
]

#: Raw header -> header of an export with labels.
HEADINGS = {
    "record_id": "Record ID",
    "redcap_event_name": "Event Name",
    "redcap_repeat_instrument": "Repeat Instrument",
    "redcap_repeat_instance": "Repeat Instance",
    "redcap_data_access_group": "Data Access Group",
    "full_name": "Full name",
    "procedure_date": "Procedure Date",
    "age_years": "Age Years",
    "sex": "Sex",
    "steroid_use": "Steroid Use",
    "t_score": "T Score",
    "patient_complete": "Complete?",
    "level": "Treated level",
    "leak_routes___0": "Leak routes (choice=none)",
    "leak_routes___1": "Leak routes (choice=B)",
    "leak_routes___2": "Leak routes (choice=C)",
    "leak_routes___3": "Leak routes (choice=D)",
    "leak_routes___unk": "Leak routes (choice=UNK)",
    "leak_modality": "Leak Modality",
    "vertebra_complete": "Complete?",
    "refracture": "Refracture",
    "refracture_days": "Refracture Days",
    "last_seen_days": "Last Seen Days",
    "died": "Died",
    "follow_up_complete": "Complete?",
}

#: How a label export prints the raw cells, by column.
LABELS: dict[str, dict[str, str]] = {
    "redcap_event_name": {"treatment_arm_1": "Treatment", "follow_up_arm_1": "Follow-up"},
    "redcap_repeat_instrument": {"vertebra": "Vertebra"},
    "redcap_data_access_group": {"north_wing": "North Wing"},
    "sex": {"1": "Female", "2": "Male"},
    "steroid_use": {"1": "Yes", "0": "No"},
    "level": {"11": "T12", "12": "L1", "13": "L2"},
    "leak_modality": {"1": "CT", "2": "radiograph"},
    "refracture": {"0": "none", "1": "same", "2": "adjacent", "3": "remote"},
    "died": {"1": "True", "0": "False"},
} | {name: {"1": "Checked", "0": "Unchecked"} for name in HEADINGS if name.startswith("leak_routes___")}

_PATIENT = {"redcap_event_name": "treatment_arm_1", "redcap_data_access_group": "north_wing"}
_BOXES = {name: "0" for name in HEADINGS if name.startswith("leak_routes___")}


def base(record: str, **cells: str) -> dict[str, str]:
    """A patient's own row."""
    facts = {"full_name": f"Jane Canary {record}", "procedure_date": "2024-03-01", "age_years": "73", "sex": "1"}
    return {"record_id": record, **_PATIENT, **facts, "steroid_use": "0", "t_score": "-3,1", **cells}


def vertebra(record: str, instance: int, level: str, **cells: str) -> dict[str, str]:
    """A row of the repeating instrument."""
    place = {"redcap_repeat_instrument": "vertebra", "redcap_repeat_instance": str(instance)}
    return {"record_id": record, **_PATIENT, **place, "level": level, **_BOXES, "leak_modality": "1", **cells}


def follow_up(record: str, **cells: str) -> dict[str, str]:
    """A row of the follow-up event."""
    told = {"refracture": "0", "last_seen_days": "400", "died": "0"}
    return {"record_id": record, **_PATIENT, "redcap_event_name": "follow_up_arm_1", **told, **cells}


def write_redcap(
    folder: Path, rows: Sequence[dict[str, str]], export: str = "raw", labelled_header: bool = False
) -> tuple[Path, Path]:
    """(records file, data dictionary file) of these rows; the dictionary has the byte order mark that REDCap writes."""
    header = [HEADINGS[name] if labelled_header else name for name in HEADINGS]
    labels = LABELS if export == "label" else {}
    lines = [[labels.get(name, {}).get(one.get(name, ""), one.get(name, "")) for name in HEADINGS] for one in rows]
    records = write_table(folder / f"records_{export}_{labelled_header}.csv", [header, *lines])
    dictionary = write_table(folder / "dictionary.csv", [DICTIONARY_HEADER, *FIELDS], encoding="utf-8-sig")
    return records, dictionary
