"""A scan after the operation: what it shows is a proposal, and nothing of it enters a question asked before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cemrisk
from features.build import Outcome
from features.ct.question import complete
from features.ct.scan import _drawn
from features.ct.warnings import CT_WARNINGS
from features.dictionary import VARIABLES, Moment
from features.errors import UsageError
from serving.app import create_app
from serving.schema import read_question
from serving.served import Served
from tests.contract.ct.conftest import ACROSS, INSIDE
from tests.service.client import Client

CASE: dict[str, Any] = {
    "patient": {"age_years": 73, "sex": "female"},
    "vertebrae": [{"level": "L1", "procedure": "PVP", "planned_volume_ml": 4.5}],
}


@pytest.fixture(scope="module")
def reports(treated: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command line writes of the scan, taken as one from before and as one from after the operation."""
    found = {}
    for moment in ("preop", "postop"):
        out = tmp_path_factory.mktemp("report") / "out.json"
        arguments = ["ct", treated[0], "--labels", treated[1], "--moment", moment, "--out", out]
        assert cemrisk.main([str(a) for a in arguments]) == 0
        found[moment] = json.loads(out.read_text())
    return found


def vertebra_of(report: dict[str, Any], level: str) -> dict[str, Any]:
    return next(vertebra for vertebra in report["vertebrae"] if vertebra["level"] == level)


def test_cement_is_measured_and_proposed_with_its_voxels(reports: dict[str, Any]) -> None:
    report = reports["postop"]
    assert report["moment"] == "postop"
    values = vertebra_of(report, "L1")["values"]
    volume = INSIDE.volume_ml + ACROSS.volume_ml
    assert values["cement_volume_ml"]["value"] == pytest.approx(volume, rel=0.12)
    assert 0.25 < values["leak_volume_ml"]["value"] / ACROSS.volume_ml < 0.75
    assert values["leak_routes"]["value"] == ["C"]
    assert values["fvah_postop_mm"]["value"] == pytest.approx(21.0, abs=0.6)
    for name, entry in values.items():
        proposed = name.startswith(("cement", "leak", "distribution", "endplate"))
        assert entry.get("proposal", False) is proposed, name
        if proposed:
            assert [region["image"] for region in entry["regions"]] == ["image", "labels"]
    cement = vertebra_of(report, "L1")["details"]["cement"]
    spacing = np.prod(report["scan"]["spacing_mm"]) / 1000
    assert cement["voxels"] * spacing == pytest.approx(values["cement_volume_ml"]["value"], abs=0.02)
    (leak,) = cement["leaks"]
    assert leak["voxels"] * spacing == pytest.approx(values["leak_volume_ml"]["value"], abs=0.02)
    assert cement["source"]["series"] == report["scan"]["series"]
    assert {w["code"] for w in vertebra_of(report, "L1")["warnings"]} >= {"cement_proposed"}
    assert "cement_volume_ml" not in vertebra_of(report, "L2")["values"]
    assert all(VARIABLES[name].known_at >= Moment.INTRAOP for name in values)
    assert report["patient"]["values"] == {}


def test_proposals_enter_a_question_after_surgery_with_their_warning(reports: dict[str, Any]) -> None:
    question = complete(reports["postop"], {**CASE, "moment": "postop"})
    assert {"code": "cement_proposed", "level": "L1"} in question["ct"]
    read = read_question(question)
    assert read.moment is Moment.POSTOP
    assert ("cement_proposed", "L1") in read.ct
    assert read.records[0]["cement_volume_ml"] > 2
    assert "confirmed by a reader" in CT_WARNINGS["cement_proposed"].detail


def test_the_service_answers_after_surgery_and_repeats_that_a_reader_must_confirm(
    reports: dict[str, Any], served: dict[Outcome, Served]
) -> None:
    question = complete(reports["postop"], {**CASE, "moment": "postop"})
    response = Client(create_app(lambda: served)).post("/v1/risk", json=question)
    assert response.status_code == 200, response.text
    warned = {(w["code"], w["level"]): w["detail"] for w in response.json()["warnings"]}
    assert warned["ct_cement_proposed", "L1"] == f"CT: {CT_WARNINGS['cement_proposed'].detail}"
    assert response.json()["leakage"] is None and response.json()["refracture"]["risk"]


@pytest.mark.parametrize(("moment", "case"), [("postop", CASE), ("preop", {**CASE, "moment": "postop"}),
                                              ("postop", {**CASE, "moment": []})])  # fmt: skip
def test_unequal_moments_are_refused_before_anything_is_measured(
    reports: dict[str, Any], tmp_path: Path, moment: str, case: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "case.json"
    given.write_text(json.dumps(case))
    arguments = ["ct", "missing.nii", "--labels", "missing.nii", "--moment", moment, "--question", str(given)]
    assert cemrisk.main(arguments) == 2
    assert "moment" in capsys.readouterr().err
    with pytest.raises(UsageError, match="moment"):
        complete(reports[moment], case)


def test_nothing_of_a_cemented_level_enters_a_question_before_surgery(reports: dict[str, Any]) -> None:
    report = reports["preop"]
    treated = vertebra_of(report, "L1")
    assert treated["values"] == {} and treated["derived"] == {}
    assert "hu_index_vertebra" in vertebra_of(report, "L2")["values"]
    assert report["patient"]["values"]["hu_l1"]["level"] in {"T12", "L2"}
    assert "L1" in _drawn(report, ("L1",)) and len(_drawn(report, ("L1",))) == 2, "the CT value's level is drawn too"
    question = complete(report, CASE)
    (vertebra,) = question["vertebrae"]
    assert vertebra == CASE["vertebrae"][0]
    assert {"code": "cement_in_body", "level": "L1"} in question["ct"]
    assert read_question(question).moment is Moment.PLANNED
    later = vertebra_of(reports["postop"], "L1")
    mixed = {**report, "vertebrae": [later]}
    assert complete(mixed, CASE)["vertebrae"] == CASE["vertebrae"], "a value known later has no place in it"
