"""From resources to a question: every unit, and everything that must not be guessed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dictionary import VARIABLES, Moment
from features.units import convertible
from serving.ask import SAMPLE
from serving.fhir import codes, units
from serving.fhir.mapping import Mapped, read_resources
from serving.schema import accepted_variables, read_question
from tests.service.resources import (
    PATIENT,
    SUBJECT,
    bundle,
    concept,
    condition,
    observation,
    order,
    quantity,
    resources_of,
    site,
)

TODAY = date(2026, 11, 21)
LOINC, SNOMED, OURS = codes.LOINC, codes.SNOMED, codes.DICTIONARY
T_SCORE = (LOINC, "38267-1")


def read(*resources: dict[str, Any]) -> Mapped:
    return read_resources([("", bundle(*resources))], TODAY)


def planned(*resources: dict[str, Any]) -> Mapped:
    """With the patient and an order for L1."""
    return read(PATIENT, order("L1"), *resources)


def faults(found: Mapped) -> set[str]:
    return {fault.code for fault in found.faults}


def test_the_example_of_the_contract_arrives_as_it_was_sent() -> None:
    question = {key: value for key, value in SAMPLE.items() if key not in ("case_id", "detection")}
    found = read(*resources_of(question))
    assert (found.faults, found.missing, found.notes) == ([], [], [])
    assert found.question == question
    assert "Patient/p1" in found.used and len(found.used) == 2 + 3 + 8


@pytest.mark.parametrize("scope", ["patient", "vertebra"])
def test_every_variable_can_be_sent_under_our_own_code(scope: Any) -> None:
    sent: dict[str, Any] = {}
    for variable in accepted_variables(scope, Moment.PLANNED):
        if variable.name in ("age_years", "sex", "level", "procedure"):
            continue
        if variable.kind in ("number", "integer"):
            low, high = variable.plausible_low or variable.lowest, variable.plausible_high or variable.highest
            sent[variable.name] = int(((low or 0) + (high or 0)) / 2)
        elif variable.kind == "flag":
            sent[variable.name] = True
        else:
            sent[variable.name] = [variable.choices[0]] if variable.kind == "multi" else variable.choices[0]
    own, other = {"age_years": 73, "sex": "male"}, {"level": "L1", "procedure": "PKP"}
    question = {
        "moment": "preop",
        "patient": own | (sent if scope == "patient" else {}),
        "vertebrae": [other | (sent if scope == "vertebra" else {})],
    }
    found = read(*resources_of(question))
    assert found.faults == [] and found.question == question and len(sent) > 25


@pytest.mark.parametrize(
    ("code", "value", "name", "expected"),
    [
        ("29463-7", quantity(140, "[lb_av]"), "weight_kg", 140 * 0.45359237),
        ("8302-2", quantity(1.6, "m"), "height_cm", 160),
        ("1751-7", quantity(3.7, "g/dL"), "albumin_g_l", 37),
        ("718-7", quantity(12.5, "g/dL"), "haemoglobin_g_l", 125),
        ("62292-8", quantity(20, "ng/mL"), "vitamin_d_nmol_l", 49.92),
        ("41171-0", quantity(500, "pg/mL"), "beta_ctx", 0.5),
        ("24966-4", quantity(700, "mg/cm2"), "bmd_g_cm2", 0.7),
        ("38267-1", quantity(-3.1, "{T-score}"), "t_score", -3.1),
        ("38214-3", quantity(7, "{score}"), "vas_preop", 7),
        ("72166-2", {"valueCodeableConcept": concept((SNOMED, "8517006"))}, "smoking", "former"),
    ],
)
def test_values_come_in_the_unit_of_the_dictionary(code: str, value: Any, name: str, expected: Any) -> None:
    found = planned(observation((LOINC, code), value))
    assert found.faults == []
    assert found.question["patient"][name] == (
        pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected
    )


@given(
    variable=st.sampled_from([v for v in VARIABLES.values() if v.kind == "number"]),
    unit=st.sampled_from([*units.NAMES, "1", "{score}", "", "inch", "mmol/L", "[in_i]"]),
)
def test_a_unit_is_converted_by_its_factor_or_refused(variable: Any, unit: str) -> None:
    factor = units.factor(variable, unit)
    if factor is not None and variable.unit not in units.PURE:
        assert factor == convertible(variable)[units.NAMES[unit]]
    if unit in ("", "inch", "mmol/L", "[in_i]"):
        assert factor is None
    if units.NAMES.get(unit) == variable.unit:
        assert factor == 1.0


@pytest.mark.parametrize(
    "value",
    [
        quantity(12.5, "mmol/L"),
        {"valueQuantity": {"value": 12.5, "unit": "g/dL"}},
        {"valueQuantity": {"value": 12.5, "unit": "g/dL", "system": "urn:other", "code": "g/dL"}},
        {"valueQuantity": {"value": 12.5}},
    ],
)
def test_a_unit_that_is_not_coded_or_not_known_is_refused(value: Any) -> None:
    found = planned(observation((LOINC, "718-7"), value))
    assert faults(found) == {"unknown_unit"} and "haemoglobin_g_l" not in found.question["patient"]
    assert found.faults[0].pointer == "/entry/2/resource/valueQuantity/code"
    assert "12.5" not in found.faults[0].detail


def test_the_newest_value_counts_and_equal_times_must_agree() -> None:
    old = observation(T_SCORE, quantity(-2.0, "1"), effectiveDateTime="2020-01-01")
    new = observation(T_SCORE, quantity(-3.0, "1"), effectiveDateTime="2026-01-01T10:00:00+08:00")
    for pair in ((old, new), (new, old)):
        assert planned(*pair).question["patient"]["t_score"] == -3
    other = observation(T_SCORE, quantity(-1.0, "1"), effectiveDateTime="2026-01-01T02:00:00Z")
    assert faults(planned(new, other)) == {"differs"}
    assert faults(planned(new, new)) == set()


def test_of_spine_and_hip_in_one_report_the_spine_counts() -> None:
    spine, hip = (
        observation((LOINC, code), quantity(value, "1")) for code, value in (("38267-1", -3.1), ("38264-8", -2.2))
    )
    for pair in ((spine, hip), (hip, spine)):
        found = planned(*pair)
        assert (found.question["patient"]["t_score"], found.faults) == (-3.1, [])
    later = planned(spine, hip | {"effectiveDateTime": "2026-11-05"})
    assert later.question["patient"]["t_score"] == -2.2
    own = observation((OURS, "t_score"), quantity(-4, "1"))
    assert planned(spine, own).question["patient"]["t_score"] == -4


def test_an_old_age_is_none() -> None:
    aged = observation((LOINC, "30525-0"), quantity(73, "a"), effectiveDateTime="2024-11-01")
    assert read(PATIENT | {"birthDate": "1953"}, order("L1"), aged).missing == ["age_years"]


@pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled", "entered-in-error", "unknown", None])
def test_what_is_not_final_is_not_used(status: Any) -> None:
    assert "t_score" not in planned(observation(T_SCORE, quantity(-3, "1"), status=status)).question["patient"]


def test_a_value_with_a_comparator_is_no_value() -> None:
    value = quantity(10, "nmol/L")
    value["valueQuantity"]["comparator"] = "<"
    assert faults(planned(observation((LOINC, "62292-8"), value))) == {"not_exact"}


def test_nothing_of_another_patient_is_used() -> None:
    other = observation(T_SCORE, quantity(-3, "1"), subject={"reference": "Patient/p2"})
    found = planned(other, condition((SNOMED, "73211009"), subject={"display": "she"}))
    assert [fault.code for fault in found.faults] == ["other_patient"] * 2 and found.question["patient"].keys() == {
        "sex",
        "age_years",
    }
    assert "p2" not in str(found.faults)
    absolute = observation(T_SCORE, quantity(-3, "1"), subject={"reference": "https://ehr/fhir/Patient/p1/_history/4"})
    assert planned(absolute).question["patient"]["t_score"] == -3
    assert faults(read(PATIENT, PATIENT | {"id": "p2"})) == {"several_patients"}
    assert faults(planned(PATIENT)) == set()


def test_a_patient_without_id_is_known_by_the_address_of_the_entry() -> None:
    urn = "urn:uuid:6f1c1b9a-7d3e-4c52-a1f0-e9d8c7b6a594"
    nameless = {key: value for key, value in PATIENT.items() if key != "id"}
    sent = bundle(nameless, order("L1", subject={"reference": urn}))
    sent["entry"][0]["fullUrl"] = urn
    found = read_resources([("", sent)], TODAY)
    assert (found.faults, found.missing, found.subject) == ([], [], urn)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"gender": "other"}, ["sex"]),
        ({"gender": None}, ["sex"]),
        ({"birthDate": "1953"}, ["age_years"]),
        ({"birthDate": "1953-02"}, ["age_years"]),
        ({"birthDate": "1953-02-30"}, ["age_years"]),
        ({"birthDate": "2027-01-01"}, ["age_years"]),
        ({"birthDate": 1953}, ["age_years"]),
    ],
)
def test_what_the_models_must_have_is_asked_for(change: dict[str, Any], missing: list[str]) -> None:
    assert read(PATIENT | change, order("L1")).missing == missing
    aged = observation((LOINC, "30525-0"), quantity(73, "a"))
    assert "age_years" not in read(PATIENT | change, order("L1"), aged).missing


@pytest.mark.parametrize(("born", "age"), [("1953-12-01", 73), ("1953-12-02", 72), ("1952-02-29", 74)])
def test_age_is_that_on_the_day_of_the_operation(born: str, age: int) -> None:
    assert read(PATIENT | {"birthDate": born}, order("L1")).question["patient"]["age_years"] == age


def test_an_operation_beyond_the_calendar_is_a_fault() -> None:
    for when in ("9999-06-01", "2040-01-01"):
        found = read(PATIENT | {"birthDate": f"{int(when[:4]) - 70}-01-01"}, order("L1", occurrenceDateTime=when))
        assert faults(found) == {"above_limit"}
    assert not faults(read(PATIENT, order("L1", occurrenceDateTime="2028-01-01")))


def test_orders_say_what_is_planned_and_where() -> None:
    lumbar, thoracic = order("L1", "T12"), order("T8", id="o2", code=(codes.CPT, "22513"))
    found = read(PATIENT, lumbar, thoracic)
    assert found.question["vertebrae"] == [
        {"level": "T8", "procedure": "PKP"},
        {"level": "T12", "procedure": "PVP"},
        {"level": "L1", "procedure": "PVP"},
    ]
    assert read(PATIENT).missing == ["procedure"]
    assert read(PATIENT, order("L1", code=(codes.CPT, "27447"))).missing == ["procedure"]
    for change in ({"status": "revoked"}, {"status": "completed"}, {"doNotPerform": True}):
        assert not read(PATIENT, order("L1", **change)).planned
    for sites in ([], [site("L1"), concept((SNOMED, "51282000"))], "L1", None):
        assert read(PATIENT, order("L1", bodySite=sites)).missing == ["level"], sites
    assert faults(read(PATIENT, order("L1"), order("L1", id="o2", code=(codes.CPT, "22514")))) == {"differs"}


def test_values_of_a_vertebra_go_to_that_vertebra() -> None:
    at_l1 = observation((OURS, "fvah_mm"), quantity(1.7, "cm"), "L1")
    at_l5 = observation((OURS, "fvah_mm"), quantity(9, "mm"), "L5")
    found = planned(at_l1, at_l5)
    assert found.question["vertebrae"] == [{"level": "L1", "procedure": "PVP", "fvah_mm": 17}] and found.faults == []
    assert faults(planned(observation((OURS, "fvah_mm"), quantity(17, "mm")))) == {"level_unknown"}


def test_illnesses_are_read_and_their_absence_is_not() -> None:
    found = planned(condition((codes.ICD10, "E11.9")), condition((codes.ICD10_CM, "N18.32")))
    assert found.question["patient"] == {"age_years": 73, "sex": "female", "diabetes": True, "ckd": True}
    unsure = {"verificationStatus": concept(("urn:v", "refuted"))}
    over = {"clinicalStatus": concept(("urn:c", "resolved"))}
    for others in (unsure, over):
        assert "diabetes" not in planned(condition((SNOMED, "73211009"), **others)).question["patient"]
    stroke = planned(condition((SNOMED, "230690007"), **over))
    assert stroke.question["patient"]["cerebrovascular_disease"] is True
    assert "ckd" not in planned(condition((codes.ICD10, "N18.2"))).question["patient"]


def test_a_malignancy_in_bone_needs_its_place() -> None:
    cancer, spine = condition((codes.ICD10, "C50.9")), (SNOMED, "94602001")
    assert planned(cancer).question["patient"]["malignancy"] == "history"
    assert faults(planned(condition(spine))) == {"level_unknown"}
    for pair in ((cancer, condition(spine, bodySite=[site("L1")])), (condition(spine, bodySite=[site("L1")]), cancer)):
        assert planned(*pair).question["patient"]["malignancy"] == "index_lesion"
    assert planned(condition(spine, bodySite=[site("T4")])).question["patient"]["malignancy"] == "history"


def _steroid(milligrams: float, since: str, unit: str = "mg", drug: str = "H02AB07") -> dict[str, Any]:
    dose = {"value": milligrams, "system": units.UCUM, "code": unit}
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    return {
        "resourceType": "MedicationStatement",
        "id": "m1",
        "status": "active",
        "subject": SUBJECT,
        "effectivePeriod": {"start": since},
        "medicationCodeableConcept": concept((codes.ATC, drug)),
        "dosage": [{"timing": timing, "doseAndRate": [{"doseQuantity": dose}]}],
    }


def test_glucocorticoids_count_by_dose_and_time_only() -> None:
    assert planned(_steroid(5, "2026-01-01")).question["patient"]["steroid_use"] is True
    assert planned(_steroid(0.75, "2026-01-01", drug="H02AB02")).question["patient"]["steroid_use"] is True
    for unknown in (
        _steroid(4, "2026-01-01"),
        _steroid(10, "2026-11-01"),
        _steroid(5, "2026"),
        _steroid(5, "2026-01-01", "g"),
    ):
        assert "steroid_use" not in planned(unknown).question["patient"]
    assert planned(_steroid(5, "2026-01-01", "g")).notes
    own = observation((OURS, "steroid_use"), {"valueBoolean": False})
    assert planned(own, _steroid(50, "2026-01-01")).question["patient"]["steroid_use"] is False


def test_drugs_against_osteoporosis_and_earlier_augmentations() -> None:
    drug = _steroid(60, "2026-01-01", drug="M05BX04")
    assert planned(drug).question["patient"]["anti_osteoporosis_plan"] == "denosumab"
    both = planned(drug, _steroid(5, "2026-01-01", drug="M05BA08") | {"id": "m2"})
    assert "anti_osteoporosis_plan" not in both.question["patient"] and both.notes
    done = {**order("L4"), "resourceType": "Procedure", "status": "completed", "performedDateTime": "2024-05-05"}
    assert planned(done).question["patient"]["prior_augmentation"] is True
    assert "prior_augmentation" not in planned(done | {"performedDateTime": "2027-01-01"}).question["patient"]


_NAMES = [
    "resourceType",
    "subject",
    "reference",
    "code",
    "coding",
    "system",
    "bodySite",
    "valueQuantity",
    "value",
    "id",
]
_NAMES += ["status", "entry", "resource", "dosage", "timing", "repeat", "doseAndRate", "birthDate", "effectiveDateTime"]
_WORDS = ["Patient", "Observation", "Condition", "ServiceRequest", "MedicationRequest", "Bundle", "Parameters", "final"]
_WORDS += ["Patient/p1", OURS, LOINC, "fvah_mm", "t_score", "leak_routes", "PVP", "active", "2026-02-30", "9999-99-99"]
_WORDS += ["H02AB06", codes.ATC, codes.SNOMED, "66794005", "p1", "female"]
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(_WORDS)
    | st.text(max_size=3)
)
ANYTHING = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(extra=st.lists(ANYTHING, max_size=4), kind=st.sampled_from(_WORDS))
def test_no_resource_however_odd_breaks_the_reading(extra: list[Any], kind: str) -> None:
    odd = [one | {"resourceType": kind, "subject": SUBJECT} for one in extra if isinstance(one, dict)]
    found = read_resources([("", bundle(PATIENT, order("L1"), *odd)), ("/x", extra)], TODAY)
    assert found.question["moment"] == "preop"
    if not found.faults and not found.missing:
        try:
            read_question(found.question)
        except Exception as error:
            assert type(error).__name__ == "QuestionRejected"
