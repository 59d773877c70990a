"""Models that start from the prior are models like any other: stored, explained, drawn; and off means off."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from features.build import Outcome
from features.outcome import Leakage
from models import BoostedRisk, Card, CoxRisk, LogisticRisk, Settings, load, save
from models.averaging import PENALTIES, STRENGTHS, Weighed, candidates
from models.calibrated import CalibratedRisk
from models.design import fit_design
from models.newton import RiskSets, fit_cox, fit_logistic
from models.nomogram import nomogram
from models.prior import Prior
from tests.fitted import REFITS, fitted, fresh_matrix, training_cohort

LINEAR: tuple[tuple[Outcome, str], ...] = (("leakage", "logistic"), ("leakage", "cox"), ("refracture", "cox"))


@cache
def started(outcome: Outcome, learner: str) -> CalibratedRisk:
    """The model of ``tests.fitted`` again, from the published prior."""
    people = training_cohort(outcome)
    settings = Settings(seed=1, refits=REFITS, prior=Prior.load("published"))
    return (LogisticRisk if learner == "logistic" else CoxRisk)(settings).fit(people.matrix, people.target)


@pytest.mark.parametrize(("outcome", "learner"), LINEAR)
def test_the_prior_is_used_and_each_part_says_how_much(outcome: Outcome, learner: str) -> None:
    model = started(outcome, learner)
    assert set(model.prior_weight) == set(model.parts)
    assert all(0 <= weight <= 1 for weight in model.prior_weight.values())
    assert not np.allclose(model.risk(fresh_matrix(outcome)), fitted(outcome, learner).risk(fresh_matrix(outcome)))


@pytest.mark.parametrize(("outcome", "learner"), LINEAR)
def test_it_is_stored_explained_and_drawn_like_any_other(outcome: Outcome, learner: str, tmp_path: Path) -> None:
    model, asked = started(outcome, learner), fresh_matrix(outcome)
    prior = model.settings.prior
    assert prior is not None
    card = Card(outcome, model.learner, prior=prior.described(outcome) | {"weight": model.prior_weight})
    save(model, tmp_path / "model", card)
    again = load(tmp_path / "model")
    assert again.card is not None and again.card.prior["sha256"] == prior.sha256
    assert again.card.prior["weight"] == model.prior_weight
    np.testing.assert_allclose(again.risk(asked), model.risk(asked), rtol=1e-12)
    low, high = again.interval(asked).T
    risk = again.risk(asked)
    assert ((low < risk) & (risk < high)).all()
    explained = again.explain(asked)
    np.testing.assert_allclose(explained.base + explained.contributions.sum(axis=1), explained.total, atol=1e-9)
    assert nomogram(again).axes


@pytest.mark.parametrize(("outcome", "learner"), LINEAR)
def test_a_prior_without_the_outcome_is_no_prior(outcome: Outcome, learner: str) -> None:
    other = "refracture" if outcome == "leakage" else "leakage"
    prior = Prior.load("published")
    prior = replace(prior, effects={other: prior.effects[other]})
    design = fit_design(outcome, training_cohort(outcome).matrix.values)
    assert len(candidates(prior, outcome, "any", design)) == len(candidates(None, outcome, "any", design))


def test_trees_do_not_start_from_it_and_do_not_say_so() -> None:
    people = training_cohort("leakage")
    rows = np.arange(300)
    target = people.target.take(rows)
    assert isinstance(target, Leakage)
    any_leak_alone = replace(target, routes=np.full((len(rows), 4), np.nan))
    model = BoostedRisk(Settings(refits=0, prior=Prior.load("published")))
    assert model.fit(people.matrix.take(rows), any_leak_alone).prior_weight == {}


def test_candidates_pull_to_nothing_to_the_prior_or_away_from_any_refracture() -> None:
    prior, design = Prior.load("published"), fit_design("refracture", training_cohort("refracture").matrix.values)
    alone = candidates(prior, "refracture", "any", design)
    assert [c.published for c in alone] == [False] * len(PENALTIES) + [True] * len(STRENGTHS)
    mean, sd = prior.terms("refracture", "any", design)
    np.testing.assert_allclose(alone[-1].centre, mean)
    np.testing.assert_allclose(alone[-1].penalty, STRENGTHS[-1] / sd**2)
    same, _ = prior.terms("refracture", "same", design)
    beside = candidates(prior, "refracture", "same", design, "any")
    np.testing.assert_allclose(beside[-1].centre, same - mean)
    assert not beside[0].centre.any()


def test_a_strong_pull_gives_the_centre_and_none_the_likelihood() -> None:
    rng = np.random.default_rng(3)
    z, centre = rng.normal(size=(200, 3)), np.array([0.5, -1.0, 0.0])
    y = (rng.random(200) < 0.4).astype(float)
    sets = RiskSets.of(rng.exponential(size=200), y == 1)
    for fit in (
        lambda penalty, aim: fit_logistic(z, y, penalty, towards=aim)[1:],
        lambda penalty, aim: fit_cox(z, sets, penalty, towards=aim),
    ):
        np.testing.assert_allclose(fit(1e9, centre), centre, atol=1e-5)
        np.testing.assert_allclose(fit(1e-9, centre), fit(1e-9, None), atol=1e-5)
        between = fit(30.0, centre) - fit(1e-9, None)
        assert (np.abs(fit(30.0, centre) - centre) < np.abs(fit(1e-9, None) - centre)).any() and between.any()


def test_the_pull_is_the_gradient_of_the_penalty() -> None:
    """At the optimum the score of the likelihood equals penalty * (beta - centre)."""
    rng = np.random.default_rng(4)
    z, centre, penalty = rng.normal(size=(150, 3)), np.array([1.0, 0.0, -0.5]), np.array([2.0, 20.0, 5.0])
    y = (rng.random(150) < 0.3).astype(float)
    beta = fit_logistic(z, y, penalty, towards=centre)
    risk = 1 / (1 + np.exp(-(beta[0] + z @ beta[1:])))
    np.testing.assert_allclose(z.T @ (y - risk), penalty * (beta[1:] - centre), atol=1e-6)
    assert abs((y - risk).sum()) < 1e-6


def test_candidates_weigh_as_their_likelihood() -> None:
    weighed = Weighed.by_loss(np.array([100.0, 101.0, 130.0, 100.0]))
    assert weighed.weight.sum() == pytest.approx(1)
    assert weighed.weight[1] / weighed.weight[0] == pytest.approx(np.exp(-1))
    assert weighed.weight[2] == 0 and set(weighed.kept) == {0, 1, 3}


def test_refits_draw_candidates_by_weight_and_centres_by_spread() -> None:
    design = fit_design("leakage", training_cohort("leakage").matrix.values)
    tried = candidates(None, "leakage", "any", design)
    weighed = Weighed.by_loss(np.array([0.0, 0.0] + [99.0] * (len(tried) - 2)))
    drawn = weighed.drawn(tried, 4000, [5])
    penalty = np.array([candidate.penalty[0] for candidate in drawn])
    assert (penalty == PENALTIES[0]).mean() == pytest.approx(0.5, abs=0.04)
    spread = np.array([candidate.centre for candidate in drawn if candidate.penalty[0] == PENALTIES[0]]).std(axis=0)
    np.testing.assert_allclose(spread, 1 / np.sqrt(PENALTIES[0]), rtol=0.1)


def test_what_the_registry_never_showed_has_a_wide_interval() -> None:
    """Only PVP in the registry: a question about PKP is answered, but not as if PKP were known."""
    people = training_cohort("leakage")
    pvp = people.matrix["procedure_pkp"] == 0
    model = LogisticRisk(Settings(refits=40)).fit(people.matrix.take(pvp), people.target.take(pvp))
    asked = fresh_matrix("leakage")
    widths = []
    for code in (0.0, 1.0):
        values = asked.values.copy()
        values[:, asked.columns.index("procedure_pkp")] = code
        low, high = model.interval(replace(asked, values=values)).T
        widths.append(float((high - low).mean()))
    assert widths[1] > 1.1 * widths[0]
