"""`cemrisk score`: one output row per input row, in order, and a reason wherever there is no risk."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import cemrisk
from models.release import load_releases
from tests.exports import write_flat
from tests.trained import at_home, trained

HEADER = (
    "row,patient_id,level,leak_risk,leak_risk_lo,leak_risk_hi,leak_B,leak_S,leak_C,leak_D,"
    "refracture_risk_m3,refracture_risk_m3_lo,refracture_risk_m3_hi,"
    "refracture_risk_m12,refracture_risk_m12_lo,refracture_risk_m12_hi,"
    "refracture_risk_m24,refracture_risk_m24_lo,refracture_risk_m24_hi,warnings"
)
CASE = {
    "patient_id": "P1",
    "procedure_date": "2024-03-01",
    "level": "L1",
    "age_years": "73",
    "sex": "female",
    "hu_l1": "62",
    "planned_volume_ml": "4.5",
    "procedure": "PVP",
}
LEAK = HEADER.split(",")[3:10]
REFRACTURE = HEADER.split(",")[10:19]


def case(**changes: str) -> dict[str, str]:
    return CASE | changes


@pytest.fixture
def score(tmp_path, capsys):
    def run(*rows: dict[str, str], options: tuple[str, ...] = ()) -> tuple[list[dict[str, str]], str]:
        out = tmp_path / "risks.csv"
        with at_home(trained().home):
            code = cemrisk.main(["score", str(write_flat(tmp_path / "cases.csv", rows)), "--out", str(out), *options])
        assert code == 0
        with out.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream)), capsys.readouterr().err

    return run


def test_the_header_and_the_order_are_those_of_the_contract(score, tmp_path) -> None:
    cases = [case(patient_id=f"P{n}", level=level) for n, level in ((3, "L2"), (1, "T12"), (3, "L1"), (2, "L4"))]
    found, _ = score(*cases)
    assert (tmp_path / "risks.csv").read_text().splitlines()[0] == HEADER
    assert [(one["row"], one["patient_id"], one["level"]) for one in found] == [
        (str(place), one["patient_id"], one["level"]) for place, one in enumerate(cases, start=1)
    ]
    assert not list(tmp_path.glob(".*")), "nothing half written stays"


def test_risks_are_probabilities_inside_their_intervals(score) -> None:
    (found,) = score(case())[0]
    for name in ("leak_risk", *(f"refracture_risk_m{months}" for months in (3, 12, 24))):
        low, risk, high = (float(found[name + end]) for end in ("_lo", "", "_hi"))
        assert 0 < low < risk < high < 1
    routes = [float(found[f"leak_{route}"]) for route in "BSCD"]
    assert max(routes) <= float(found["leak_risk"]) <= sum(routes) + 1e-12
    by_horizon = [float(found[f"refracture_risk_m{months}"]) for months in (3, 12, 24)]
    assert by_horizon == sorted(by_horizon)


def test_a_rejected_row_keeps_its_place_with_its_reasons_and_no_risks(score) -> None:
    found, _ = score(case(), case(patient_id="P2", hu_l1="62000"), case(patient_id="P3"))
    assert [one["patient_id"] for one in found] == ["P1", "P2", "P3"]
    assert all(found[1][name] == "" for name in LEAK + REFRACTURE)
    assert found[1]["warnings"] == "above_limit:hu_l1"
    assert found[0]["leak_risk"] == found[2]["leak_risk"] != ""


def test_an_operation_keeps_its_refracture_risk_whatever_is_rejected_of_another_one(score) -> None:
    days = ("2023-02-01", "2024-03-01")
    found, _ = score(
        case(procedure_date=days[0]), *(case(procedure_date=days[1], level=level) for level in ("L2", "x"))
    )
    assert all(found[0][name] for name in REFRACTURE)
    assert all(found[1][name] == "" for name in REFRACTURE)
    assert found[1]["warnings"].endswith("row_of_the_patient_rejected:refracture")


@pytest.mark.parametrize(
    "changes", [{"malignancy": "index_lesion"}, {"age_years": "45"}, {"of_type": "OF4"}, {"of_type": "OF5"}]
)
def test_a_patient_out_of_scope_keeps_his_place_without_risks(score, changes) -> None:
    found, _ = score(case(**changes), case(patient_id="P2"))
    assert all(found[0][name] == "" for name in LEAK + REFRACTURE)
    assert "out_of_scope" in found[0]["warnings"]
    assert found[1]["leak_risk"]


def test_a_patient_with_a_rejected_row_has_leak_risks_but_no_refracture_risk(score) -> None:
    found, _ = score(case(), case(level="L2", fvah_mm="1.9"))
    assert all(found[0][name] for name in LEAK)
    assert all(found[0][name] == "" for name in REFRACTURE)
    assert found[0]["warnings"].endswith("row_of_the_patient_rejected:refracture")


def test_outcomes_and_postoperative_columns_are_ignored_and_said(score) -> None:
    after = {"leak_routes": "B", "leak_modality": "CT", "refracture": "same", "refracture_days": "90", "died": "1"}
    after |= {"last_seen_days": "90", "cement_volume_ml": "6.1"}
    told, said = score(case(**after))
    plain, nothing = score(case())
    assert told == plain
    assert "not looked at, known only after the plan" in said
    assert all(name in said for name in after)
    assert "not looked at" not in nothing


@pytest.mark.parametrize(
    "faulty",
    [
        {"leak_routes": "Q"},
        {"leak_routes": "none;B"},
        {"refracture": "same", "refracture_days": "-4"},
        {"refracture_days": "soon"},
        {"refracture": "same"},
        {"died": "perhaps"},
        {"cement_volume_ml": "900"},
        {"last_seen_days": "5", "refracture": "remote", "refracture_days": "50"},
    ],
)
def test_a_fault_in_what_is_not_looked_at_rejects_nobody(score, faulty) -> None:
    told, said = score(case(**faulty))
    plain, _ = score(case())
    assert told == plain
    assert next(iter(faulty)) in said


def test_a_film_finds_fewer_leaks_than_ct(score) -> None:
    (ct,) = score(case())[0]
    (film,) = score(case(), options=("--detection", "radiograph"))[0]
    assert float(film["leak_risk"]) < float(ct["leak_risk"])
    assert [film[name] for name in REFRACTURE] == [ct[name] for name in REFRACTURE]


def test_all_vertebrae_of_an_operation_share_one_refracture_risk_and_another_operation_has_its_own(score) -> None:
    together = [case(level=level) for level in ("L1", "L2", "L3")]
    later = case(procedure_date="2025-03-01", level="L4")
    found, _ = score(*together, later)
    assert len({one["refracture_risk_m12"] for one in found[:3]}) == 1
    assert found[3]["refracture_risk_m12"] != found[0]["refracture_risk_m12"]


def test_scattered_patients_cut_into_chunks_keep_their_risks(score, monkeypatch) -> None:
    cases = [case(patient_id=f"P{n % 4}", level=f"T{6 + n}", hu_l1=str(40 + n % 4)) for n in range(7)]
    cases += [case(patient_id=f"Q{n}", hu_l1=str(50 + n)) for n in range(9)]
    whole, _ = score(*cases)
    monkeypatch.setattr("training.score.CHUNK_ROWS", 2)
    cut, _ = score(*cases)
    assert [[one[name] for name in ("row", "patient_id", "level", "warnings")] for one in cut] == [
        [one[name] for name in ("row", "patient_id", "level", "warnings")] for one in whole
    ]
    # A product of matrices rounds differently with another number of rows, in the last bit.
    numbers = [np.array([[float(one[name]) for name in LEAK + REFRACTURE] for one in found]) for found in (cut, whole)]
    np.testing.assert_allclose(*numbers, rtol=1e-12)


def test_the_risks_are_those_of_the_released_models(score) -> None:
    from features.build import build
    from features.records import to_columns

    record = {"age_years": 73.0, "sex": "female", "level": "L1", "hu_l1": 62.0, "planned_volume_ml": 4.5}
    columns = to_columns([record | {"procedure": "PVP", "treated_count": 1}])
    releases = load_releases(trained().home)
    (found,) = score(case())[0]
    leak = releases["leakage"].model.risk(build(columns, "leakage", detection="CT"))[0]
    refracture = releases["refracture"].model.risk(build(columns, "refracture"), 365)[0]
    np.testing.assert_allclose([float(found["leak_risk"]), float(found["refracture_risk_m12"])], [leak, refracture])


def test_counts_as_json(score, capsys, tmp_path) -> None:
    path = write_flat(tmp_path / "cases.csv", [case(leak_routes="B"), case(patient_id="P2", sex="x")])
    with at_home(trained().home):
        assert cemrisk.main(["score", str(path), "--out", str(tmp_path / "r.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    data, leakage, refracture = told.pop("notices")  # of both models once, then how many patients each should have had
    assert "Not for clinical use" in data
    assert leakage.startswith("Not releasable (leakage)") and refracture.startswith("Not releasable (refracture)")
    assert told == {"rows": 2, "without_risk": 1, "ignored": ["leak_routes"]}


def test_no_place_for_the_answer_is_wrong_usage(tmp_path, capsys) -> None:
    path = write_flat(tmp_path / "cases.csv", [case()])
    with at_home(trained().home):
        assert cemrisk.main(["score", str(path), "--out", str(tmp_path / "no" / "r.csv")]) == 2
    assert "--out" in capsys.readouterr().err


def test_the_training_export_itself_can_be_scored(tmp_path, capsys) -> None:
    out: Path = tmp_path / "r.csv"
    with at_home(trained().home):
        assert cemrisk.main(["score", str(trained().export), "--out", str(out)]) == 0
    with trained().export.open(newline="") as cases, out.open(newline="") as risks:
        pairs = itertools.zip_longest(csv.DictReader(cases), csv.DictReader(risks))
        assert all((a["patient_id"], a["level"]) == (b["patient_id"], b["level"]) for a, b in pairs)
    assert ", 1 of them without risks" in capsys.readouterr().out


def test_the_file_of_cases_is_not_overwritten(tmp_path, capsys) -> None:
    cases = write_flat(tmp_path / "cases.csv", [case()])
    before = cases.read_bytes()
    with at_home(trained().home):
        assert cemrisk.main(["score", str(cases), "--out", str(cases)]) == 2
    assert cases.read_bytes() == before
    assert "--out" in capsys.readouterr().err


def test_every_answer_of_a_model_of_simulated_patients_says_so(score) -> None:
    found, said = score(case())
    assert found[0]["warnings"].startswith("simulated_patients:not_for_clinical_use")
    assert "Not for clinical use" in said


@pytest.mark.parametrize("name", ["age_years", "sex"])
def test_what_a_question_must_say_a_case_must_say_too(score, name) -> None:
    found, _ = score(case(**{name: ""}))
    assert all(found[0][column] == "" for column in LEAK + REFRACTURE)
    assert f"required:{name}" in found[0]["warnings"]
