"""What ``/metrics`` says of questions and answers: histograms that no patient can be read back from."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from features.build import Outcome
from serving.answer import answer
from serving.app import create_app
from serving.meters import RISK_EDGES, MeteredLog, model_lines
from serving.query_log import Answered
from serving.schema import read_question
from serving.served import Served
from serving.tally import Tally
from tests.service import logged
from tests.service.client import Client
from tests.service.questions import EXAMPLE, levels, question

Samples = dict[tuple[str, ...], float]


def _samples(text: str) -> Samples:
    """Of each name with its labels' values, as Prometheus' own reader finds them."""
    found = list(text_string_to_metric_families(text))
    assert {family.type for family in found} <= {"histogram", "counter", "gauge"}
    return {(one.name, *one.labels.values()): one.value for family in found for one in family.samples}


def _answered(risk: float = 0.1, asked: Mapping[str, Any] = EXAMPLE, moment: str = "preop") -> Answered:
    one = logged.answered()
    refracture = {"horizons_months": [3, 12, 24], "risk": [risk] * 3}
    return Answered(
        asked, {**one.answer, "moment": moment, "leakage": [{"risk": risk}], "refracture": refracture}, b"", ""
    )


def _kept(folder: Path, *answered: Answered) -> MeteredLog:
    log = MeteredLog("test")
    log.begin(logged.settings(folder), folder)
    asyncio.run(log.keep(*answered))
    return log


@given(st.lists(st.sampled_from(RISK_EDGES) | st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_a_bucket_holds_what_is_up_to_its_edge(risks: list[float]) -> None:
    found = _samples(_counted(*map(_answered, risks)))
    for labels in (("leakage", ""), ("refracture", "3"), ("refracture", "24")):
        buckets = {key[-1]: value for key, value in found.items() if key[:-1] == ("cemrisk_risk_bucket", *labels)}
        assert buckets == {
            **{str(edge): sum(risk <= edge for risk in risks) for edge in RISK_EDGES},
            "+Inf": len(risks),
        }
        assert found["cemrisk_risk_count", *labels] == len(risks)


def _counted(*answered: Answered) -> str:
    """What the metrics say, without a log on a disk."""
    log = MeteredLog("test")
    log.count(answered)
    return log.lines()


def test_no_sum_tells_what_one_patient_had() -> None:
    assert "_sum" not in _counted(_answered())


def test_inputs_are_counted_by_interval_choice_and_unknown() -> None:
    asked = question(levels("T12", "L1"))
    asked["vertebrae"][0]["cortical_disruption_site"] = ["anterior", "lateral_left"]
    found = _samples(_counted(_answered(asked=asked)))
    said = {key[1:]: value for key, value in found.items() if key[0] == "cemrisk_input_choice_total" and value}
    assert said["level", "T12"] == said["level", "L1"] == said["sex", "female"] == said["steroid_use", "false"] == 1
    assert said["cortical_disruption_site", "anterior"] == said["cortical_disruption_site", "lateral_left"] == 1
    unknown, could = (
        {k[1]: v for k, v in found.items() if k[0] == f"cemrisk_input_{n}_total"} for n in ("unknown", "asked")
    )
    assert (unknown["planned_volume_ml"], unknown["smoking"], unknown["age_years"], unknown["level"]) == (2, 1, 0, 0)
    assert (could["planned_volume_ml"], could["smoking"], could["cement_volume_ml"]) == (2, 1, 0)
    ages = {key[2]: value for key, value in found.items() if key[:2] == ("cemrisk_input_bucket", "age_years")}
    assert ages == {edge: float(edge == "+Inf" or float(edge) >= 73) for edge in ages} and len(ages) == 8


def test_whole_numbers_have_an_interval_each() -> None:
    asked = question()
    asked["patient"]["treated_count"] = 2
    found = _samples(_counted(_answered(asked=asked)))
    counts = {key[2]: value for key, value in found.items() if key[:2] == ("cemrisk_input_bucket", "treated_count")}
    assert counts == {"1.0": 0, "2.0": 1, "3.0": 1, "4.0": 1, "+Inf": 1}


def test_after_the_operation_other_variables_and_risks_are_counted() -> None:
    found = _samples(_counted(_answered(moment="postop")))
    assert found["cemrisk_input_asked_total", "cement_volume_ml"] == 1
    assert (
        found["cemrisk_risk_count", "refracture-postop", "12"] == 1
        and found["cemrisk_risk_count", "refracture", "12"] == 0
    )


def test_counts_of_all_workers_are_added_and_outlive_them(tmp_path: Path) -> None:
    workers = [
        get_context("spawn").Process(target=_kept, args=(tmp_path, *(_answered() for _ in range(n)))) for n in (2, 3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    log = _kept(tmp_path, _answered())
    assert len(list(tmp_path.glob("*.tally"))) == 3
    assert _samples(log.lines())["cemrisk_risk_count", "leakage", ""] == 6


def test_a_worker_with_the_number_of_one_before_goes_on_with_its_counts(tmp_path: Path) -> None:
    for expected in (1, 2):
        tally = Tally(3, "x")
        tally.share(tmp_path)
        tally.ready()[2] += 1
        assert tally.totals() == [0, 0, expected]


def test_counts_that_cannot_be_written_cost_no_answer_and_are_not_lost(
    served: Mapping[Outcome, Served], tmp_path: Path
) -> None:
    folder, log = tmp_path / "counts", MeteredLog("test")
    folder.touch()  # a file, in which no other can be made
    log.begin(logged.settings(tmp_path), folder)
    client = Client(create_app(lambda: served, log=log))
    for number in (1, 2):
        assert client.post("/v1/risk", json=EXAMPLE).status_code == 200
        assert _samples(log.lines())["cemrisk_input_asked_total", "age_years"] == number
        folder.unlink(missing_ok=True) if number == 1 else None
        folder.mkdir(exist_ok=True)
    assert len(list(folder.iterdir())) == 1


def test_the_risks_of_an_answer_are_counted_by_outcome_and_horizon(served: Mapping[Outcome, Served]) -> None:
    found = answer(read_question(EXAMPLE), served, "id", "now")
    counts = _samples(_counted(Answered(EXAMPLE, found, b"", "")))
    expected = Counter({("leakage", ""): 1, ("refracture", "3"): 1, ("refracture", "12"): 1, ("refracture", "24"): 1})
    assert +Counter({key[1:]: value for key, value in counts.items() if key[0] == "cemrisk_risk_count"}) == expected
    nothing = _samples(_counted(Answered(EXAMPLE, {**found, "leakage": None, "refracture": None}, b"", "")))
    assert not any(value for key, value in nothing.items() if key[0] == "cemrisk_risk_count")


@pytest.mark.parametrize("state", [{"state": "absent"}, {"state": "serving", "version": "3", "sha256": "0f"}])
def test_models_stand_there_with_their_digest(state: dict[str, str]) -> None:
    line = model_lines({"leakage": state}).splitlines()[-1]
    assert line.startswith('cemrisk_model{outcome="leakage",state="') and line.endswith('"} 1')
    assert f'sha256="{state.get("sha256", "")}"' in line
