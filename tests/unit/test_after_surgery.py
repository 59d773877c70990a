"""What the operation showed as numbers, the landmark, and that neither reaches a model asked before surgery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import after_surgery
from features.after_surgery import LANDMARK_DAY
from features.build import MOMENT_OF, PREDICTORS, Outcome, build, outcomes_at
from features.dictionary import VARIABLES, Moment
from features.errors import TooLittleData, UsageError
from features.outcome import Refracture, at_landmark
from features.records import to_columns
from models import Card
from tests.builders import columns, record
from tests.fitted import registry, training_cohort
from training.cohort import cohort

POSTOP: Outcome = "refracture-postop"


def _route(**facts: Any) -> float:
    return float(after_surgery.leak_route(columns(**facts))[0])


@pytest.mark.parametrize(
    ("routes", "code"),
    [
        (None, np.nan),
        ({"none"}, 0),
        ({"B"}, 1),
        ({"S", "C"}, 1),
        ({"D"}, 2),
        ({"B", "D"}, 2),
        ({"unspecified"}, np.nan),
    ],
)
def test_a_leak_into_a_disc_counts_apart(routes: set[str] | None, code: float) -> None:
    told = None if routes is None else frozenset(routes)
    assert _route(leak_routes=told) == pytest.approx(code, nan_ok=True)


@pytest.mark.parametrize(("day", "known"), [(0, True), (LANDMARK_DAY, True), (LANDMARK_DAY + 1, False), (200, False)])
def test_a_leak_found_after_the_landmark_was_not_known_at_it(day: int, known: bool) -> None:
    found = _route(leak_routes=frozenset({"D"}), leak_detected_days=day)
    assert found == pytest.approx(2.0 if known else np.nan, nan_ok=True)


def test_absent_columns_are_unknown() -> None:
    empty = {"age_years": np.array([70.0, 80.0])}
    for predictor in after_surgery.PREDICTORS:
        assert np.isnan(predictor.make(empty)).all() and len(predictor.make(empty)) == 2


def test_what_is_stated_goes_before_what_is_computed() -> None:
    heights = {"fvah_mm": 17.0, "fvah_postop_mm": 20.5, "lka_deg": 15.0, "lka_postop_deg": 11.0}
    assert after_surgery.height_regained_mm(columns(**heights))[0] == pytest.approx(3.5)
    assert after_surgery.angle_corrected_deg(columns(**heights))[0] == pytest.approx(4.0)
    stated = heights | {"fvahr_mm": 1.0, "lka_recovery_deg": -2.0}
    assert after_surgery.height_regained_mm(columns(**stated))[0] == 1.0
    assert after_surgery.angle_corrected_deg(columns(**stated))[0] == -2.0
    assert np.isnan(after_surgery.height_regained_mm(columns(fvah_postop_mm=20.5))[0])


def test_vertebrae_of_a_patient_are_pooled() -> None:
    one = {
        "leak_routes": frozenset({"B"}),
        "distribution_abc": "A",
        "endplate_contact": "both",
        "cement_volume_ml": 4.0,
    }
    two = {
        "leak_routes": frozenset({"D"}),
        "distribution_abc": "C",
        "endplate_contact": "none",
        "cement_volume_ml": 3.0,
    }
    found = build(columns(one, two), POSTOP, moment=Moment.POSTOP)
    assert [found[name][0] for name in ("leak_route", "distribution_abc", "endplate_contact", "cement_volume_ml")] == [
        2,
        2,
        2,
        7.0,
    ]
    one["cement_pattern"], two["cement_pattern"] = "solid_lump", "mixed"
    two["cement_volume_ml"] = None
    found = build(columns(one, two), POSTOP, moment=Moment.POSTOP)
    assert found["solid_lump"][0] == 1 and np.isnan(found["cement_volume_ml"][0])


def test_only_the_model_asked_after_surgery_reads_what_it_showed() -> None:
    assert outcomes_at(Moment.PLANNED) == ("leakage", "refracture") and outcomes_at(Moment.POSTOP) == (POSTOP,)
    for outcome, predictors in PREDICTORS.items():
        latest = max(predictor.known_at for predictor in predictors)
        assert latest == (Moment.POSTOP if outcome == POSTOP else Moment.PLANNED)
        assert Card(outcome, "cox").moment == ("postop" if outcome == POSTOP else "preop")
    with pytest.raises(UsageError, match=r"\(planned\): .*leak_route"):
        build(columns(record()), POSTOP)


LATER = sorted(name for name, variable in VARIABLES.items() if variable.known_at > Moment.POSTOP)


@given(chosen=st.lists(st.sampled_from(LATER), max_size=12), value=st.floats(-1e6, 1e6))
@settings(max_examples=25, deadline=None)
def test_the_follow_up_changes_nothing(chosen: list[str], value: float) -> None:
    found = registry(6, 20)
    words = {name for name in LATER if VARIABLES[name].choices}
    rows = len(found.patient)
    future = {name: np.full(rows, "x", dtype=object) if name in words else np.full(rows, value) for name in chosen}
    asked = {"moment": MOMENT_OF[POSTOP], "patient": found.patient}
    altered = build(dict(found.columns) | future, POSTOP, **asked)  # type: ignore[arg-type]
    np.testing.assert_array_equal(altered.values, build(found.columns, POSTOP, **asked).values)  # type: ignore[arg-type]


def test_time_counts_from_the_landmark_and_who_did_not_reach_it_is_named() -> None:
    days = np.array([3.0, LANDMARK_DAY, LANDMARK_DAY + 1, 5.0, 6.0, 400.0, np.nan])
    code = np.array([1, 2, 3, 4, 0, 0, 0])
    found, left_out = at_landmark(Refracture(code, days, np.arange(7)))
    assert {reason: np.flatnonzero(who).tolist() for reason, who in left_out.items()} == {
        "refracture_before_landmark": [0, 1],
        "died_before_landmark": [3],
        "lost_before_landmark": [4],
    }
    assert found.days[[2, 5]].tolist() == [1.0, 400.0 - LANDMARK_DAY]
    assert (found.name, found.take(np.array([2])).name) == (POSTOP, POSTOP)


def test_the_flow_adds_up() -> None:
    before, after = training_cohort("refracture"), training_cohort(POSTOP)
    early = {name: count for name, count in after.left_out.items() if name.endswith("before_landmark")}
    assert len(early) == 3 and early["refracture_before_landmark"] > 0
    assert len(before.matrix) == len(after.matrix) + sum(early.values())
    assert (after.target.days > 0).all() and after.target.days.max() == before.target.days.max() - LANDMARK_DAY  # type: ignore[union-attr]
    shared = [name for name in after.matrix.columns if name in before.matrix.columns]
    kept = np.isin(before.patient, after.patient)
    for name in shared:
        np.testing.assert_array_equal(before.matrix[name][kept], after.matrix[name])


def test_nobody_is_counted_twice() -> None:
    rows = [
        record(patient_id="a", refracture_days=3),
        record(patient_id="b", refracture=None, refracture_days=None, last_seen_days=2),
        record(patient_id="c"),
    ]
    rows[2] |= {"distribution_abc": "A"}
    found = cohort(to_columns(rows), POSTOP)
    assert len(found.matrix) == 1 and sum(found.left_out.values()) == 2


def test_an_export_that_says_nothing_of_the_operation_is_refused() -> None:
    silent = record(leak_routes=None, leak_modality=None, leak_detected_days=None)
    with pytest.raises(TooLittleData, match=r"nothing is known of after the operation.*endplate_contact"):
        cohort(to_columns([silent]), POSTOP)
    assert len(cohort(to_columns([silent]), "refracture").matrix) == 1
