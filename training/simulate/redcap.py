"""The simulated patients as REDCap would export them: a raw records CSV with its data dictionary.

One project: the instrument ``patient`` (its record id is the pseudonym), the repeating instrument ``vertebra`` and the
instrument ``follow_up``; data access groups are the centres. Field names are those of the dictionary, choices have
whole numbers as codes and the dictionary's words as labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.dictionary import VARIABLES, Moment, Variable
from training.simulate.registry import Registry

FORMS = ("patient", "vertebra", "follow_up")
HEADER = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number",
    "Text Validation Min", "Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)",
    "Required Field?", "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip
SYSTEM = ("redcap_repeat_instrument", "redcap_repeat_instance", "redcap_data_access_group")
#: Kept by the record id and the data access group.
NOT_FIELDS = ("patient_id", "centre_id")
#: Reported by every centre; the other fields may stay empty.
REQUIRED = frozenset({"age_years", "sex", "level", "procedure_date"})
#: A name, so that readers can show that they drop what is marked as an identifier. It is made up and looks it.
NAME_FIELD = "patient_name"


def dictionary_rows(registry: Registry) -> Iterable[Sequence[str]]:
    """The 18-column data dictionary, header first."""
    yield HEADER
    yield _row(field="record_id", form="patient", kind="text", label="Record ID")
    yield _row(field=NAME_FIELD, form="patient", kind="text", label="Name (synthetic)", identifier="y")
    for form in FORMS:
        for name in _fields(registry, form):
            yield _variable_row(VARIABLES[name], form)


def record_rows(registry: Registry) -> Iterable[Sequence[str]]:
    """The raw export, header first: each patient's own row, then one row for each vertebra."""
    by_form = {form: _fields(registry, form) for form in FORMS}
    headings = {form: [heading for name in names for heading in _headings(name)] for form, names in by_form.items()}
    yield ["record_id", *SYSTEM, NAME_FIELD, *headings["patient"], "patient_complete", *headings["vertebra"],
           "vertebra_complete", *headings["follow_up"], "follow_up_complete"]  # fmt: skip
    cells = {form: _cells(registry, names) for form, names in by_form.items()}
    blank = {form: [""] * (len(headings[form]) + 1) for form in FORMS}
    ids, groups, patient = registry.columns["patient_id"], registry.columns["centre_id"], registry.patient
    instance = np.arange(len(patient)) - registry.first_rows[patient] + 1
    for row in range(len(patient)):
        if instance[row] == 1:
            name = f"Synthetic Person {patient[row] + 1}"
            yield [ids[row], "", "", groups[row], name, *cells["patient"][row], "2", *blank["vertebra"],
                   *cells["follow_up"][row], "2"]  # fmt: skip
        yield [ids[row], "vertebra", str(instance[row]), groups[row], "", *blank["patient"], *cells["vertebra"][row],
               "2", *blank["follow_up"]]  # fmt: skip


def _fields(registry: Registry, form: str) -> list[str]:
    return [name for name in registry.columns if name not in NOT_FIELDS and _form_of(VARIABLES[name]) == form]


def _form_of(variable: Variable) -> str:
    if variable.scope == "vertebra":
        return "vertebra"
    return "follow_up" if variable.known_at == Moment.FOLLOW_UP else "patient"


def _headings(name: str) -> list[str]:
    variable = VARIABLES[name]
    if variable.kind != "multi":
        return [name]
    return [f"{name}___{code}" for code in range(1, len(variable.choices) + 1)]


def _cells(registry: Registry, names: Sequence[str]) -> list[list[str]]:
    """The raw cells of ``names`` for each row."""
    columns = [column for name in names for column in _raw(VARIABLES[name], registry.columns[name])]
    return [list(row) for row in zip(*columns, strict=True)]


def _raw(variable: Variable, values: NDArray[Any]) -> list[list[str]]:
    if variable.kind == "multi":
        return [["1" if v is not None and choice in v else "0" for v in values] for choice in variable.choices]
    if variable.choices:
        codes = {choice: str(code) for code, choice in enumerate(variable.choices, start=1)}
        return [["" if value is None else codes[value] for value in values]]
    if values.dtype == object:
        return [["" if value is None else str(value) for value in values]]
    return [["" if v != v else str(int(v)) if float(v).is_integer() else repr(v) for v in values.tolist()]]


def _variable_row(variable: Variable, form: str) -> list[str]:
    choices = " | ".join(f"{code}, {choice}" for code, choice in enumerate(variable.choices, start=1))
    return _row(
        field=variable.name,
        form=form,
        kind={"multi": "checkbox", "flag": "yesno"}.get(variable.kind, "radio" if variable.choices else "text"),
        label=variable.label,
        choices=choices,
        note=variable.unit,
        validation={"number": "number", "integer": "integer", "date": "date_ymd"}.get(variable.kind, ""),
        lowest="" if variable.lowest is None else f"{variable.lowest:g}",
        highest="" if variable.highest is None else f"{variable.highest:g}",
        required="y" if variable.name in REQUIRED else "",
    )


def _row(
    *, field: str, form: str, kind: str, label: str, choices: str = "", note: str = "", validation: str = "",
    lowest: str = "", highest: str = "", identifier: str = "", required: str = "",
) -> list[str]:  # fmt: skip
    return [field, form, "", kind, label, choices, note, validation, lowest, highest, identifier, "", required,
            "", "", "", "", ""]  # fmt: skip
