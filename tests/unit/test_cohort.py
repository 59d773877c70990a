"""Who trains a model, who is left out, and that nobody is left out without being counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import TooLittleData
from features.records import to_columns
from features.registry import read_export
from tests.builders import record
from tests.exports import row, write_flat
from training.cohort import cohort


def people(*rows: dict[str, Any]) -> dict[str, np.ndarray]:
    return to_columns([record(**{"patient_id": f"p{place}"} | changes) for place, changes in enumerate(rows)])


def test_a_vertebra_that_nobody_looked_at_trains_no_leakage() -> None:
    found = cohort(people({}, {"leak_routes": None}, {"leak_modality": None}), "leakage")
    assert len(found.matrix) == len(found.target) == 1
    assert found.left_out == {"leak_not_assessed": 1, "detection_not_comparable": 1}


@pytest.mark.parametrize("modality", ["fluoroscopy", "not_stated"])
def test_an_image_that_is_neither_ct_nor_film_trains_no_leakage(modality: str) -> None:
    found = cohort(people({}, {"leak_modality": modality}), "leakage")
    assert (len(found.matrix), found.left_out["detection_not_comparable"]) == (1, 1)


def test_ct_with_a_film_counts_as_ct() -> None:
    rows = [{"leak_modality": modality} for modality in ("CT", "CT+radiograph", "radiograph")]
    found = cohort(people(*rows), "leakage")
    assert found.matrix["detection"].tolist() == [1, 1, 0]
    assert found.target.detection.tolist() == [1, 1, 0]


def test_a_leak_of_unknown_route_trains_any_leak_only() -> None:
    routes = [frozenset({"unspecified"}), frozenset({"B", "D"}), frozenset({"none"})]
    found = cohort(people(*({"leak_routes": told} for told in routes)), "leakage")
    assert found.target.leaked.tolist() == [1, 1, 0]
    assert np.isnan(found.target.routes[0]).all()
    assert found.events == {"any": 2, "B": 1, "S": 0, "C": 0, "D": 1}


def test_a_patient_with_a_rejected_row_trains_leakage_but_no_refracture() -> None:
    columns = people({}, {"patient_id": "p9", "level": "L2"}, {"patient_id": "p9", "level": "L3"})
    complete = np.array([True, False, False])
    assert len(cohort(columns, "leakage", complete).matrix) == 3
    found = cohort(columns, "refracture", complete)
    assert (len(found.matrix), found.left_out["row_of_the_patient_rejected"]) == (1, 1)


def test_a_rejected_row_of_a_file_takes_its_patient_out_of_refracture(tmp_path) -> None:
    rows = [row(), row(patient_id="P2"), row(patient_id="P2", level="L2", fvah_mm="1.9"), row(patient_id="P3")]
    export = read_export(write_flat(tmp_path / "export.csv", rows))
    assert len(cohort(export.columns(), "leakage", export.patient_complete).matrix) == 3
    found = cohort(export.columns(), "refracture", export.patient_complete)
    assert (len(found.matrix), found.left_out["row_of_the_patient_rejected"]) == (2, 1)


def test_unknown_refracture_and_unknown_follow_up_are_counted() -> None:
    never_seen = {"refracture": "none", "refracture_days": None, "last_seen_days": None}
    found = cohort(people({}, {"refracture": None}, never_seen), "refracture")
    assert len(found.matrix) == 1
    assert found.left_out["refracture_not_recorded"] == 1
    assert found.left_out["follow_up_unknown"] == 1


def test_columns_that_no_row_has_are_unknown_throughout() -> None:
    columns = people({}, {})
    absent = ("hu_l1", "hu_adjacent_mean", "planned_volume_ml", "bmi_kg_m2", "intravertebral_cleft")
    kept = {name: values for name, values in columns.items() if name not in absent}
    leakage, refracture = cohort(kept, "leakage"), cohort(kept, "refracture")
    assert np.isnan(leakage.matrix["ct_value_hu"]).all()
    assert np.isnan(refracture.matrix["bmi_kg_m2"]).all()
    assert len(leakage.matrix) == len(refracture.matrix) == 2


@pytest.mark.parametrize(
    ("outcome", "columns"),
    [
        ("leakage", ("leak_routes", "leak_modality", "leak_detected_days")),
        ("refracture", ("refracture", "refracture_days", "last_seen_days", "died")),
    ],
)
def test_an_export_without_the_outcome_says_who_was_left_out_and_why(outcome: Any, columns: tuple[str, ...]) -> None:
    kept = {name: values for name, values in people({}, {}).items() if name not in columns}
    with pytest.raises(TooLittleData, match=r"(leak_not_assessed|refracture_not_recorded): 2"):
        cohort(kept, outcome)


def test_each_operation_is_a_row_of_refracture_but_the_patient_stays_one() -> None:
    first = {"patient_id": "a", "procedure_date": "2020-01-01", "refracture": "same", "refracture_days": 50}
    again = {"patient_id": "a", "procedure_date": "2020-02-20", "level": "L3", "refracture": "none"}
    found = cohort(people(first, again | {"refracture_days": None}, {"patient_id": "b"}), "refracture")
    assert (len(found.matrix), found.patients) == (3, 2)
    assert found.target.event_code.tolist() == [1, 0, 2]
    assert found.patient[0] == found.patient[1] != found.patient[2]


def test_vertebrae_treated_together_are_one_row_of_refracture() -> None:
    rows = [{"patient_id": "a", "level": level, "planned_volume_ml": 3.0} for level in ("L1", "L2", "L3")]
    found = cohort(people(*rows), "refracture")
    assert found.matrix["planned_volume_ml"].tolist() == [9.0]


_CHOICES = st.fixed_dictionaries(
    {
        "patient_id": st.sampled_from(["a", "b", "c", "d"]),
        "procedure_date": st.sampled_from(["2020-01-01", "2021-01-01"]),
        "leak_routes": st.sampled_from([None, frozenset({"none"}), frozenset({"C"}), frozenset({"unspecified"})]),
        "leak_modality": st.sampled_from([None, "CT", "radiograph", "CT+radiograph", "fluoroscopy", "not_stated"]),
        "hu_l1": st.sampled_from([None, 40.0, 80.0]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_CHOICES, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter_and_everybody_is_counted(rows: list[dict[str, Any]], shuffle) -> None:
    rows = [changes | {"level": f"T{5 + place}"} for place, changes in enumerate(rows)]
    rows.append({"patient_id": "z", "level": "L1", "leak_routes": frozenset({"none"}), "leak_modality": "CT"})
    mixed = shuffle.sample(rows, len(rows))
    for outcome, units in (("leakage", len(rows)), ("refracture", _operations(rows))):
        one, other = cohort(people(*rows), outcome), cohort(people(*mixed), outcome)
        np.testing.assert_array_equal(one.matrix.values, other.matrix.values)
        np.testing.assert_array_equal(one.patient, other.patient)
        assert (one.left_out, one.events) == (other.left_out, other.events)
        assert len(one.matrix) + sum(one.left_out.values()) == units


def _operations(rows: list[dict[str, Any]]) -> int:
    return len({(changes["patient_id"], changes.get("procedure_date")) for changes in rows})


def test_simulated_patients_make_the_model_a_synthetic_one() -> None:
    assert cohort(people({}), "leakage").data_status == "registry"
    assert cohort(people({}, {"patient_id": "SIM-000001"}), "leakage").data_status == "synthetic"
