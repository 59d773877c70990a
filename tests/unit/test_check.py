"""Each rule on typed records: what breaks it, what does not, and that it says nothing of the values."""

from __future__ import annotations

import pytest

from features.check import judge_export, judge_patient, judge_record
from features.dictionary import VARIABLES, Moment
from features.rules import EXPORT_RULES, PATIENT_RULES, RULES

PLAIN = {
    "patient_id": "P1",
    "procedure_date": "2024-03-01",
    "age_years": 73.0,
    "sex": "female",
    "level": "L1",
    "leak_routes": frozenset({"none"}),
    "leak_modality": "CT",
    "refracture": "none",
    "last_seen_days": 400,
    "died": False,
}

BROKEN = [
    ("out_of_scope", "malignancy", {"malignancy": "index_lesion"}),
    ("out_of_scope", "age_years", {"age_years": 49.9}),
    ("out_of_scope", "of_type", {"of_type": "OF4"}),
    ("bmi_disagrees", "bmi_kg_m2", {"bmi_kg_m2": 23.5, "height_cm": 160.0, "weight_kg": 58.0}),
    (
        "avhr_disagrees",
        "avhr_pct",
        {"avhr_pct": 30.0, "fvah_mm": 19.0, "adj_ah_above_mm": 26.0, "adj_ah_below_mm": 28.0},
    ),
    (
        "sites_without_disruption",
        "cortical_disruption_site",
        {"cortical_disruption": False, "cortical_disruption_site": frozenset({"anterior"})},
    ),
    (
        "endplate_disagrees",
        "endplate_disruption",
        {"endplate_disruption": "lower", "cortical_disruption_site": frozenset({"superior_endplate"})},
    ),
    (
        "posterior_wall_disagrees",
        "posterior_wall_defect",
        {"posterior_wall_defect": "intact", "cortical_disruption_site": frozenset({"posterior"})},
    ),
    ("route_without_modality", "leak_modality", {"leak_routes": frozenset({"B"}), "leak_modality": None}),
    ("no_leak_without_modality", "leak_modality", {"leak_modality": None}),
    ("none_with_routes", "leak_routes", {"leak_routes": frozenset({"none", "D"})}),
    ("unspecified_with_routes", "leak_routes", {"leak_routes": frozenset({"unspecified", "D"})}),
    ("leak_before_procedure", "leak_detected_days", {"leak_routes": frozenset({"D"}), "leak_detected_days": -1}),
    ("leak_days_without_leak", "leak_detected_days", {"leak_detected_days": 1}),
    ("leak_after_last_seen", "leak_detected_days", {"leak_routes": frozenset({"D"}), "leak_detected_days": 401}),
    ("refracture_before_procedure", "refracture_days", {"refracture": "same", "refracture_days": 0}),
    ("refracture_days_without_refracture", "refracture_days", {"refracture_days": 30}),
    ("refracture_days_without_refracture", "refracture_days", {"refracture": None, "refracture_days": 30}),
    ("refracture_without_days", "refracture_days", {"refracture": "adjacent"}),
    ("refracture_after_last_seen", "refracture_days", {"refracture": "adjacent", "refracture_days": 401}),
    ("died_without_last_seen", "last_seen_days", {"died": True, "last_seen_days": None, "refracture": None}),
    ("no_refracture_without_last_seen", "last_seen_days", {"last_seen_days": None}),
    ("required", "level", {"level": None}),
    ("not_an_input", "ct_value_hu", {"ct_value_hu": 80.0}),
    ("unknown_variable", "shoe_size", {"shoe_size": 40}),
    ("above_limit", "age_years", {"age_years": 140.0}),
]


def codes(record, moment=None, **options):
    return {(found.code, found.variable) for found in judge_record(record, moment, **options)}


def test_a_plain_record_has_no_finding():
    assert judge_record(PLAIN) == []


@pytest.mark.parametrize(("code", "variable", "change"), BROKEN)
def test_each_rule_finds_its_fault_and_no_rule_finds_another(code, variable, change):
    found = codes(PLAIN | change)
    assert (code, variable) in found
    # A value may be odd by itself and break a rule at once; two different rules never speak of one change.
    assert {name for name, _ in found} <= {code, "below_limit", "implausible_low", "implausible_high"}


def test_every_rule_is_broken_by_some_case():
    assert {rule.code for rule in RULES} <= {code for code, _, _ in BROKEN}


@pytest.mark.parametrize("rule", [*RULES, *PATIENT_RULES, *EXPORT_RULES], ids=lambda rule: rule.code)
def test_rules_speak_of_dictionary_variables(rule):
    named = [name for name in rule.variables if not name.startswith("(")]
    assert set(named) <= set(VARIABLES)
    assert set(getattr(rule, "needs", named)) <= set(rule.variables)


@pytest.mark.parametrize(
    "change",
    [
        {"bmi_kg_m2": 22.7, "height_cm": 160.0, "weight_kg": 58.0},
        {"avhr_pct": 70.0, "fvah_mm": 19.0, "adj_ah_above_mm": 26.0, "adj_ah_below_mm": 28.0},
        {"refracture": "same", "refracture_days": 400},
        {"refracture": "same", "refracture_days": 1, "last_seen_days": None},
        {"leak_routes": frozenset({"B", "D"}), "leak_detected_days": 0},
        {"age_years": 50.0, "of_type": "OF3", "malignancy": "history"},
        {"died": True},
    ],
)
def test_the_border_is_on_the_right_side(change):
    assert codes(PLAIN | change) == set()


def test_a_rule_is_silent_about_a_value_that_could_not_be_read():
    record = PLAIN | {"refracture": "same"}
    assert ("refracture_without_days", "refracture_days") in codes(record)
    assert codes(record, unreadable=frozenset({"refracture_days"})) == set()


def test_a_question_before_surgery_takes_facts_and_plan_and_nothing_later():
    question = {"age_years": 73.0, "sex": "female", "level": "L1", "planned_viscosity": "low"}
    assert codes(question, Moment.PREOP) == codes(question, Moment.PLANNED) == set()
    later = question | {"endplate_contact": "both", "cement_volume_ml": 4.0, "refracture": "none"}
    assert codes(later, Moment.PREOP) >= {
        ("known_later", "endplate_contact"),
        ("known_later", "cement_volume_ml"),
        ("known_later", "refracture"),
    }
    assert ("known_later", "refracture") in codes(later, Moment.POSTOP)
    assert ("known_later", "endplate_contact") not in codes(later, Moment.POSTOP)
    assert codes({"level": "L1"}, Moment.PREOP) == {("required", "age_years"), ("required", "sex")}


def patient_codes(*records):
    return {(found.code, found.row) for found in judge_patient(records)}


def test_of_exact_copies_the_first_stays_and_of_differing_ones_none():
    assert patient_codes(PLAIN, PLAIN, PLAIN | {"level": "L2"}) == {("duplicate_vertebra", 2)}
    assert patient_codes(PLAIN, PLAIN | {"fvah_mm": 20.0}) == {("duplicate_vertebra", 1), ("duplicate_vertebra", 2)}


def test_rows_of_one_operation_must_agree_on_the_patient():
    rows = [PLAIN | {"t_score": -3.0}, PLAIN | {"level": "L2", "t_score": -2.5}, PLAIN | {"level": "L3"}]
    findings = judge_patient(rows)
    assert {(found.code, found.variable, found.row) for found in findings} == {
        ("differs_within_patient", "t_score", 1),
        ("differs_within_patient", "t_score", 2),
    }


@pytest.mark.parametrize("name", ["sex", "level"])
def test_what_a_question_needs_is_not_said_to_be_left_empty(name):
    said = [found.detail for found in judge_record(PLAIN | {name: "x"}, Moment.PREOP) if found.code == "unknown_choice"]
    assert len(said) == 1 and "expected one of" in said[0] and "empty" not in said[0]


def test_what_may_be_unknown_is_said_so():
    (found,) = judge_record(PLAIN | {"smoking": "x"})
    assert found.detail.endswith("leave it empty if unknown")


def test_number_of_vertebrae():
    levels = ["T10", "T11", "T12", "L1", "L2", "L3", "L4"]
    rows = [PLAIN | {"level": level} for level in levels]
    assert patient_codes(*rows[:6]) == set()
    assert patient_codes(*rows) == {("too_many_vertebrae", row) for row in range(1, 8)}
    counted = [row | {"treated_count": 2} for row in rows[:3]]
    assert patient_codes(*counted) == {("treated_count_too_low", row) for row in (1, 2, 3)}
    assert patient_codes(*counted[:2]) == set()


def test_an_export_with_t_scores_printed_without_their_minus_is_refused():
    lost_sign = [PLAIN | {"t_score": score} for score in (0.9, 0.8, -0.1)]
    assert [found.code for found in judge_export(lost_sign)] == ["t_score_sign"]
    assert judge_export([PLAIN | {"t_score": -2.0}] * 2 + lost_sign[:1]) == []
    assert judge_export([PLAIN]) == []
