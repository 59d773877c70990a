"""The parts of the report: the printed equation is the model, made-up patients are explained, no item is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from jinja2 import UndefinedError

from features.build import PREDICTORS
from models.calibrate import BinaryHead
from models.competing import HazardHead
from models.design import Layout
from tests.fitted import fitted, fresh_matrix, training_cohort
from training.figures import render
from training.report import page, panels, tripod
from training.report.coefficients import effects, equation
from training.report.evaluation import characteristics, evaluation
from training.report.look import looks
from training.report.made_up import made_up
from training.validate import Validated, measure

LINEAR = [("leakage", "logistic"), ("leakage", "cox"), ("refracture", "cox")]
ALL = [*LINEAR, ("leakage", "boosted"), ("refracture", "boosted")]


def told(outcome: str) -> dict:
    return {one["name"]: one for one in characteristics(training_cohort(outcome))}


@pytest.mark.parametrize(("outcome", "learner"), LINEAR)
def test_the_printed_equation_gives_the_risk_of_the_model(outcome, learner) -> None:
    model, matrix = fitted(outcome, learner), fresh_matrix(outcome)
    whole = ~np.isnan(matrix.values).any(axis=1)
    assert whole.sum() > 20
    printed = equation(model)
    raw = Layout.of(model.body.design.terms).expand(matrix.values[whole])
    assert len(printed.terms) == raw.shape[1]
    eta = np.array(printed.constants) + raw @ np.array([values for _, _, values in printed.terms])
    if isinstance(model.head, BinaryHead):
        risk = 1 / (1 + np.exp(-eta[:, 0]))
    else:
        hazard = np.exp(eta)[:, :, None] * model.head.hazard
        assert isinstance(model.head, HazardHead)
        until = list(model.head.grid_days).index(365) + 1
        total = hazard.sum(axis=1) + 1e-300
        leaving = np.exp(-np.cumsum(total, axis=1) + total) * -np.expm1(-total)
        risk = (leaving * hazard[:, : model.head.events].sum(axis=1) / total)[:, :until].sum(axis=1)
    assert risk == pytest.approx(model.risk(matrix)[whole], abs=1e-9)


@pytest.mark.parametrize(("outcome", "learner"), LINEAR)
def test_an_effect_is_what_the_change_does_to_the_odds_or_the_hazard(outcome, learner) -> None:
    model = fitted(outcome, learner)
    found = effects(model, told(outcome))
    assert {one.label for one in found} and len(found) >= len(PREDICTORS[outcome])
    for one in found:
        for value, low, high in one.ratios:
            assert 0 < low < value < high
    place = [predictor.name for predictor in PREDICTORS[outcome]].index("intravertebral_cleft")
    values = fresh_matrix(outcome).values
    rows = np.repeat(values[~np.isnan(values).any(axis=1)][:1], 2, axis=0)
    rows[:, place] = 0, 1
    without, with_it = model.margins(dict(zip(model.columns, rows.T, strict=True)), with_refits=False).main
    (cleft,) = [one for one in found if one.label.startswith("Intravertebral cleft")]
    expected = np.exp(model.head.slope * (with_it - without))[: model.head.explained]
    assert [value for value, _, _ in cleft.ratios] == pytest.approx(list(expected))


@pytest.mark.parametrize(("outcome", "learner"), ALL)
def test_made_up_patients_are_ordered_and_their_contributions_add_up(outcome, learner) -> None:
    typical, higher, lower = made_up(fitted(outcome, learner), told(outcome))
    assert lower.risks[-1][1] < typical.risks[-1][1] < higher.risks[-1][1]
    for one in (typical, higher, lower):
        assert one.base + sum(part for _, _, part in one.reasons) == pytest.approx(one.total)
        assert all(low < risk < high for _, risk, low, high in one.risks)
        assert [value for label, value, _ in one.reasons if label.startswith("Leaks looked for")] in ([], ["yes"])


def test_all_27_items_of_tripod_are_there_with_their_parts() -> None:
    numbers = [item.number for item in tripod.ITEMS]
    assert len(numbers) == len(set(numbers)) == 52
    assert sorted({int(number.rstrip("abcdefg")) for number in numbers}) == list(range(1, 28))
    parts = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg", "18": "abcdef", "20": "abc",
             "23": "ab", "27": "abc"}  # fmt: skip
    for number, letters in parts.items():
        assert [one for one in numbers if one.rstrip("abcdefg") == number] == [number + letter for letter in letters]


def test_what_was_not_computed_leaves_its_items_open() -> None:
    before = {one.item.number: one.status for one in tripod.answers(frozenset())}
    after = {one.item.number: one.status for one in tripod.answers(frozenset({"sample_size", "subgroups", "splits"}))}
    assert (before["10"], after["10"]) == ("open", "answered")
    assert (before["23a"], after["23a"]) == ("partly", "answered")
    assert before["17"] == after["17"] == "open"
    assert after["23b"] == "open", "no centre was left out"


def test_text_is_escaped_and_a_missing_fact_is_an_error(tmp_path) -> None:
    (tmp_path / "t.html").write_text("<p>{{ words }}</p>")
    assert page.filled("t.html", {"words": "<script>"}, tmp_path) == "<p>&lt;script&gt;</p>"
    with pytest.raises(UndefinedError, match="words"):
        page.filled("t.html", {}, tmp_path)


def test_a_model_that_tells_nobody_apart_can_be_drawn() -> None:
    people = training_cohort("leakage")
    risk = np.full(len(people.matrix), people.target.leaked.mean())
    found = measure(people.target, risk, None, risk)
    (look,) = looks(people, Validated("cox", fitted("leakage", "cox"), risk, None, risk, found))
    kept = evaluation(people, [look], {})["horizons"][0]
    assert render(panels.summary_figure(kept, found, "constant"), dots_per_inch=40)
    assert render(panels.overlay_figure({"a": kept, "b": kept}), dots_per_inch=40)
    with pytest.raises(ValueError, match="at most 4"):
        panels.overlay_figure(dict.fromkeys("abcde", kept))
