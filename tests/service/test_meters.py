"""What ``/metrics`` says of questions and answers: counts by interval that no patient can be read back from."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.build import Outcome
from serving.answer import answer
from serving.app import create_app
from serving.meters import RISK_EDGES, MeteredLog, inputs_of, interval_of, model_lines, risks_of
from serving.schema import read_question
from serving.served import Served
from tests.service import logged
from tests.service.client import Client
from tests.service.questions import EXAMPLE, levels, question


@given(st.floats(allow_nan=False))
def test_every_value_lies_in_one_interval_and_its_name_says_which(value: float) -> None:
    found = interval_of(value, RISK_EDGES)
    if found.startswith("below"):
        assert value < RISK_EDGES[0]
    elif found.endswith("above"):
        assert value >= RISK_EDGES[-1]
    else:
        low, high = map(float, found.split(" to "))
        assert low <= value < high


def test_inputs_are_counted_by_interval_choice_and_unknown() -> None:
    counted = Counter(inputs_of(question(levels("T12", "L1"))))
    assert counted["level", "T12"] == counted["level", "L1"] == 1
    assert counted["planned_volume_ml", "unknown"] == 2 and counted["smoking", "unknown"] == 1
    assert counted["sex", "female"] == 1 and counted["steroid_use", "false"] == 1
    ages = [interval for (variable, interval), _ in counted.items() if variable == "age_years"]
    low, high = map(float, ages[0].split(" to "))
    assert len(ages) == 1 and low <= 73 < high and high - low > 5


def test_counts_that_cannot_be_written_cost_no_answer(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    def full(labels: tuple[str, ...]) -> None:
        raise OSError(errno.ENOSPC, "no space")

    log = MeteredLog("test", full, full)
    log.begin(logged.settings(tmp_path))
    assert Client(create_app(lambda: served, log=log)).post("/v1/risk", json=EXAMPLE).status_code == 200


def test_risks_are_counted_by_outcome_and_horizon(served: Mapping[Outcome, Served]) -> None:
    found = answer(read_question(EXAMPLE), served, "id", "now")
    counted = list(risks_of(found))
    assert [labels[:2] for labels in counted] == [
        ("leakage", ""),
        ("refracture", "3"),
        ("refracture", "12"),
        ("refracture", "24"),
    ]
    assert counted[0][2] == interval_of(found["leakage"][0]["risk"], RISK_EDGES)
    assert list(risks_of({**found, "leakage": None, "refracture": None})) == []


@pytest.mark.parametrize("state", [{"state": "absent"}, {"state": "serving", "version": "3", "sha256": "0f"}])
def test_models_stand_there_with_their_digest(state: dict[str, str]) -> None:
    line = model_lines({"leakage": state}).splitlines()[-1]
    assert line.startswith('cemrisk_model{outcome="leakage",state="') and line.endswith('"} 1')
    assert f'sha256="{state.get("sha256", "")}"' in line
