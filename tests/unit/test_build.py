"""The matrix: how vertebrae become a patient, what an unknown one leaves open, and what is not known in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.build import PREDICTORS, Matrix, Outcome, Predictor, build, refuse_look_ahead
from features.dictionary import VARIABLES, Moment
from features.errors import UsageError
from features.outcome import leakage, refracture
from tests.builders import columns, question, record
from tests.fitted import registry

OUTCOMES: tuple[Outcome, ...] = ("leakage", "refracture")
NAN = float("nan")


def _patient(name: str, *vertebrae: dict[str, Any]) -> float:
    """A column of the one-row refracture matrix of a patient with these vertebrae."""
    rows = [question(**vertebra) for vertebra in vertebrae]
    matrix = build(columns(*rows), "refracture")
    assert matrix.values.shape == (1, 16)
    return float(matrix[name][0])


@pytest.mark.parametrize(
    ("variable", "column", "values", "pooled"),
    [
        ("intravertebral_cleft", "intravertebral_cleft", (False, True), 1.0),
        ("intravertebral_cleft", "intravertebral_cleft", (False, False), 0.0),
        ("intravertebral_cleft", "intravertebral_cleft", (None, True), 1.0),
        ("intravertebral_cleft", "intravertebral_cleft", (None, False), NAN),
        ("procedure", "procedure_pkp", ("PVP", "PKP"), 1.0),
        ("procedure", "procedure_pkp", ("PVP", None), NAN),
        ("level", "thoracolumbar_junction", ("L4", "T12"), 1.0),
        ("level", "thoracolumbar_junction", ("L4", "L3"), 0.0),
        ("genant_grade", "genant_grade", ("1", "3"), 3.0),
        ("planned_volume_ml", "planned_volume_ml", (3.0, 4.5), 7.5),
        ("planned_volume_ml", "planned_volume_ml", (3.0, None), NAN),
        ("hu_index_vertebra", "ct_value_hu", (80.0, 55.0), 55.0),
        ("hu_index_vertebra", "ct_value_hu", (None, 55.0), 55.0),
    ],
)
def test_vertebrae_are_pooled(variable: str, column: str, values: tuple[Any, Any], pooled: float) -> None:
    """Any, worst, sum, lowest; an unknown vertebra leaves open what it could change (a sum, a flag not yet set)."""
    better = {"hu_index_vertebra": "hu_l1", "genant_grade": "fvah_mm"}.get(variable)  # would come first
    hidden = {} if better is None else {better: None, "mvh_mm": None}
    found = _patient(column, *({variable: value, **hidden} for value in values))
    assert found == pytest.approx(pooled, nan_ok=True)


def test_patients_come_in_order_of_appearance() -> None:
    rows = [question(age_years=age, planned_volume_ml=ml) for age, ml in ((70, 3), (60, 4), (70, 5), (80, 1))]
    matrix = build(columns(*rows), "refracture", patient=np.array([9, 4, 9, 1]))
    np.testing.assert_array_equal(matrix["age_years"], [70, 60, 80])
    np.testing.assert_array_equal(matrix["planned_volume_ml"], [8, 4, 1])
    np.testing.assert_array_equal(matrix.patient, [0, 1, 2])


def test_leakage_has_a_row_for_each_vertebra() -> None:
    matrix = build(columns(question(), question(level="L2")), "leakage", detection="radiograph")
    assert len(matrix) == 2
    assert matrix.keys() == tuple(predictor.name for predictor in PREDICTORS["leakage"])
    np.testing.assert_array_equal(matrix["detection"], [0, 0])
    np.testing.assert_array_equal(matrix.patient, [0, 0])


def test_how_leaks_are_looked_for_must_be_said() -> None:
    with pytest.raises(UsageError, match="detection is needed for leakage: CT or radiograph"):
        build(columns(question()), "leakage")


@pytest.mark.parametrize(
    ("known", "bmi"),
    [
        ({"bmi_kg_m2": 22.0, "height_cm": 160.0, "weight_kg": 80.0}, 22.0),
        ({"bmi_kg_m2": None, "height_cm": 160.0, "weight_kg": 64.0}, 25.0),
        ({"bmi_kg_m2": None, "height_cm": 160.0}, NAN),
    ],
)
def test_bmi_is_stated_or_computed(known: dict[str, Any], bmi: float) -> None:
    assert _patient("bmi_kg_m2", known) == pytest.approx(bmi, nan_ok=True)


@pytest.mark.parametrize(
    ("variable", "column", "codes"),
    [
        ("smoking", "smoking_current", {"current": 1.0, "former": 0.0, "never": 0.0, None: NAN}),
        ("sex", "female", {"female": 1.0, "male": 0.0, None: NAN}),
        ("anti_osteoporosis_plan", "anti_osteoporosis_planned", {"none": 0.0, "zoledronate": 1.0, None: NAN}),
        ("procedure", "procedure_pkp", {"PVP": 0.0, "PKP": 1.0, "VBS": NAN, None: NAN}),
    ],
)
def test_words_become_numbers(variable: str, column: str, codes: dict[str | None, float]) -> None:
    for word, code in codes.items():
        assert word is None or word in VARIABLES[variable].choices
        assert _patient(column, {variable: word}) == pytest.approx(code, nan_ok=True)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_predictor_is_known_too_late(outcome: Outcome) -> None:
    refuse_look_ahead(PREDICTORS[outcome], Moment.PLANNED)
    with pytest.raises(UsageError, match=r"known only after the moment of the question \(preop\): .*planned_volume_ml"):
        build(columns(question()), outcome, detection="CT", moment=Moment.PREOP)


def test_a_predictor_from_after_surgery_is_refused() -> None:
    late = Predictor(
        "volume", "cement_volume_ml", ("planned_volume_ml", "cement_volume_ml"), "continuous", lambda c: c["x"]
    )
    assert late.known_at > Moment.PLANNED
    with pytest.raises(UsageError, match=r"\(planned\): volume"):
        refuse_look_ahead((late,), Moment.PLANNED)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_predictors_read_is_all_that_they_read(outcome: Outcome) -> None:
    """Every other column taken away or replaced by rubbish: the same matrix. No look-ahead through a back door."""
    found = registry(60, 19)
    whole = build(found.columns, outcome, detection="CT", patient=found.patient)
    read = {name for predictor in PREDICTORS[outcome] for name in predictor.reads}
    only = {name: values for name, values in found.columns.items() if name in read}
    rubbish = {name: np.full(len(found.patient), np.nan) for name in VARIABLES if name not in read}
    for columns_given in (only, rubbish | only | {"not_in_the_dictionary": found.patient}):
        np.testing.assert_array_equal(
            build(columns_given, outcome, detection="CT", patient=found.patient).values, whole.values
        )


def _anything(name: str, rows: int) -> st.SearchStrategy[NDArray[Any]]:
    """A column of anything that a variable can hold."""
    variable = VARIABLES[name]
    if variable.kind in ("number", "integer", "flag"):
        return st.lists(st.floats(-1e6, 1e6), min_size=rows, max_size=rows).map(np.array)
    entry: st.SearchStrategy[Any] = st.sampled_from(variable.choices or ("x",))
    if variable.kind == "multi":
        entry = st.frozensets(entry)
    return st.lists(st.none() | entry, min_size=rows, max_size=rows).map(_objects)


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


LATER = sorted(name for name, variable in VARIABLES.items() if variable.known_at > Moment.PLANNED)


@pytest.mark.parametrize("outcome", OUTCOMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_future_changes_nothing(outcome: Outcome, data: st.DataObject) -> None:
    """All that is known only during or after surgery, set to anything: the matrix before surgery stays the same."""
    assert len(LATER) > 40
    found = registry(4, 20)
    rows = len(found.patient)
    future = {
        name: data.draw(_anything(name, rows)) for name in data.draw(st.lists(st.sampled_from(LATER), max_size=12))
    }
    altered = build(dict(found.columns) | future, outcome, detection="CT", patient=found.patient)
    np.testing.assert_array_equal(
        altered.values, build(found.columns, outcome, detection="CT", patient=found.patient).values
    )


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_order_of_rows_does_not_matter(outcome: Outcome) -> None:
    found = registry(150, 21)
    order = np.random.default_rng(22).permutation(len(found.patient))
    shuffled = {name: values[order] for name, values in found.columns.items()}
    one = build(found.columns, outcome, detection="CT", patient=found.patient)
    other = build(shuffled, outcome, detection="CT", patient=found.patient[order])
    if outcome == "leakage":
        np.testing.assert_array_equal(other.values, one.values[order])
        return
    _, first = np.unique(found.patient[order], return_index=True)
    appears = found.patient[order][np.sort(first)]
    np.testing.assert_allclose(other.values, one.values[appears], rtol=1e-14)


def test_no_rows_make_no_matrix() -> None:
    empty = {"age_years": np.zeros(0), "level": np.zeros(0, dtype=object)}
    assert build(empty, "leakage", detection="CT").values.shape == (0, 10)
    assert build(empty, "refracture").values.shape == (0, 16)


def test_rows_are_taken_with_their_patients() -> None:
    matrix = Matrix(("a", "b"), np.arange(6.0).reshape(3, 2), np.array([5, 5, 7]))
    taken = matrix.take(np.array([True, False, True]))
    np.testing.assert_array_equal(taken["b"], [1, 5])
    np.testing.assert_array_equal(taken.patient, [5, 7])


def _leaks(**changes: Any) -> tuple[Any, dict[str, Any]]:
    return leakage(columns(record(**changes)), np.zeros(1, dtype=np.intp))


def test_leakage_is_read_by_route() -> None:
    target, left_out = _leaks(leak_routes=frozenset({"B", "D"}), leak_modality="CT+radiograph", leak_detected_days=2)
    np.testing.assert_array_equal(target.routes, [[1, 0, 0, 1]])
    assert (target.leaked[0], target.days[0], target.detection[0]) == (1, 2, 1)
    assert not any(rows.any() for rows in left_out.values())


def test_a_leak_of_unknown_route_trains_any_leak_only() -> None:
    target, _ = _leaks(leak_routes=frozenset({"unspecified"}))
    assert target.leaked[0] == 1
    assert np.isnan(target.routes).all()


def test_without_a_leak_the_time_ends_with_observation_or_after_a_year() -> None:
    for seen, days in ((200, 200), (900, 365)):
        target, _ = _leaks(leak_routes=frozenset({"none"}), last_seen_days=seen)
        assert (target.leaked[0], target.days[0]) == (0, days)
        np.testing.assert_array_equal(target.routes, [[0, 0, 0, 0]])


@pytest.mark.parametrize("modality", ["fluoroscopy", "not_stated", None])
def test_what_was_not_looked_for_by_ct_or_film_trains_nothing(modality: str | None) -> None:
    _, left_out = _leaks(leak_modality=modality)
    assert left_out["detection_not_comparable"][0]


def test_not_assessed_is_not_no_leak() -> None:
    _, left_out = _leaks(leak_routes=None)
    assert left_out["leak_not_assessed"][0]


@pytest.mark.parametrize(
    ("changes", "code", "days"),
    [
        ({"refracture": "same", "refracture_days": 30, "died": True}, 1, 30),
        ({"refracture": "remote", "refracture_days": 91}, 3, 91),
        ({"refracture": "none", "died": True, "last_seen_days": 400}, 4, 400),
        ({"refracture": "none", "died": False, "last_seen_days": 400}, 0, 400),
        ({"refracture": "none", "died": None, "last_seen_days": 400}, 0, 400),
    ],
)
def test_the_first_event_counts(changes: dict[str, Any], code: int, days: float) -> None:
    target, left_out = refracture(columns(record(**changes)), np.zeros(1, dtype=np.intp))
    assert (target.event_code[0], target.days[0]) == (code, days)
    assert not any(rows.any() for rows in left_out.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refracture": None}, "refracture_not_recorded"),
        ({"refracture": "none", "last_seen_days": None}, "follow_up_unknown"),
        ({"refracture": "none", "last_seen_days": 0}, "follow_up_unknown"),
        ({"refracture": "same", "refracture_days": None}, "follow_up_unknown"),
    ],
)
def test_who_was_not_followed_trains_no_refracture(changes: dict[str, Any], reason: str) -> None:
    _, left_out = refracture(columns(record(**changes)), np.zeros(1, dtype=np.intp))
    assert [name for name, rows in left_out.items() if rows[0]] == [reason]
