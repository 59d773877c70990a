"""From a scan to an answer: what ``cemrisk ct --question`` writes is asked over HTTP as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cemrisk
from features.build import Outcome
from features.ct.question import complete
from features.ct.warnings import CT_WARNINGS, entry
from features.errors import UsageError
from serving.app import create_app
from serving.served import Served
from tests.service.client import Client

DATA = Path(__file__).parents[2] / "data" / "ct"
CASE: dict[str, Any] = {
    "case_id": "case-7",
    "patient": {"age_years": 73, "sex": "female", "t_score": None},
    "vertebrae": [{"level": "L1", "procedure": "PVP", "planned_volume_ml": 4.5, "fvah_mm": 21.5}],
}


def completed(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    """The real scan measured by the command line, for a question."""
    given, out = folder / "case.json", folder / "question.json"
    given.write_text(json.dumps(case))
    scan, labels = DATA / "example_ct.nii.gz", DATA / "example_vertebrae.nii.gz"
    arguments = ["ct", scan, "--labels", labels, "--level", "L1", "--question", given, "--out", out]
    assert cemrisk.main([str(a) for a in arguments]) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_the_real_scan_is_answered_with_its_warnings(served: dict[Outcome, Served], tmp_path: Path) -> None:
    question = completed(tmp_path, CASE)
    (vertebra,) = question["vertebrae"]
    assert vertebra["fvah_mm"] == 21.5, "a stated value is kept"
    assert 15 < vertebra["pvh_mm"] < 40 and vertebra["procedure"] == "PVP"
    client = Client(create_app(lambda: served))
    response = client.post("/v1/risk", json=question)
    assert response.status_code == 200, response.text
    answer = response.json()
    warned = {(w["code"], w["level"]): w for w in answer["warnings"] if w["code"].startswith("ct_")}
    assert set(warned) == {(f"ct_{w['code']}", w["level"]) for w in question["ct"]}
    # voxels of 3 mm, and a NIfTI does not tell how it was made
    assert {("ct_thick_slices", None), ("ct_acquisition_unknown", None), ("ct_breach_not_assessable", "L1")} <= set(
        warned
    )
    assert warned["ct_thick_slices", None]["detail"] == f"CT: {CT_WARNINGS['thick_slices'].detail}"
    without = client.post("/v1/risk", json={**question, "ct": None}).json()
    assert [w for w in without["warnings"] if w["code"].startswith("ct_")] == []
    assert without["leakage"] == answer["leakage"] and without["refracture"] == answer["refracture"]


@pytest.mark.parametrize(
    "question", [{}, [], {"vertebrae": ["L1"]}, {"vertebrae": [{"level": "T5"}]}, {"vertebrae": [{"level": {}}]}]
)
def test_a_question_that_cannot_be_completed_is_refused(question: Any) -> None:
    vertebrae = [{"level": "L1", "values": {}}]
    report = {"moment": "preop", "patient": {"values": {}}, "vertebrae": vertebrae, "warnings": []}
    with pytest.raises(UsageError, match="question"):
        complete(report, question)


def test_a_question_file_is_read_before_the_scan_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "case.json"
    for text in ("{", '{"patient": {"t_score": NaN}}', '{"patient": 1e999}', '{"a": -Infinity}', '{"a": 1, "a": 2}',
                 "[" * 100_000, None):  # fmt: skip
        broken.unlink() if text is None else broken.write_text(text)
        assert cemrisk.main(["ct", "missing.nii", "--labels", "missing.nii", "--question", str(broken)]) == 2
        assert "--question" in capsys.readouterr().err


def test_a_report_brings_no_warning_that_an_answer_could_not_say() -> None:
    assert entry("kvp_not_120", None, "x") == {"code": "kvp_not_120", "level": None, "detail": "x"}
    with pytest.raises(KeyError):
        entry("something_new", "L1", "x")
