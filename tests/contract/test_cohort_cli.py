"""``cemrisk cohort`` as a user runs it: what is printed, written and refused."""

from __future__ import annotations

import csv
import json

import pytest

import cemrisk
from tests.exports import row, write_flat

AGES = {"B": ("70", "74", "81"), "none": ("66", "69", "90")}


@pytest.fixture
def export(tmp_path):
    rows = [
        row(patient_id=f"P{routes}{age}", leak_routes=routes, age_years=age)
        for routes, ages in AGES.items()
        for age in ages
    ]
    return write_flat(tmp_path / "export.csv", [*rows, row(patient_id="P9", sex="x")])


def run(*arguments) -> int:
    return cemrisk.main(["cohort", *map(str, arguments)])


def test_the_table_is_printed_with_who_was_left_out(export, capsys) -> None:
    assert run(export, "--by", "leak_routes") == 0
    said = capsys.readouterr()
    assert "75.00 ± 5.57" in said.out
    assert "rows rejected by the check: 1" in said.out
    assert said.err == ""


def test_json_has_the_numbers_unrounded(export, capsys) -> None:
    assert run(export, "--by", "leak_routes", "--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert table["patients"] == [3, 3]
    (age,) = [one for one in table["rows"] if one["variable"] == "age_years"]
    assert {one["mean"] for one in age["groups"]} == {75.0}


def test_numbers_and_variances_are_as_asked(export, capsys) -> None:
    tests = []
    for options in ([], ["--variances", "equal"], ["--numbers", "median"]):
        assert run(export, "--by", "leak_routes", "--json", *options) == 0
        (age,) = [r for r in json.loads(capsys.readouterr().out)["rows"] if r["variable"] == "age_years"]
        tests.append((age["form"], age["comparison"]["test"]))
    assert len(set(tests)) == 3
    assert [form for form, _ in tests] == ["mean", "mean", "median"]


def test_a_file_is_written_and_named(export, tmp_path, capsys) -> None:
    out = tmp_path / "table.csv"
    assert run(export, "--by", "leak_routes", "--out", out) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"wrote {out}\n")
    with out.open(encoding="utf-8", newline="") as stream:
        assert next(csv.reader(stream))[0] == "variable"


def test_an_unknown_ending_is_wrong_usage_before_the_export_is_read(tmp_path, capsys) -> None:
    assert run(tmp_path / "no.csv", "--by", "leak_routes", "--out", tmp_path / "table.docx") == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["age", "patient_id"])
def test_what_makes_no_groups_is_wrong_usage(export, by, capsys) -> None:
    assert run(export, "--by", by) == 2
    assert capsys.readouterr().err.startswith("cemrisk: --by")


def test_by_is_required(export, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run(export)
    assert ended.value.code == 2
