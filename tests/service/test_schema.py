"""From a JSON value to a question: every fault with its pointer, all at once, and nothing of what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from features.dictionary import VARIABLES, Moment
from serving.problem import QuestionRejected
from serving.schema import read_question
from tests.service.questions import UNANSWERABLE, Change, levels, patient, question, vertebra


def _faults(change: Change) -> dict[str, str]:
    with pytest.raises(QuestionRejected) as caught:
        read_question(question(change))
    return {fault.pointer: fault.code for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("change", "pointer", "code"), [row[1:] for row in UNANSWERABLE], ids=[r[0] for r in UNANSWERABLE]
)
def test_each_bad_question_is_refused_for_its_own_reason_only(change: Change, pointer: str, code: str) -> None:
    assert _faults(change) == {pointer: code}


def test_all_faults_come_at_once() -> None:
    def spoil(body: dict[str, Any]) -> None:
        body["colour"] = "red"
        patient(age_years="73", t_score=3.1, sex=None)(body)
        vertebra(fvah_mm=1.72, cement_volume_ml=4.0)(body)

    assert _faults(spoil) == {
        "/colour": "unknown_variable",
        "/patient/age_years": "wrong_type",
        "/patient/t_score": "above_limit",
        "/patient/sex": "required",
        "/vertebrae/0/fvah_mm": "below_limit",
        "/vertebrae/0/cement_volume_ml": "known_later",
    }


def test_a_question_out_of_scope_says_so_as_a_whole() -> None:
    with pytest.raises(QuestionRejected) as caught:
        read_question(question(patient(age_years=45)))
    assert caught.value.code == "out_of_scope"


def test_an_unknown_name_that_could_hide_something_is_not_repeated() -> None:
    assert _faults(patient(**{"Müller, 1950": 1})) == {"/patient": "unknown_variable"}


def test_records_repeat_the_patient_and_count_the_vertebrae() -> None:
    found = read_question(question(levels("T12", "L1", "L2")))
    assert found.levels == ["T12", "L1", "L2"]
    assert all(record["treated_count"] == 3 and record["hu_l1"] == 62.0 for record in found.records)


def test_a_stated_count_of_vertebrae_is_kept() -> None:
    assert read_question(question(patient(treated_count=2))).records[0]["treated_count"] == 2


def test_null_is_unknown_and_whole_floats_are_integers() -> None:
    found = read_question(question(patient(t_score=None, charlson=3.0)))
    assert "t_score" not in found.records[0]
    assert found.records[0]["charlson"] == 3 and isinstance(found.records[0]["charlson"], int)


def test_odd_values_are_noted_with_the_level_they_are_said_of() -> None:
    found = read_question(question(lambda body: (patient(age_years=99)(body), vertebra(planned_volume_ml=11)(body))))
    assert {(finding.code, level) for finding, level in found.notes} == {
        ("implausible_high", None),
        ("implausible_high", "L1"),
    }


def test_after_surgery_more_may_be_said() -> None:
    def after(body: dict[str, object]) -> None:
        body["moment"] = "postop"
        vertebra(cement_volume_ml=4.0)(body)

    assert read_question(question(after)).moment is Moment.POSTOP
    assert _faults(lambda body: (after(body), vertebra(fvah_final_mm=20.0)(body))) == {
        "/vertebrae/0/fvah_final_mm": "known_later"
    }


def test_every_variable_of_the_dictionary_is_taken_or_refused_with_a_reason() -> None:
    for name, variable in VARIABLES.items():
        place = patient if variable.scope == "patient" else vertebra
        pointer = f"/patient/{name}" if variable.scope == "patient" else f"/vertebrae/0/{name}"
        code = _faults(place(**{name: {}}))[pointer]  # an object is no value of any kind
        late = variable.known_at > Moment.PLANNED
        expected = "not_an_input" if variable.derived else "known_later" if late else "wrong_type"
        assert code == ("identifier" if variable.role == "identifier" else expected), name
