"""The dictionary holds together, and a variable judges a value with a reason that helps and never repeats it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from features import dictionary
from features.cement_catalogue import CEMENTS
from features.dictionary import OMITTED, UNKNOWN_TOKENS, VARIABLES, Moment, Variable

EVERY = pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda variable: variable.name)


@EVERY
def test_a_variable_is_complete(variable: Variable) -> None:
    assert variable.label and variable.definition
    assert variable.name == variable.name.lower() and " " not in variable.name
    if variable.kind in ("number", "integer") and not variable.derived:
        assert variable.unit
        assert None not in (variable.lowest, variable.highest, variable.plausible_low, variable.plausible_high)
    if variable.kind in ("category", "ordinal", "multi"):
        assert len(variable.choices) == len(set(variable.choices)) > 1
    if variable.derived:
        assert variable.derivation


@EVERY
def test_the_plausible_range_lies_within_the_limits(variable: Variable) -> None:
    bounds = [variable.lowest, variable.plausible_low, variable.plausible_high, variable.highest]
    given = [bound for bound in bounds if bound is not None]
    assert given == sorted(given)


@EVERY
def test_no_choice_reads_as_unknown_or_breaks_a_cell_of_several(variable: Variable) -> None:
    for choice in variable.choices:
        assert choice.strip().lower() not in UNKNOWN_TOKENS
        assert choice and ";" not in choice and "|" not in choice


def test_aliases_and_omitted_names_are_nobody_elses() -> None:
    aliases = [alias for variable in VARIABLES.values() for alias in variable.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(VARIABLES)
    assert not set(OMITTED) & (set(VARIABLES) | set(aliases))


def test_outcomes_are_known_after_surgery_only() -> None:
    assert all(v.known_at > Moment.PLANNED for v in VARIABLES.values() if v.role in ("outcome", "course"))
    assert all(v.known_at == Moment.PLANNED for v in VARIABLES.values() if v.role == "plan")
    assert all(v.known_at == Moment.PREOP for v in VARIABLES.values() if v.role in ("predictor", "identifier"))


@pytest.mark.parametrize(
    "done, planned", [("cement_volume_ml", "planned_volume_ml"), ("viscosity_at_injection", "planned_viscosity")]
)
def test_what_was_done_is_another_variable_than_what_is_planned(done: str, planned: str) -> None:
    assert VARIABLES[done].known_at == Moment.INTRAOP
    assert VARIABLES[planned].known_at == Moment.PLANNED


def test_the_variables_of_the_five_papers_and_the_fixed_outcome_names_are_there() -> None:
    fixed = (
        "patient_id centre_id procedure_date leak_routes leak_modality leak_detected_days refracture refracture_days"
    )
    papers = "ct_value_hu fracture_severity viscosity cortical_disruption planned_volume_ml avhr_pct avhrr_pct lka_deg"
    techniques = "haemorrhage_aspiration staged_perfusion distribution_cf_sp distribution_score last_seen_days died"
    assert set(f"{fixed} {papers} {techniques}".split()) <= set(VARIABLES)
    assert VARIABLES["leak_routes"].choices == ("none", "B", "S", "C", "D", "unspecified")


def test_every_cement_can_be_named() -> None:
    assert VARIABLES["cement_product_id"].choices == (*CEMENTS, "other")


@EVERY
def test_both_ends_of_a_range_are_inside_it(variable: Variable) -> None:
    if variable.kind not in ("number", "integer") or variable.derived:
        return
    low, high = variable.plausible_low, variable.plausible_high
    assert low is not None and high is not None and variable.lowest is not None and variable.highest is not None
    assert variable.judge(low) is None and variable.judge(high) is None
    assert _code(variable, math.nextafter(variable.lowest, -math.inf)) == "below_limit"
    assert _code(variable, math.nextafter(variable.highest, math.inf)) == "above_limit"
    if variable.lowest < low:
        assert _code(variable, variable.lowest) == "implausible_low"
    if variable.highest > high:
        assert _code(variable, variable.highest) == "implausible_high"


def test_limits_reject_and_the_plausible_range_warns() -> None:
    age = VARIABLES["age_years"]
    below, odd = age.judge(9.0), age.judge(45.0)
    assert below is not None and below.rejects and "18 to 110 years" in below.detail
    assert odd is not None and not odd.rejects and "50 to 97 years" in odd.detail


@pytest.mark.parametrize(
    "name, value, code, hint",
    [
        ("fvah_mm", 2.12, "below_limit", "centimetres"),
        ("t_score", 2.6, "above_limit", "minus sign"),
        ("t_score", 0.4, "implausible_high", "minus sign"),
        ("vitamin_d_nmol_l", 4.8, "below_limit", "ng/mL"),
        ("vitamin_d_nmol_l", 8.0, "implausible_low", "ng/mL"),
        ("albumin_g_l", 3.6, "below_limit", "g/dL"),
        ("height_cm", 1.55, "below_limit", "metres"),
        ("planned_volume_ml", 4500.0, "above_limit", "cubic millimetres"),
        ("avhr_pct", 0.71, "below_limit", "fraction"),
    ],
)
def test_a_slip_of_unit_or_sign_is_named_but_not_the_value(name: str, value: float, code: str, hint: str) -> None:
    finding = VARIABLES[name].judge(value)
    assert finding is not None and finding.code == code
    assert hint in finding.detail and str(value) not in finding.detail


@pytest.mark.parametrize("name, value", [("age_years", 9.0), ("fvah_mm", 500.0), ("t_score", -20.0)])
def test_no_hint_where_no_slip_explains_the_value(name: str, value: float) -> None:
    finding = VARIABLES[name].judge(value)
    assert finding is not None and "looks" not in finding.detail


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers(value: float) -> None:
    assert _code(VARIABLES["t_score"], value) == "not_finite"


@pytest.mark.parametrize(
    "name, value, code",
    [
        ("level", "L6", "unknown_choice"),
        ("level", "L1", None),
        ("genant_grade", "4", "unknown_choice"),
        ("cortical_disruption_site", frozenset({"anterior", "posterior"}), None),
        ("cortical_disruption_site", frozenset({"anterior", "roof"}), "unknown_choice"),
        ("cortical_disruption_site", frozenset[str](), "no_choice"),
        ("procedure_date", "2024-02-29", None),
        ("procedure_date", "2023-02-29", "not_a_date"),
        ("procedure_date", "20240229", "not_a_date"),
        ("procedure_date", "29/02/2024", "not_a_date"),
        ("steroid_use", True, None),
        ("patient_id", "p1", None),
    ],
)
def test_choices_dates_and_flags(name: str, value: str | bool | frozenset[str], code: str | None) -> None:
    assert _code(VARIABLES[name], value) == code


def test_an_unknown_choice_lists_the_choices_and_not_the_word_sent() -> None:
    finding = VARIABLES["sex"].judge("canary")
    assert finding is not None and "female, male" in finding.detail and "canary" not in finding.detail


def test_the_fingerprint_follows_the_meaning_and_not_the_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = dictionary.fingerprint.__wrapped__
    before = compute()
    assert before == dictionary.fingerprint() and len(before) == 64
    age = VARIABLES["age_years"]
    for changed, same in ((replace(age, notes="reworded"), True), (replace(age, highest=111.0), False)):
        monkeypatch.setattr(dictionary, "VARIABLES", {**VARIABLES, "age_years": changed})
        assert (compute() == before) is same


def _code(variable: Variable, value: float | str | bool | frozenset[str]) -> str | None:
    finding = variable.judge(value)
    return None if finding is None else finding.code
