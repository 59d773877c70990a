"""`cemrisk check` as a user runs it: exit codes, files, JSON, and that no value of a patient is ever printed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cemrisk
from features.errors import CemriskError, InputRejected
from features.registry.report import codes_markdown, rules_markdown
from tests.exports import base, follow_up, row, vertebra, write_flat, write_redcap

ROOT = Path(cemrisk.__file__).parent


def run(capsys, *arguments):
    code = cemrisk.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_export_without_fault_ends_with_0_and_two_files(tmp_path, capsys):
    export = write_flat(tmp_path / "export.csv", [row(), row(patient_id="P2")])
    code, out, _ = run(capsys, "check", export, "--out", tmp_path / "out")
    assert code == 0
    assert out.startswith("2 rows read, 2 accepted, 0 rejected\n")
    with (tmp_path / "out" / "accepted.csv").open(encoding="utf-8", newline="") as stream:
        assert [line["patient_id"] for line in csv.DictReader(stream)] == ["P1", "P2"]
    assert run(capsys, "check", tmp_path / "out" / "accepted.csv")[0] == 0


def test_a_rejected_row_ends_with_10_and_is_told_by_row_column_and_code(tmp_path, capsys):
    export = write_flat(tmp_path / "export.csv", [row(), row(patient_id="P2", fvah_mm="1.9")])
    code, out, _ = run(capsys, "check", export, "--out", tmp_path / "out")
    assert code == InputRejected.exit_code == 10
    assert "row 2: fvah_mm: below_limit" in out
    assert "centimetres" in out
    assert (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8").count("\n") == 2


def test_many_defects_are_a_table_unless_all_are_asked_for(tmp_path, capsys):
    export = write_flat(tmp_path / "export.csv", [row(patient_id=f"P{n}", sex="3") for n in range(30)])
    short, long = run(capsys, "check", export)[1], run(capsys, "check", export, "--all")[1]
    assert "unknown_choice  sex     30    1, 2, 3, 4, 5, …" in short
    assert "row 30: sex: unknown_choice" not in short
    assert "row 30: sex: unknown_choice" in long


def test_json_holds_every_defect(tmp_path, capsys):
    export = write_flat(tmp_path / "export.csv", [row(patient_id=f"P{n}", sex="3") for n in range(30)])
    code, out, _ = run(capsys, "check", export, "--json", "--out", tmp_path / "out")
    told = json.loads(out)
    assert (code, told["read"], told["accepted"], told["rejected"]) == (10, 30, 0, 30)
    assert [(one["row"], one["column"], one["code"]) for one in told["defects"]] == [
        (n, "sex", "unknown_choice") for n in range(1, 31)
    ]
    assert len(told["written"]) == 2


def test_a_file_that_cannot_be_read_is_refused_on_standard_error(tmp_path, capsys):
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    code, out, err = run(capsys, "check", empty)
    assert (code, out) == (10, "")
    assert "the file is empty; export it again" in err
    code, out, _ = run(capsys, "check", empty, "--json")
    assert code == 10
    assert json.loads(out)["defects"][0]["code"] == "empty_file"
    assert run(capsys, "check", tmp_path / "nowhere.csv")[0] == 2


CANARIES = {
    "patient_id": "canary-id-4711",
    "centre_id": "canary-centre",
    "age_years": "73.987654",
    "t_score": "-3,198765",
    "sex": "canary-sex",
    "procedure_date": "19/87/canary",
    "level": "canary-level",
    "leak_routes": "canary-route",
    "died": "canary-flag",
    "remark": "canary remark",
    "last_seen_days": "987.654",
}


@pytest.mark.parametrize("options", [[], ["--all"], ["--json"]])
def test_no_value_and_no_identifier_is_printed(tmp_path, capsys, options):
    rows = [row(**CANARIES), row(patient_id="canary-id-4711", age_years="73.987654", level="L2")]
    rows += [row(patient_id="canary-id-4712", age_years=age) for age in ("73.987654", "44.4")]
    _, out, err = run(capsys, "check", write_flat(tmp_path / "export.csv", rows), *options)
    for value in (*CANARIES.values(), "canary", "44.4", "987654"):
        assert value not in out + err
    records = [base("canary-9", t_score="canary-t"), vertebra("canary-9", 1, "canary-level"), follow_up("canary-9")]
    export, dictionary = write_redcap(tmp_path, records)
    _, out, err = run(capsys, "check", export, "--dictionary", dictionary, *options)
    assert "canary" not in (out + err).lower()


def test_the_installed_command_answers_and_every_verb_has_an_example():
    done = subprocess.run(
        [sys.executable, ROOT / "cemrisk.py", "check", "--help"], capture_output=True, text=True, check=True
    )
    assert "example:\n  cemrisk check" in done.stdout
    # An absent verb is wrong usage, as argparse has it.
    wrong = subprocess.run([sys.executable, ROOT / "cemrisk.py", "fly"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_each_error_has_its_own_exit_code():
    kinds: list[type[CemriskError]] = [CemriskError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    own = [kind for kind in kinds if kind.__module__ == CemriskError.__module__]
    assert set(cemrisk.exit_codes()) == {0, *(kind.exit_code for kind in own)}
    assert len({kind.exit_code for kind in own}) == len(own)
    assert {kind.exit_code for kind in kinds} == {kind.exit_code for kind in own}


@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_the_dictionary_is_printed_in_each_form(capsys, form):
    code, out, _ = run(capsys, "dictionary", "--format", form)
    assert code == 0
    assert "leak_detected_days" in out
    if form == "json":
        assert json.loads(out)["fingerprint"]


def test_the_guide_lists_rules_reasons_and_exit_codes_as_they_are():
    guide = (ROOT / "docs" / "data-manager.md").read_text(encoding="utf-8")
    assert rules_markdown() in guide
    assert codes_markdown() in guide
    assert cemrisk.exit_code_table() in guide
