"""The answer in process: what it promises of its numbers, for the example and for questions drawn at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.build import Outcome, build
from features.dictionary import VARIABLES, Moment, Variable
from features.errors import NotReady
from features.outcome import CAUSES, HORIZON_DAYS
from features.records import to_columns
from models.calibrate import unlink
from serving.answer import answer
from serving.schema import accepted_variables, read_question
from serving.served import Served
from tests.service.questions import EXAMPLE, levels, patient, question, vertebra

Shelf = Mapping[Outcome, Served]
DAYS = tuple(HORIZON_DAYS.values())


def _ask(body: dict[str, Any], served: Shelf) -> dict[str, Any]:
    return answer(read_question(body), served, "id", "now")


def _value(variable: Variable) -> st.SearchStrategy[Any]:
    if variable.kind == "flag":
        return st.booleans()
    if variable.kind == "multi":
        return st.lists(st.sampled_from(variable.choices), min_size=1, unique=True)
    if variable.choices:
        return st.sampled_from(variable.choices)
    assert variable.lowest is not None and variable.highest is not None
    if variable.kind == "integer":
        return st.integers(int(variable.lowest), int(variable.highest))
    return st.floats(variable.lowest, variable.highest)


#: Left out of random questions because rules tie them to others; the rules have tests of their own.
_TIED = {
    "bmi_kg_m2",
    "avhr_pct",
    "cortical_disruption",
    "treated_count",
    "malignancy",
    "of_type",
    "age_years",
    "sex",
    "level",
}


def _facts(scope: Any) -> st.SearchStrategy[dict[str, Any]]:
    free = {v.name: _value(v) for v in accepted_variables(scope, Moment.PLANNED) if v.name not in _TIED}
    return st.fixed_dictionaries({}, optional=free)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Any question that every rule lets pass."""
    person = {
        **draw(_facts("patient")),
        "age_years": draw(st.floats(50, 110)),
        "sex": draw(st.sampled_from(["female", "male"])),
    }
    places = draw(st.lists(st.sampled_from(VARIABLES["level"].choices), min_size=1, max_size=6, unique=True))
    bodies = [{**draw(_facts("vertebra")), "level": level} for level in places]
    return {"detection": draw(st.sampled_from(["CT", "radiograph"])), "patient": person, "vertebrae": bodies}


def _check_coherence(found: dict[str, Any]) -> None:
    for one in found["leakage"]:
        if one["routes"] is not None:
            routes = list(one["routes"].values())
            assert max(routes) <= one["risk"] + 1e-12 and one["risk"] <= sum(routes) + 1e-12
        assert one["interval"][0] <= one["risk"] <= one["interval"][1]
        _check_explanation(one["explanation"], one["risk"], one["average"])
    fractures = found["refracture"]
    summed = np.sum([fractures["causes"][cause] for cause in CAUSES[:3]], axis=0)
    np.testing.assert_allclose(summed, fractures["risk"], atol=1e-12)
    assert fractures["risk"] == sorted(fractures["risk"])
    assert all(risk + death <= 1 for risk, death in zip(fractures["risk"], fractures["death"], strict=True))
    assert all(low <= r <= high for r, (low, high) in zip(fractures["risk"], fractures["interval"], strict=True))
    _check_explanation(fractures["explanation"], fractures["risk"][1], fractures["average"][1])
    for entry in found["missing"]:
        assert 0 <= entry["lowest_risk"] <= entry["highest_risk"] <= 1


def _check_explanation(explained: dict[str, Any], risk: float, average: float) -> None:
    total = explained["base"] + sum(entry["contribution"] for entry in explained["contributions"])
    assert total == pytest.approx(explained["total"], abs=1e-12)
    assert float(unlink(explained["scale"], np.array(explained["total"]))) == risk
    assert float(unlink(explained["scale"], np.array(explained["base"]))) == pytest.approx(average, abs=1e-14)


def test_the_example_is_coherent(served: Shelf) -> None:
    _check_coherence(_ask(EXAMPLE, served))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=questions())
def test_any_valid_question_has_a_coherent_answer(served: Shelf, body: dict[str, Any]) -> None:
    _check_coherence(_ask(body, served))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=questions())
def test_the_order_of_keys_changes_nothing(served: Shelf, body: dict[str, Any]) -> None:
    turned = {
        **dict(reversed(body.items())),
        "patient": dict(reversed(body["patient"].items())),
        "vertebrae": [dict(reversed(one.items())) for one in body["vertebrae"]],
    }
    assert orjson.dumps(_ask(turned, served)) == orjson.dumps(_ask(body, served))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=questions())
def test_numbers_are_those_of_the_models_asked_directly(served: Shelf, body: dict[str, Any]) -> None:
    found = _ask(body, served)
    columns = to_columns(read_question(body).records)
    leaks = build(columns, "leakage", detection=body["detection"])
    for learner, model in served["leakage"].release.models.items():
        answered = [one["by_learner"][learner] for one in found["leakage"]]
        np.testing.assert_allclose(answered, model.risk(leaks), atol=1e-12)
    np.testing.assert_allclose(
        [list(one["routes"].values()) for one in found["leakage"]], served["leakage"].model.routes(leaks), atol=1e-12
    )
    np.testing.assert_allclose(
        [one["interval"] for one in found["leakage"]], served["leakage"].model.interval(leaks), atol=1e-12
    )
    fractures, model = build(columns, "refracture"), served["refracture"].model
    np.testing.assert_allclose(found["refracture"]["risk"], [model.risk(fractures, d)[0] for d in DAYS], atol=1e-12)
    np.testing.assert_allclose(
        found["refracture"]["interval"], [model.interval(fractures, d)[0] for d in DAYS], atol=1e-12
    )
    explained = {
        p.name: c
        for p, c in zip(served["refracture"].predictors, model.explain(fractures).contributions[0], strict=True)
    }
    assert sorted(explained.values()) == pytest.approx(
        sorted(entry["contribution"] for entry in found["refracture"]["explanation"]["contributions"]), abs=1e-12
    )


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=questions())
def test_a_what_if_is_the_answer_to_the_changed_question(served: Shelf, body: dict[str, Any]) -> None:
    found = _ask(body, served)
    position = {item["level"]: index for index, item in enumerate(body["vertebrae"])}
    for one in found["leakage"]:
        for change in one["what_if"]:
            again = _ask(_with(body, change["variable"], change["to"], position.get(change["level"])), served)
            other = again["leakage"][position[one["level"]]]
            assert (change["risk"], change["interval"]) == (
                pytest.approx(other["risk"]),
                pytest.approx(other["interval"]),
            )
            assert change["difference"] == pytest.approx(other["risk"] - one["risk"], abs=1e-12)
    for change in found["refracture"]["what_if"]:
        again = _ask(_with(body, change["variable"], change["to"], position.get(change["level"])), served)
        assert change["risk"] == pytest.approx(again["refracture"]["risk"])


def _with(body: dict[str, Any], name: str, value: Any, index: int | None) -> dict[str, Any]:
    if index is None:
        return {**body, "patient": {**body["patient"], name: value}}
    vertebrae = [{**item, name: value} if i == index else item for i, item in enumerate(body["vertebrae"])]
    return {**body, "vertebrae": vertebrae}


def test_what_is_missing_spans_the_answers_that_it_could_have(served: Shelf) -> None:
    bare = question(lambda body: (body["patient"].pop("t_score"), body["vertebrae"][0].pop("cortical_disruption")))
    found = {(entry["variable"], entry["outcome"]): entry for entry in _ask(bare, served)["missing"]}
    entry = found["t_score", "refracture"]
    variable = VARIABLES["t_score"]
    assert variable.plausible_low is not None and variable.plausible_high is not None
    points = np.linspace(variable.plausible_low, variable.plausible_high, 5)
    risks = [_ask(_with(bare, "t_score", float(x), None), served)["refracture"]["risk"][1] for x in points]
    assert (entry["lowest_risk"], entry["highest_risk"]) == (pytest.approx(min(risks)), pytest.approx(max(risks)))
    assert (entry["level"], entry["horizon_months"]) == (None, 12)
    entry = found["cortical_disruption", "leakage"]
    risks = [_ask(_with(bare, "cortical_disruption", x, 0), served)["leakage"][0]["risk"] for x in (False, True)]
    assert (entry["lowest_risk"], entry["highest_risk"]) == (pytest.approx(min(risks)), pytest.approx(max(risks)))
    assert (entry["level"], entry["horizon_months"]) == ("L1", None)


def test_what_was_said_is_not_missing(served: Shelf) -> None:
    named = {entry["variable"] for entry in _ask(EXAMPLE, served)["missing"]}
    assert not named & {"hu_l1", "t_score", "genant_grade", "planned_viscosity", "cortical_disruption", "age_years"}
    assert "basivertebral_foramen" in named


def test_contributions_carry_the_persons_values_and_words(served: Shelf) -> None:
    found = _ask(EXAMPLE, served)["leakage"][0]["explanation"]["contributions"]
    by_name = {entry["variable"]: entry for entry in found}
    values = {name: entry["value"] for name, entry in by_name.items()}
    assert values["cortical_disruption"] is True and values["procedure"] == "PVP" and values["detection"] == "CT"
    assert values["planned_viscosity"] == "medium" and values["genant_grade"] == "2" and values["ct_value_hu"] == 62
    assert values["basivertebral_foramen"] is None
    assert by_name["cortical_disruption"]["text"].startswith("Cortical fracture: yes; ")
    assert by_name["planned_volume_ml"]["text"].startswith("Planned volume: 4.5 ml")


def _evidence(body: dict[str, Any], served: Shelf) -> dict[tuple[str, Any, Any], str]:
    found = _ask(body, served)
    changes = found["leakage"][0]["what_if"] + found["refracture"]["what_if"]
    return {(change["variable"], change["from"], change["to"]): change["evidence"] for change in changes}


def test_evidence_is_told_apart(served: Shelf) -> None:
    told = _evidence(question(patient(anti_osteoporosis_plan="none")), served)
    assert told["planned_viscosity", "medium", "high"] == "trial"
    assert told["anti_osteoporosis_plan", "none", "zoledronate"] == "trial"
    assert told["planned_volume_ml", 4.5, 5.5] == told["procedure", "PVP", "PKP"] == "association"


def test_trials_compared_known_states_and_one_drug(served: Shelf) -> None:
    unknown = vertebra(planned_viscosity=None, cement_product_id=None)
    told = _evidence(question(unknown), served)
    assert told["planned_viscosity", None, "high"] == told["anti_osteoporosis_plan", None, "zoledronate"]
    assert told["planned_viscosity", None, "high"] == "association"
    drugs = [d for d in VARIABLES["anti_osteoporosis_plan"].choices if d not in ("none", "zoledronate")]
    for drug in drugs:
        changes = _evidence(question(patient(anti_osteoporosis_plan=drug)), served)
        assert changes["anti_osteoporosis_plan", drug, "none"] == "association"


def _two_vertebrae(**second: Any) -> dict[str, Any]:
    """L1 with 4 ml planned, and L3 of which only ``second`` is known."""
    body = question()
    first = {"level": "L1", "planned_volume_ml": 4.0, "procedure": "PVP"}
    return {**body, "vertebrae": [first, {"level": "L3", **second}]}


def test_a_change_that_an_unknown_vertebra_hides_is_left_out(served: Shelf) -> None:
    hidden = _ask(_two_vertebrae(), served)["refracture"]["what_if"]
    assert "planned_volume_ml" not in {change["variable"] for change in hidden}
    assert {("procedure", "PKP")} <= {(change["variable"], change["to"]) for change in hidden}  # any one counts
    shown = _ask(_two_vertebrae(planned_volume_ml=3.0), served)["refracture"]["what_if"]
    volumes = [change for change in shown if change["variable"] == "planned_volume_ml"]
    assert len(volumes) == 4 and all(abs(change["difference"][1]) > 0 for change in volumes)


@pytest.mark.parametrize("other", [p for p in VARIABLES["procedure"].choices if p not in ("PVP", "PKP")])
def test_a_procedure_that_the_models_do_not_know_is_said_and_shown(served: Shelf, other: str) -> None:
    found, nothing = (_ask(question(vertebra(procedure=stated)), served) for stated in (other, None))
    notes = [(w["code"], w["level"]) for w in found["warnings"]]
    assert ("procedure_unknown_to_models", "L1") in notes
    assert "procedure_unknown_to_models" not in {w["code"] for w in nothing["warnings"]}
    assert "procedure" in {entry["variable"] for entry in nothing["missing"]}
    assert "procedure" not in {entry["variable"] for entry in found["missing"]}
    for outcome in (found["leakage"][0], found["refracture"]):
        entry = next(e for e in outcome["explanation"]["contributions"] if e["variable"] == "procedure")
        assert entry["value"] == other and entry["text"].startswith(f"Procedure: {other}, which counts as not known")
        assert "procedure" not in {change["variable"] for change in outcome["what_if"]}
    assert found["leakage"][0]["risk"] == nothing["leakage"][0]["risk"]


def _details(body: dict[str, Any], served: Shelf, code: str) -> dict[str, str]:
    return {w["variable"]: w["detail"] for w in _ask(body, served)["warnings"] if w["code"] == code}


def test_what_lies_beyond_the_training_says_the_range_and_skips_flags(served: Shelf) -> None:
    narrow = {
        o: dataclasses.replace(s, low=np.full_like(s.low, 0.4), high=np.full_like(s.high, 0.6))
        for o, s in served.items()
    }
    told = _details(EXAMPLE, narrow, "outside_training_range")
    shapes = {p.variable: p.shape for s in served.values() for p in s.predictors}
    assert {"age_years", "treated_count", "planned_volume_ml", "genant_grade"} <= set(told)
    assert {shapes[name] for name in told if name in shapes} <= {"continuous", "score"}
    assert "the central 98 %" in told["age_years"] and "0.4 to 0.6 years, where" in told["age_years"]
    assert "0.4 to 0.6, where" in told["treated_count"]


def test_ranges_without_a_unit_and_a_lost_sign(served: Shelf) -> None:
    odd = question(patient(treated_count=6, t_score=0.5))
    told = _details(odd, served, "implausible_high")
    assert "1 to 4" in told["treated_count"] and "count" not in told["treated_count"].replace("treated_count", "")
    assert told["t_score"].endswith("did you lose the minus sign?")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            lambda b: b["patient"].update(hu_l1=None) or vertebra(hu_index_vertebra=90)(b),
            "ct_value_from_index_vertebra",
        ),
        (lambda b: b["patient"].update(hu_l1=None) or vertebra(hu_adjacent_mean=90)(b), "ct_value_from_neighbours"),
        (lambda b: vertebra(cement_product_id="osteopal-v", planned_viscosity=None)(b), "product_conflict"),
        (lambda b: patient(age_years=99)(b), "implausible_high"),
        (lambda b: patient(age_years=109)(b), "outside_training_range"),
        (lambda b: patient(vitamin_d_nmol_l=50)(b), "not_used"),
    ],
)
def test_warnings(served: Shelf, change: Any, code: str) -> None:
    before = {warning["code"] for warning in _ask(EXAMPLE, served)["warnings"]}
    after = {warning["code"] for warning in _ask(question(change), served)["warnings"]}
    assert code in after - before


def test_the_plan_of_one_vertebra_is_changed_alone(served: Shelf) -> None:
    body = question(levels("T12", "L2"))
    body["vertebrae"] = [{**EXAMPLE["vertebrae"][0], "level": level} for level in ("T12", "L2")]
    found = _ask(body, served)
    assert [{c["level"] for c in one["what_if"]} for one in found["leakage"]] == [{"T12"}, {"L2"}]
    assert {c["level"] for c in found["refracture"]["what_if"]} == {"T12", "L2", None}


def test_an_unreleased_outcome_is_null_and_said(served: Shelf) -> None:
    found = _ask(EXAMPLE, {"leakage": served["leakage"]})
    assert found["refracture"] is None and found["leakage"][0]["risk"] == _ask(EXAMPLE, served)["leakage"][0]["risk"]
    assert "not_released" in {warning["code"] for warning in found["warnings"]}


def test_without_a_model_of_the_moment_nothing_is_ready(served: Shelf) -> None:
    with pytest.raises(NotReady, match="released"):
        _ask(EXAMPLE, {})
    with pytest.raises(NotReady, match="released"):
        _ask(EXAMPLE, {"refracture-postop": served["refracture-postop"]})
    with pytest.raises(NotReady, match="after surgery"):
        _ask({**EXAMPLE, "moment": "postop"}, {name: served[name] for name in ("leakage", "refracture")})


@pytest.mark.parametrize(
    ("outcome", "champion"), [("leakage", "cox"), ("leakage", "boosted"), ("refracture", "boosted")]
)
def test_any_learner_may_be_champion(served: Shelf, outcome: Outcome, champion: str) -> None:
    release = dataclasses.replace(served[outcome].release, champion=champion)
    found = _ask(EXAMPLE, {**served, outcome: Served.of(release)})
    _check_coherence(found)
    assert found["models"][outcome]["learner"] == champion
    if outcome == "leakage":
        assert found["leakage"][0]["risk"] == found["leakage"][0]["by_learner"][champion]


def test_models_are_named_with_their_digests(served: Shelf) -> None:
    before, after = _ask(EXAMPLE, served)["models"], _ask({**EXAMPLE, "moment": "postop"}, served)["models"]
    named = {"leakage": before["leakage"], "refracture": before["refracture"], "refracture-postop": after["refracture"]}
    for outcome, one in served.items():
        told = named[outcome]
        assert told["name"] == f"cemrisk-{outcome}"
        assert told["sha256"] == one.model.sha256 and len(told["sha256"]) == 64
        assert set(told["by_learner"]) == set(one.release.models)
