"""What is kept for the report: aggregates that agree with the cohort, and nothing that could point at one patient."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from features.build import PREDICTORS
from features.outcome import CAUSES
from features.registry import read_export
from models.resample import folds_by_patient
from tests.fitted import fitted, training_cohort
from tests.trained import write_export
from training.cohort import Cohort
from training.report.evaluation import FEWEST, characteristics, evaluation, flow_of, shown_count
from training.report.look import looks
from training.validate import HORIZONS, Validated, base_rates, measure


@cache
def result(outcome: str) -> Validated:
    """Predictions of a model for its own patients: good enough to be drawn."""
    people = training_cohort(outcome)
    model = fitted(outcome, "logistic" if outcome == "leakage" else "cox")
    fold = folds_by_patient(people.patient, np.zeros(len(people.matrix), dtype=bool), 5, 1)
    days = (None,) if outcome == "leakage" else HORIZONS
    risk = np.column_stack([model.risk(people.matrix, one) for one in days])
    risk = risk[:, 0] if outcome == "leakage" else risk
    base = base_rates(people, fold)
    return Validated(model.learner, model, risk, None, base, measure(people.target, risk, None, base))


def kept(outcome: str) -> dict:
    people = training_cohort(outcome)
    return json.loads(json.dumps(evaluation(people, looks(people, result(outcome)), {}), allow_nan=False))


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_curves_and_counts_are_those_of_the_cohort(outcome) -> None:
    people, found = training_cohort(outcome), kept(outcome)
    assert [one["suffix"] for one in found["horizons"]] == ([""] if outcome == "leakage" else ["_m3", "_m12", "_m24"])
    for one in found["horizons"]:
        counts = [count for count in one["histogram"]["counts"] if count is not None]
        hidden = sum(count is None for count in one["histogram"]["counts"])
        assert 0 <= len(people.matrix) - sum(counts) <= hidden * (FEWEST - 1)
        cut = one["decision"]["thresholds"].index(pytest.approx(0.2))
        assert one["decision"]["value"][cut] == pytest.approx(
            result(outcome).metrics[f"net_benefit_20{one['suffix']}"], abs=1e-5
        )
    shares = {one["name"]: one["unknown_share"] for one in found["characteristics"]}
    assert list(shares) == [predictor.name for predictor in PREDICTORS[outcome]]
    for name, share in shares.items():
        assert share is None or share == pytest.approx(np.isnan(people.matrix[name]).mean(), abs=5e-4)


def test_incidences_add_up_and_one_minus_kaplan_meier_says_more() -> None:
    incidence = kept("refracture")["incidence"]
    curves = {name: np.array(one["value"]) for name, one in incidence["aalen_johansen"].items()}
    assert sum(curves[cause] for cause in CAUSES[:3]) == pytest.approx(curves["any"], abs=1e-5)
    for name, naive in incidence["one_minus_kaplan_meier"].items():
        assert (np.array(naive) >= curves[name] - 1e-6).all()
    assert incidence["one_minus_kaplan_meier"]["any"][-1] > curves["any"][-1] * 1.02
    assert kept("leakage")["incidence"] is None


def test_the_median_follow_up_is_that_of_lifelines_in_tens_of_days() -> None:
    target = training_cohort("refracture").target
    exact = KaplanMeierFitter().fit(target.days, target.event_code == 0).median_survival_time_
    assert 0 <= kept("refracture")["follow_up_days"] - exact < 10
    assert kept("leakage")["follow_up_days"] is None


def few_with_a_finding(has: int) -> Cohort:
    """The leakage cohort with a cleft in so many of those with a leak, and in twenty without."""
    people = training_cohort("leakage")
    values = people.matrix.values.copy()
    place = people.matrix.columns.index("intravertebral_cleft")
    values[:, place] = 0
    values[np.flatnonzero(people.target.leaked == 1)[:has], place] = 1
    values[np.flatnonzero(people.target.leaked == 0)[:20], place] = 1
    matrix = type(people.matrix)(people.matrix.columns, values, people.matrix.patient)
    return Cohort(people.outcome, matrix, people.target, people.left_out, people.data_status)


@pytest.mark.parametrize(("has", "told"), [(0, True), (1, False), (FEWEST - 1, False), (FEWEST, True)])
def test_small_counts_are_not_told_and_cannot_be_worked_out(has, told) -> None:
    (found,) = [one for one in characteristics(few_with_a_finding(has)) if one["name"] == "intravertebral_cleft"]
    shown = found["levels"]["yes"]
    assert shown["all"][0] == 20 + has
    assert (shown["event"] is not None, shown["no_event"] is not None) == (told, told)
    assert (shown_count(has) is None) == (not told)


def test_quartiles_lie_on_the_grid_of_their_predictor() -> None:
    steps = {one.name: one.resolution or 1.0 for one in PREDICTORS["leakage"]}
    for one in characteristics(training_cohort("leakage")):
        for values in one.get("quartiles", {}).values():
            assert all((value / steps[one["name"]]).is_integer() for value in values)


def test_the_flow_of_an_export_counts_every_row_once(tmp_path) -> None:
    export = read_export(write_export(tmp_path, patients=60, seed=3))
    flow = flow_of(export)
    assert flow["read"] == flow["accepted"] + flow["rejected"] == len(export.rows)
    assert flow["rejected_reasons"] == dict.fromkeys(export.rejected[0].reasons)  # one row each: too few to be told
    years = [str(day)[:4] for day in export.columns()["procedure_date"]]
    assert all(years.count(year) >= FEWEST for year in flow["years"])
