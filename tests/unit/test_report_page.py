"""The page with everything that a validation can hold, and with nothing of it: no training is needed to see both."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import models
from models import Card
from tests.fitted import fitted, training_cohort
from tests.pages import Read, faults_of
from tests.unit.test_evaluation import result
from tests.versions import version
from training.report.evaluation import evaluation
from training.report.facts import report_facts
from training.report.look import looks
from training.report.page import filled
from training.report.panels import incidence_panel, paper
from training.report.source import Source
from training.report.validation_facts import SHOWN
from training.validate.bootstrap import Corrected
from training.validate.contrasts import contrasts
from training.validate.judging import judged_risk
from training.validate.record import record_of
from training.validate.splits import nested
from training.validate.standing import standing
from training.validate.subgroups import subgroups

OUTCOMES = ("leakage", "refracture", "refracture-postop")


@cache
def whole_record(outcome: str) -> dict[str, Any]:
    """A record with every entry filled: groups and contrasts as they are, the rest with numbers of its form."""
    people, found = training_cohort(outcome), result(outcome)
    metrics = nested(found.metrics)
    group = {"rows": 900, "patients": 800, "events": 120, "reason": "", "metrics": {}}
    judged = {name: {"value": 0.5, "lo": 0.4, "hi": 0.6} for name, _ in SHOWN}
    apart = [group | {"centre": "centre 1", "metrics": judged}, group | {"centre": "centre 2", "reason": "too few"}]
    optimism = dict.fromkeys(metrics, 0.0125)
    made = record_of(
        people,
        found.learner,
        found.metrics,
        Corrected(found.metrics, found.metrics, optimism, 200, 0),
        {"reason": "", "from_month": "2023-08", "trained_rows": 700, "tested_rows": None, "metrics": metrics},
        {"reason": "", "each": apart, "metrics": judged},
        subgroups(people, judged_risk(found.risk)),
        contrasts(people, {found.learner: judged_risk(found.risk), "boosted": judged_risk(found.risk) * 0.9}),
    )
    return json.loads(json.dumps(made | {"sample_size": standing(people, found.metrics, "cv").as_json()}))


def source(outcome: str, folder: Path, validation: dict[str, Any]) -> Source:
    people, found = training_cohort(outcome), result(outcome)
    card = Card(
        people.outcome, found.learner, training_id="t", rows=len(people.matrix), patients=people.patients,
        events=people.events,
    )  # fmt: skip
    sha256 = models.save(fitted(outcome, found.learner), folder / "model", card)
    kept = evaluation(people, looks(people, found), {"read": 10, "accepted": 9, "rejected": 1})
    registered = replace(version("1"), outcome=outcome, learner=found.learner, sha256=sha256, metrics=found.metrics)
    tags = {"validation": "bootstrap" if validation else "cv"}
    model = models.load(folder / "model", sha256)
    return Source(registered, model, {}, tags, json.loads(json.dumps(kept)), validation, {}, None)


def page(outcome: str, folder: Path, validation: dict[str, Any]) -> str:
    return filled("report.html", report_facts(source(outcome, folder, validation), "2026-01-01"))


def row(read: Read, begins: str) -> str:
    (found,) = [words for _, words in read.find("tr") if words.startswith(begins)]
    return found


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_everything_that_was_computed_is_shown(outcome, tmp_path) -> None:
    record = whole_record(outcome)
    text = page(outcome, tmp_path, record)
    assert faults_of(text) == []
    assert "Not computed" not in text and "not computed" not in text
    read = Read(text)
    assert row(read, "Centre 1" if "Centre 1" in text else "centre 1").endswith("0.500 (0.400 to 0.600)")
    assert "too few" in row(read, "centre 2")
    female = next(one for one in record["subgroups"] if (one["by"], one["group"]) == ("sex", "female"))
    auc = female["metrics"]["auc"]
    assert f"{female['rows']:,}" in row(read, "Sex: female") and f"{auc['value']:.3f}" in row(read, "Sex: female")
    assert "0.013" in row(read, "Slope") or "0.012" in row(read, "Slope"), "the optimism"
    difference = record["contrasts"][0]["metrics"]["log_loss"]
    first = f"{record['contrasts'][0]['first']} - {record['contrasts'][0]['second']}"
    assert f"{difference['value']:.3f} ({difference['lo']:.3f} to {difference['hi']:.3f})" in row(read, first)
    assert f"{record['sample_size']['needed']:,}" in text and record["sample_size"]["reason"] in text
    assert "before 2023-08 (700 rows), tested on later ones (fewer than 5 rows)" in text
    open_items = [words for found, words in read.find("tr") if "data-item" in found and " open " in words]
    assert all("The study must say this" in words for words in open_items)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_was_not_computed_says_so_and_how(outcome, tmp_path) -> None:
    text = page(outcome, tmp_path, {})
    assert faults_of(text) == []
    assert text.count("Not computed in this run") >= 5
    assert "train again" in text


def test_after_surgery_time_is_said_to_count_from_the_landmark(tmp_path) -> None:
    after = page("refracture-postop", tmp_path, whole_record("refracture-postop"))
    before = page("refracture", tmp_path / "before", whole_record("refracture"))
    for text, months in ((after, "12 months after the landmark"), (before, "12 months")):
        assert f"by {months}, with 95 % intervals" in text
        assert f"Within {months}</h3>" in text
        assert f"any refracture by {months})" in text
    assert "landmark" not in before
    assert "Time counts from a landmark 7 days after the operation" in after, "the nomogram"


def test_the_panel_of_incidence_says_where_its_days_begin() -> None:
    for outcome, start in (("refracture", "procedure"), ("refracture-postop", "landmark")):
        kept = evaluation(training_cohort(outcome), looks(training_cohort(outcome), result(outcome)), {})
        _, (axes,) = paper(4.0, 3.0)
        incidence_panel(axes, kept["incidence"], "any", "Any")
        assert axes.get_xlabel() == f"Days after the {start}"


def test_a_prior_is_shown_with_its_sources(tmp_path) -> None:
    found = source("leakage", tmp_path, {})
    effect = {"mean": -0.5, "sd": 0.2, "from": "Somebody 2020 <b>"}
    prior = {"name": "published", "sha256": "ab", "effects": {"any": {"cortical_disruption": effect}}}
    found.model.card = replace(found.card, prior=prior)
    text = filled("report.html", report_facts(found, "2026-01-01"))
    assert faults_of(text) == []
    assert "Somebody 2020 &lt;b&gt;" in text
    cells = [words for _, words in Read(text).find("td")]
    assert cells[cells.index("Somebody 2020 <b>") - 3 :][:4] == [
        "Cortical fracture",
        "-0.5",
        "0.2",
        "Somebody 2020 <b>",
    ]
