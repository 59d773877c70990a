"""The fields that clients rely on: none may ever be missing from an answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from features.build import Outcome
from models.release import load_releases
from serving.answer import answer
from serving.schema import read_question
from serving.served import Served, serve
from tests.service.questions import EXAMPLE, question
from tests.service.released import release_all

#: Every field of the contract as a path; ``[]`` steps into each entry of a list, which must not be empty.
FIELDS = [
    "request_id",
    "answered_at",
    "data_status",
    "notice",
    "detection",
    "leakage[].level",
    "leakage[].risk",
    "leakage[].interval",
    "leakage[].average",
    "leakage[].detection",
    "leakage[].routes.B",
    "leakage[].routes.S",
    "leakage[].routes.C",
    "leakage[].routes.D",
    "leakage[].by_learner.cox",
    "leakage[].by_learner.logistic",
    "leakage[].by_learner.boosted",
    "leakage[].explanation.scale",
    "leakage[].explanation.base",
    "leakage[].explanation.total",
    "leakage[].explanation.contributions[].variable",
    "leakage[].explanation.contributions[].value",
    "leakage[].explanation.contributions[].contribution",
    "leakage[].explanation.contributions[].text",
    "leakage[].what_if[].variable",
    "leakage[].what_if[].from",
    "leakage[].what_if[].to",
    "leakage[].what_if[].risk",
    "leakage[].what_if[].interval",
    "leakage[].what_if[].difference",
    "leakage[].what_if[].evidence",
    "refracture.horizons_months",
    "refracture.risk",
    "refracture.interval",
    "refracture.average",
    "refracture.causes.same",
    "refracture.causes.adjacent",
    "refracture.causes.remote",
    "refracture.death",
    "refracture.by_learner.cox",
    "refracture.by_learner.boosted",
    "refracture.explanation.horizon_months",
    "refracture.explanation.scale",
    "refracture.explanation.base",
    "refracture.explanation.total",
    "refracture.explanation.contributions[].variable",
    "refracture.what_if[].variable",
    "refracture.what_if[].risk",
    "refracture.what_if[].interval",
    "refracture.what_if[].evidence",
    "missing[].variable",
    "missing[].lowest_risk",
    "missing[].highest_risk",
    "missing[].outcome",
    "missing[].level",
    "missing[].horizon_months",
    "warnings[].code",
    "warnings[].variable",
    "warnings[].detail",
    "models.leakage.name",
    "models.leakage.version",
    "models.leakage.learner",
    "models.leakage.sha256",
    "models.leakage.by_learner.cox",
    "models.leakage.by_learner.logistic",
    "models.leakage.by_learner.boosted",
    "models.refracture.name",
    "models.refracture.version",
    "models.refracture.learner",
    "models.refracture.sha256",
    "models.refracture.by_learner.cox",
    "models.refracture.by_learner.boosted",
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home: Path = tmp_path_factory.mktemp("home")
    release_all(home)
    served: Mapping[Outcome, Served] = serve(load_releases(home))
    odd = question(lambda body: body["patient"].update(age_years=109))
    return answer(read_question(odd), served, "id", "2026-01-01T00:00:00Z")


def _at(value: Any, path: str) -> list[Any]:
    """All values at a path."""
    found = [value]
    for step in path.split("."):
        name, several, _ = step.partition("[]")
        found = [entry[name] for entry in found]
        if several:
            assert all(found), f"{name} is empty"
            found = [item for entry in found for item in entry]
    return found


@pytest.mark.parametrize("path", FIELDS)
def test_the_field_is_there(found: dict[str, Any], path: str) -> None:
    assert _at(found, path)


def test_lists_of_refracture_have_one_entry_per_horizon(found: dict[str, Any]) -> None:
    told = found["refracture"]
    assert told["horizons_months"] == [3, 12, 24]
    lists = [told["risk"], told["interval"], told["average"], told["death"], *told["causes"].values()]
    lists += [*told["by_learner"].values(), *(change["risk"] for change in told["what_if"])]
    assert {len(entry) for entry in lists} == {3}


def test_the_example_of_the_contract_is_a_question() -> None:
    assert read_question(EXAMPLE).levels == ["L1"]
