"""One cell of text: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest

from features.dictionary import VARIABLES
from features.errors import Finding
from features.registry.cells import parse, write
from features.registry.codes import ALL_CODES


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("age_years", " 73 ", 73.0),
        ("t_score", "-3.1", -3.1),
        ("t_score", "+0.5", 0.5),
        ("hu_l1", "6.2e1", 62.0),
        ("hu_l1", ".5", 0.5),
        ("last_seen_days", "400", 400),
        ("last_seen_days", "400.0", 400),
        ("died", "Yes", True),
        ("died", "FALSE", False),
        ("sex", "Female", "female"),
        ("genant_grade", "2", "2"),
        ("procedure_date", "2024-02-29", "2024-02-29"),
        ("leak_routes", "D; b", frozenset({"B", "D"})),
        ("leak_routes", ";", None),
        ("patient_id", "007", "007"),
        ("patient_id", "NA", "NA"),
        ("smoking", "unknown", None),
        ("age_years", "", None),
        ("age_years", "\u00a0", None),
    ],
)
def test_cells_that_are_read(variable, text, value):
    found = parse(VARIABLES[variable], text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("variable", "text", "code", "hint"),
    [
        ("t_score", "\u22123.1", "not_a_number", "typographic"),
        ("t_score", "-3,1", "not_a_number", "decimal comma"),
        ("bmi_kg_m2", "<0.001", "not_a_number", "P value"),
        ("bmi_kg_m2", "P<0.05", "not_a_number", "P value"),
        ("bmi_kg_m2", "22.6±3.1", "not_a_number", "mean"),
        ("fvah_mm", "19 mm", "not_a_number", "unit"),
        ("canal_compromise_pct", "20%", "not_a_number", "unit"),
        ("age_years", "nan", "not_a_number", "empty"),
        ("age_years", "1e999", "not_a_number", "empty"),
        ("age_years", "７３", "not_a_number", "empty"),
        ("age_years", "9" * 5000, "not_a_number", "empty"),
        ("age_years", "1_000", "not_a_number", "empty"),
        ("last_seen_days", "1.5", "not_an_integer", "whole"),
        ("died", "2", "not_a_flag", "yes or no"),
        ("sex", "1", "unknown_choice", "female, male"),
        ("genant_grade", "2.0", "unknown_choice", "0, 1, 2, 3"),
        ("leak_routes", "B;X", "unknown_choice", "unspecified"),
        ("procedure_date", "2024-W01-1", "not_a_date", "YYYY-MM-DD"),
        ("patient_id", "a\tb", "not_printable", "control"),
        ("patient_id", "x" * 201, "not_printable", "longer"),
    ],
)
def test_cells_that_are_refused(variable, text, code, hint):
    found = parse(VARIABLES[variable], text)
    assert isinstance(found, Finding)
    assert (found.code, found.variable, found.rejects) == (code, variable, True)
    assert hint in found.detail


def test_the_day_comes_first_only_when_the_mapping_says_so():
    date = VARIABLES["procedure_date"]
    assert parse(date, "02/03/2024", "%d/%m/%Y") == "2024-03-02"
    assert parse(date, "02/03/2024", "%m/%d/%Y") == "2024-02-03"
    assert isinstance(parse(date, "2024-03-02", "%d/%m/%Y"), Finding)


def test_what_is_written_is_read_back():
    for name, value in [("age_years", 73.25), ("died", True), ("last_seen_days", 3), ("leak_routes", frozenset("BD"))]:
        assert parse(VARIABLES[name], write(VARIABLES[name], value)) == value
    assert write(VARIABLES["leak_routes"], frozenset({"D", "B"})) == "B;D"
    assert write(VARIABLES["sex"], None) == ""


def test_every_code_says_what_to_do_or_what_is_expected():
    assert all(len(text) > 20 for text in ALL_CODES.values())
