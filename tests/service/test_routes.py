"""Releases that cannot tell the routes of a leak: the answer says so, and everything else in it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.build import Outcome
from features.outcome import Leakage
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.calibrated import CalibratedRisk
from models.release import load_releases
from serving.answer import answer
from serving.ask import answer_text
from serving.schema import read_question
from serving.served import Served, serve
from tests.service.questions import EXAMPLE
from tests.service.released import FEW, release_leakage, training_data

LEARNERS: dict[str, list[type[CalibratedRisk]]] = {"one part": [LogisticRisk, BoostedRisk], "Cox only": [CoxRisk]}


def _without_routes(settings: Settings, learners: list[type[CalibratedRisk]], home: Path) -> Mapping[Outcome, Served]:
    """Trained on a registry that says whether cement leaked and never where."""
    matrix, leaks = training_data()["leakage"]
    assert isinstance(leaks, Leakage)
    nowhere = np.where((leaks.leaked == 1)[:, None], np.nan, leaks.routes)
    release_leakage(home, [made(settings) for made in learners], matrix, dataclasses.replace(leaks, routes=nowhere))
    return serve(load_releases(home))


@pytest.mark.parametrize("learners", LEARNERS.values(), ids=LEARNERS)
def test_routes_that_nobody_can_tell_are_null_and_said(
    learners: list[type[CalibratedRisk]], served: Mapping[Outcome, Served], tmp_path: Path
) -> None:
    shelf = {**_without_routes(FEW, learners, tmp_path), "refracture": served["refracture"]}
    found: dict[str, Any] = answer(read_question(EXAMPLE), shelf, "id", "now")
    one = found["leakage"][0]
    assert one["routes"] is None and 0 < one["interval"][0] <= one["risk"] <= one["interval"][1] < 1
    assert set(one["by_learner"]) == {made.learner for made in learners} and one["what_if"]
    assert [w["outcome"] for w in found["warnings"] if w["code"] == "routes_not_trained"] == ["leakage"]
    text = answer_text(found)
    assert "by route" not in text and "routes of enough leaks" in text


def test_routes_that_are_told_need_no_warning(served: Mapping[Outcome, Served]) -> None:
    found = answer(read_question(EXAMPLE), served, "id", "now")
    assert found["leakage"][0]["routes"] and "routes_not_trained" not in {w["code"] for w in found["warnings"]}
