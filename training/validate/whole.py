"""The whole validation of the learners of one outcome: which fits it takes, and what is made of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import Settings
from models.calibrated import CalibratedRisk
from models.interface import Learner
from models.prior import Prior
from training.cohort import Cohort
from training.engine import Engine, Task, run
from training.validate.bootstrap import Corrected, blocks, correct, resample, resamples_of
from training.validate.contrasts import contrasts
from training.validate.cross_validation import FOLDS, base_rates, folds_of, out_of_fold, predict_fold
from training.validate.fitting import Predicted, fit_whole, predict, tried
from training.validate.judging import judged_risk
from training.validate.measuring import measure
from training.validate.record import record_of
from training.validate.splits import Cut, centres_of, cut_in_time, earlier, elsewhere, leave_one_centre_out, temporal
from training.validate.standing import Standing, standing
from training.validate.subgroups import subgroups

Floats = NDArray[np.float64]
#: What a fit is for: the learner, the kind of validation, and which piece of it.
Key = tuple[Learner, str, Any]

#: Leaving out each centre in turn costs a fit each: for boosted trees, of more centres only beside a bootstrap.
CENTRES_OF_SLOW = 5


@dataclass(frozen=True, slots=True)
class Validated:
    """A learner fitted to the whole cohort, with what it predicted for each patient before it had seen him.

    ``risk``: leakage (n,), refracture (n, horizons) of any; ``detail``: routes (n, 4) or incidences (n, 4, horizons),
    None for a Cox model of leakage; both out of fold. ``base``: the base rate of the same training folds, of the shape
    of ``risk``. ``metrics``: out of sample, by ``how`` (``cv`` or ``bootstrap``), with the numbers of patients that the
    gate asks for; ``standing``: whether these are enough; ``record``: validation.json.
    """

    learner: Learner
    model: CalibratedRisk
    risk: Floats
    detail: Floats | None
    base: Floats
    metrics: dict[str, float]
    how: str = "cv"
    standing: Standing | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all fits of a validation share."""

    cohort: Cohort
    settings: Settings
    resamples: int
    fold: NDArray[np.intp]
    cut: Cut | str
    centres: list[str]

    def left_out(self, learner: Learner) -> list[str]:
        """The centres that are left out one by one for this learner."""
        slow = learner == "boosted" and len(self.centres) > CENTRES_OF_SLOW and not self.resamples
        return [] if slow else self.centres

    def why_no_centres(self, learner: Learner) -> str:
        """Why none is, for the record; empty where the reason lies in the data."""
        if self.centres and not self.left_out(learner):
            return f"{len(self.centres)} centres would take as many fits of slow learners: run with --bootstrap"
        return ""


def validate(
    cohort: Cohort,
    learners: tuple[Learner, ...],
    seed: int,
    engine: Engine = "local",
    progress: Callable[[int, int], None] = lambda done, total: None,
    prior: Prior | None = None,
    *,
    resamples: int = 0,
) -> list[Validated]:
    """Fit and validate the learners; ``progress`` is told how many of how many pieces of work are done.

    ``prior``: published effects that every fit starts from. With ``resamples`` the metrics are those of the bootstrap,
    without them those of cross-validation.
    """
    plan = _Plan(
        cohort,
        Settings(seed=seed, prior=prior),
        resamples,
        folds_of(cohort, seed),
        cut_in_time(cohort),
        centres_of(cohort),
    )
    work = {key: task for learner in learners for key, task in _work(plan, learner)}
    # The longest fits first: the others fill the gaps between them.
    keys = sorted(work, key=lambda key: (key[0] != "boosted", key[1] != "whole"))
    found: dict[Key, Any] = {}
    progress(0, len(keys))
    for place, result in run([work[key] for key in keys], engine):
        found[keys[place]] = result
        progress(len(found), len(keys))
    base = base_rates(cohort, plan.fold)
    predicted = {one: out_of_fold(plan.fold, [found[one, "fold", k] for k in range(FOLDS)]) for one in learners}
    pairs = contrasts(cohort, {name: judged_risk(one.risk) for name, one in predicted.items()})
    return [_gather(plan, learner, found, predicted[learner], base, pairs) for learner in learners]


def _work(plan: _Plan, learner: Learner) -> Iterator[tuple[Key, Task]]:
    people, settings = plan.cohort, plan.settings
    yield (learner, "whole", 0), (fit_whole, (people, learner, settings))
    for k in range(FOLDS):
        yield (learner, "fold", k), (predict_fold, (people, learner, settings, plan.fold, k))
    if isinstance(plan.cut, Cut):
        yield (learner, "time", 0), (tried, (people, learner, settings, earlier(people, plan.cut), plan.cut.later))
    for name in plan.left_out(learner):
        inside = people.groups["centre"] == name
        yield (learner, "centre", name), (tried, (people, learner, settings, elsewhere(people, name), inside))
    for block in blocks(resamples_of(learner, plan.resamples)):
        yield (learner, "resamples", block), (resample, (people, learner, settings, block))


def _gather(
    plan: _Plan,
    learner: Learner,
    found: Mapping[Key, Any],
    predicted: Predicted,
    base: Floats,
    pairs: list[dict[str, Any]],
) -> Validated:
    people = plan.cohort
    crossed = measure(people.target, predicted.risk, predicted.detail, base)
    model: CalibratedRisk = found[learner, "whole", 0]
    corrected = _corrected(plan, learner, found, model) if plan.resamples else None
    # The base rate has nothing to correct: it is judged out of fold as before.
    headline = crossed if corrected is None else corrected.metrics | _base_only(crossed)
    centres = {name: found[learner, "centre", name] for name in plan.left_out(learner)}
    record = record_of(
        people,
        learner,
        crossed,
        corrected,
        temporal(people, plan.cut, found.get((learner, "time", 0))),
        leave_one_centre_out(people, centres, plan.why_no_centres(learner)),
        subgroups(people, judged_risk(predicted.risk)),
        [pair for pair in pairs if learner in (pair["first"], pair["second"])],
    )
    how = "bootstrap" if corrected else "cv"
    prior = model.settings.prior.name if model.settings.prior and model.prior_weight else ""
    stands = standing(people, headline, how, prior)
    record["sample_size"] = stands.as_json()
    numbers = headline | stands.numbers
    return Validated(learner, model, predicted.risk, predicted.detail, base, numbers, how, stands, record)


def _corrected(plan: _Plan, learner: Learner, found: Mapping[Key, Any], model: CalibratedRisk) -> Corrected:
    people = plan.cohort
    seen = predict(model, people, np.arange(len(people.matrix)))
    apparent = measure(people.target, seen.risk, seen.detail)
    pieces = blocks(resamples_of(learner, plan.resamples))
    drawn = [one for piece in pieces for one in found[learner, "resamples", piece]]
    return correct(apparent, drawn)


def _base_only(flat: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in flat.items() if name.startswith("log_loss_base")}
