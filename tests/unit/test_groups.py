"""Groups of a cohort: labels that tell of nobody, and unknown where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builders import columns, record
from tests.fitted import registry, training_cohort
from training.cohort import cohort


def people(*changes: dict):
    return cohort(columns(*(record(**{"patient_id": f"p{n}", **one}) for n, one in enumerate(changes))), "leakage")


@pytest.mark.parametrize(
    ("age", "band"), [(50, "50 to 64"), (64.9, "50 to 64"), (65, "65 to 74"), (84, "75 to 84"), (99, "85 or more")]
)
def test_age_bands_begin_on_their_first_year(age, band) -> None:
    assert people({"age_years": float(age)}).groups["age"].tolist() == [band]


def test_what_is_not_known_has_an_empty_label() -> None:
    found = people(dict.fromkeys(("age_years", "sex", "procedure", "treated_count", "centre_id", "procedure_date")))
    assert {name: labels.tolist() for name, labels in found.groups.items() if name != "detection"} == {
        name: [""] for name in ("age", "sex", "procedure", "treated", "centre")
    }
    assert found.month.tolist() == [""]


def test_centres_are_numbered_by_size_and_never_named() -> None:
    found = people({"centre_id": "Zurich"}, {"centre_id": "Aarau"}, {"centre_id": "Zurich"}, {"centre_id": None})
    assert sorted(found.groups["centre"].tolist()) == ["", "centre 1", "centre 1", "centre 2"]


def test_a_patient_with_two_operations_has_the_month_of_the_first() -> None:
    twice = [{"patient_id": "p", "procedure_date": day} for day in ("2024-03-05", "2019-11-30")]
    found = cohort(columns(*(record(**one) for one in twice)), "refracture")
    assert len(found.matrix) == 2
    assert found.month.tolist() == ["2019-11", "2019-11"]


def test_many_treated_are_one_group_and_detection_is_asked_for_leakage_only() -> None:
    found = people(*({"treated_count": count} for count in (1, 2, 3, 6)))
    assert sorted(found.groups["treated"].tolist()) == ["1", "2", "3 or more", "3 or more"]
    assert set(training_cohort("leakage").groups["detection"]) == {"CT", "radiograph"}
    assert "detection" not in training_cohort("refracture").groups


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_groups_stand_beside_their_rows(outcome) -> None:
    found, raw = training_cohort(outcome), registry().columns
    assert all(len(labels) == len(found.matrix) for labels in (*found.groups.values(), found.month))
    assert set(np.unique(found.groups["centre"])) == {f"centre {n}" for n in range(1, 13)}
    women = {name for name, sex in zip(raw["patient_id"], raw["sex"], strict=True) if sex == "female"}
    named = np.unique(raw["patient_id"].astype(str))
    for code, label in zip(found.patient, found.groups["sex"], strict=True):
        assert (named[code] in women) == (label == "female")
