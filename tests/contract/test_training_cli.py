"""The verbs around a training as a user runs them: help, exit codes, JSON, what is left out and said."""

from __future__ import annotations

import csv
import json
import shlex

import pytest

import cemrisk
from tests.exports import row, write_flat
from tests.trained import at_home, trained

VERBS = (
    "simulate",
    "check",
    "train",
    "compare",
    "promote",
    "rollback",
    "score",
    "cohort",
    "serve",
    "keys",
    "stop",
    "resume",
    "dictionary",
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_that_it_understands(verb, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cemrisk.main([verb, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    example = said.partition("example:\n")[2].split(">")[0].strip()
    assert example.startswith(f"cemrisk {verb}")
    assert cemrisk.build_parser().parse_args(shlex.split(example)[1:]).run


@pytest.mark.parametrize("wrong", [["train"], ["train", "x.csv", "--outcome", "death"], ["fly"], []])
def test_wrong_usage_is_2(wrong, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cemrisk.main(wrong)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("CEMRISK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_a_file_that_is_not_there_is_wrong_usage(empty_home, capsys) -> None:
    assert cemrisk.main(["train", str(empty_home / "no.csv")]) == 2


def test_a_seed_below_zero_is_wrong_usage(empty_home, capsys) -> None:
    export = write_flat(empty_home / "export.csv", [row()])
    assert cemrisk.main(["train", str(export), "--seed", "-1"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_a_file_where_a_folder_is_needed_is_said_with_its_name(empty_home, monkeypatch, capsys) -> None:
    export = write_flat(empty_home / "export.csv", [row()])
    assert cemrisk.main(["check", str(export), "--out", str(export / "below")]) == 1
    assert capsys.readouterr().err == f"cemrisk: {export / 'below'}: Not a directory\n"
    monkeypatch.setenv("CEMRISK_HOME", str(export))
    assert cemrisk.main(["compare"]) == 1
    assert capsys.readouterr().err == f"cemrisk: {export}: File exists\n"


def test_a_server_that_does_not_answer_is_14(empty_home, monkeypatch, capsys) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert cemrisk.main(["compare"]) == 14
    assert "the MLflow server does not answer" in capsys.readouterr().err


def test_logistic_refracture_is_wrong_usage_and_says_what_exists(empty_home, capsys) -> None:
    export = write_flat(empty_home / "export.csv", [row()])
    assert cemrisk.main(["train", str(export), "--outcome", "refracture", "--learner", "logistic"]) == 2
    assert "choose cox or boosted" in capsys.readouterr().err


def test_an_export_of_rejected_rows_only_is_10(empty_home, capsys) -> None:
    export = write_flat(empty_home / "export.csv", [row(sex="x"), row(patient_id="P2", sex="y")])
    assert cemrisk.main(["train", str(export)]) == 10
    assert "none of the 2 rows can be used: run cemrisk check" in capsys.readouterr().err


def test_too_little_for_every_outcome_is_12_and_says_so_of_each(empty_home, capsys) -> None:
    export = write_flat(empty_home / "export.csv", [row(leak_modality="fluoroscopy", refracture="")])
    assert cemrisk.main(["train", str(export)]) == 12
    said = capsys.readouterr().err
    assert "no row can train leakage (detection_not_comparable: 1)" in said
    assert "no row can train refracture (refracture_not_recorded: 1)" in said


def test_nothing_trained_is_14(empty_home, capsys) -> None:
    assert cemrisk.main(["compare"]) == 14
    assert cemrisk.main(["promote", "leakage"]) == 14
    assert cemrisk.main(["score", str(empty_home / "c.csv"), "--out", str(empty_home / "r.csv")]) == 14
    assert capsys.readouterr().err.count("cemrisk train") == 3


def test_the_report_counts_every_row() -> None:
    told = trained().report
    with trained().export.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert told["read"] == len(rows) == told["accepted"] + told["rejected"]
    assert told["rejected"] == 1
    leakage, refracture = told["trained"]
    assert leakage["rows"] + sum(leakage["left_out"].values()) == told["accepted"]
    assert leakage["left_out"]["detection_not_comparable"] >= 1
    assert refracture["rows"] + sum(refracture["left_out"].values()) == len({one["patient_id"] for one in rows})
    assert refracture["left_out"]["row_of_the_patient_rejected"] == 1


def test_the_report_has_the_keys_that_programs_read() -> None:
    told = trained().report
    assert set(told) == {"read", "accepted", "rejected", "trained", "untrained", "no_such_learner"}
    assert told["no_such_learner"] == {"refracture": ["logistic"]}
    assert [one["outcome"] for one in told["trained"]] == ["leakage", "refracture"]
    for one in told["trained"]:
        assert {"training_id", "rows", "patients", "events", "left_out", "challenger", "versions"} < set(one)
        assert [set(v) for v in one["versions"]] == [
            {
                "outcome",
                "version",
                "learner",
                "role",
                "aliases",
                "training_id",
                "data_status",
                "validation",
                "gate",
                "metrics",
            }
        ] * len(one["versions"])


def test_every_learner_is_trained_and_too_few_patients_leave_no_challenger() -> None:
    leakage, refracture = trained().report["trained"]
    assert [v["learner"] for v in leakage["versions"]] == ["logistic", "cox", "boosted"]
    assert [v["learner"] for v in refracture["versions"]] == ["cox", "boosted"]
    for one in (leakage, refracture):
        assert one["challenger"] is None
        for version in one["versions"]:
            assert "challenger" not in version["aliases"]
            (size,) = [check for check in version["gate"] if check["name"] == "number of patients"]
            assert (size["passed"], size["found"]) == (False, one["patients"])
    (cox,) = [v for v in leakage["versions"] if v["learner"] == "cox"]
    assert cox["role"] == "comparator"


def test_progress_goes_to_standard_error() -> None:
    for said in ("reading the export", "fitting leakage", "fitting refracture", "logging leakage", "47/47", "27/27"):
        assert said in trained().said


def test_compare_after_the_training(capsys) -> None:
    with at_home(trained().home):
        assert cemrisk.main(["compare"]) == 0
        table = capsys.readouterr().out
        assert cemrisk.main(["compare", "--json"]) == 0
    assert table.count("champion") == 2
    assert table.count("not passed:") == 2 and "number of patients is " in table
    told = json.loads(capsys.readouterr().out)["versions"]
    assert [(v["outcome"], v["learner"]) for v in told] == [
        *(("leakage", learner) for learner in ("logistic", "cox", "boosted")),
        *(("refracture", learner) for learner in ("cox", "boosted")),
    ]


def test_a_comparator_is_not_promoted(capsys) -> None:
    with at_home(trained().home):
        assert cemrisk.main(["promote", "leakage", "2"]) == 15
    said = capsys.readouterr().err
    assert "it is a comparator, kept to compare" in said and "Name a version of another learner" in said
