"""The rows that models read of a patient otherwise: those of the question in which he is otherwise, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from features.build import MOMENT_OF, PREDICTORS, Outcome, build
from features.dictionary import VARIABLES, Moment
from features.records import to_columns
from serving.scenarios import Scenario, Treated, plan_changes, rows_of, unknown_values
from serving.schema import read_question
from serving.served import Served
from tests.service.questions import EXAMPLE
from tests.service.test_after_surgery import SHOWN
from tests.service.test_answer import questions

Shelf = Mapping[Outcome, Served]


def _otherwise(records: tuple[dict[str, Any], ...], scenario: Scenario | None) -> list[dict[str, Any]]:
    if scenario is None:
        return list(records)
    edited = {scenario.variable: scenario.value}
    return [record | edited if scenario.vertebra in (None, index) else record for index, record in enumerate(records)]


def _check_rows(served: Served, body: dict[str, Any]) -> None:
    asked = read_question(body)
    treated = Treated.of(asked.records, asked.moment, asked.detection)
    scenarios = plan_changes(served, treated) + unknown_values(served, treated)
    rows = rows_of(served.outcome, treated, scenarios)
    assert rows.values.shape == (len(rows.owner), len(PREDICTORS[served.outcome]))
    detection = asked.detection if served.outcome == "leakage" else None
    for values, owner, vertebra in zip(rows.values, rows.owner, rows.vertebra, strict=True):
        records = _otherwise(asked.records, None if owner < 0 else scenarios[owner])
        whole = build(to_columns(records), served.outcome, moment=MOMENT_OF[served.outcome], detection=detection)
        np.testing.assert_array_equal(values, whole.values[vertebra])


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=questions())
def test_a_scenario_is_derived_as_a_question_of_its_own(served: Shelf, outcome: Outcome, body: dict[str, Any]) -> None:
    _check_rows(served[outcome], body)


@pytest.mark.parametrize("known", [{}, SHOWN])
def test_so_is_one_after_surgery(served: Shelf, known: dict[str, Any]) -> None:
    plain = {"level": "L3", "fvah_mm": 20.0, "procedure": "VBS"}
    body = EXAMPLE | {"moment": "postop", "vertebrae": [{"level": "T12", **known}, plain]}
    _check_rows(served["refracture-postop"], body)


def test_each_column_of_a_question_is_read_by_the_models_of_its_moment(served: Shelf) -> None:
    for moment in (Moment.PLANNED, Moment.POSTOP):
        everything = [dict.fromkeys(VARIABLES, None)]
        stated = set(Treated.of(everything, moment, "CT").columns)
        reads = {name for one in served.values() if one.moment is moment for name in one.reads}
        assert stated == reads | {"detection"}
