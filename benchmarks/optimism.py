"""How near the optimism-corrected metrics of a training come to the truth.

Registries of patients are simulated; in each, models are built and corrected by the bootstrap as `cemrisk train
--bootstrap` does it; fresh patients of the same world say what the models are really worth. Shown is the mean over
registries of (estimate - truth) with its standard error, for the apparent estimate, for cross-validation and for the
bootstrap.

    python benchmarks/optimism.py                        # 20 registries, logistic for leakage, Cox for refracture
    python benchmarks/optimism.py --learners boosted
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from features.build import Outcome
from features.outcome import Leakage
from models import Settings
from models.interface import Learner
from training.cohort import Cohort, cohort
from training.engine import run
from training.progress import Bar
from training.simulate import simulate
from training.validate import FOLDS, LEARNERS
from training.validate.bootstrap import correct, resample
from training.validate.cross_validation import folds_of, out_of_fold, predict_fold
from training.validate.fitting import Predicted, fit_on, predict
from training.validate.measuring import measure

RESULTS = Path(__file__).parent / "results"
METRICS = ("auc", "calibration_slope")
#: What is asked of the bootstrap: the mean error in absolute value.
ASKED = {"auc": 0.02, "calibration_slope": 0.08}
FRESH_SEED = 90_000


@cache
def fresh(outcome: Outcome, patients: int) -> Cohort:
    """Patients whom no model has seen, one set for all registries of a process."""
    return any_only(cohort(simulate(patients, FRESH_SEED).columns, outcome))


def any_only(people: Cohort) -> Cohort:
    """Without the routes of leaks: any leak is a model of its own, and theirs would take most of the time."""
    if not isinstance(people.target, Leakage):
        return people
    return replace(people, target=replace(people.target, routes=np.full_like(people.target.routes, np.nan)))


def one_registry(
    outcome: Outcome, learner: Learner, seed: int, patients: int, resamples: int, unseen: int
) -> dict[str, object]:
    """One row: apparent, cross-validated, corrected and true value of each metric."""
    people, others = any_only(cohort(simulate(patients, seed).columns, outcome)), fresh(outcome, unseen)
    settings, everyone = Settings(seed=seed, refits=0), np.arange(len(people.matrix))
    model = fit_on(people, learner, settings, everyone)
    apparent = flat(people, predict(model, people, everyone))
    corrected = correct(apparent, resample(people, learner, settings, range(resamples)))
    fold = folds_of(people, seed)
    crossed = out_of_fold(fold, [predict_fold(people, learner, settings, fold, k) for k in range(FOLDS)])
    true = flat(others, predict(model, others, np.arange(len(others.matrix))))
    end = "" if outcome == "leakage" else "_m12"
    estimates = {"apparent": apparent, "cv": flat(people, crossed), "bootstrap": corrected.metrics, "true": true}
    numbers = {f"{name}_{how}": found[name + end] for how, found in estimates.items() for name in METRICS}
    return {"outcome": outcome, "learner": learner, "seed": seed} | numbers


def flat(people: Cohort, found: Predicted) -> dict[str, float]:
    """Metrics of predictions for the whole of ``people``, without the intervals that take time."""
    return measure(people.target, found.risk, found.detail, curves=0)


def errors(rows: list[dict], name: str, how: str) -> tuple[float, float]:
    """Mean and standard error over registries of (estimate - truth)."""
    gaps = np.array([row[f"{name}_{how}"] - row[f"{name}_true"] for row in rows])
    return float(gaps.mean()), float(gaps.std() / np.sqrt(max(len(gaps) - 1, 1)))


def table(rows: list[dict]) -> str:
    """Markdown: one line for each learner of an outcome and each metric."""
    heads = ("outcome", "learner", "registries", "metric", "truth", "apparent", "cross-validated", "bootstrap", "asked")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for outcome, learner in dict.fromkeys((row["outcome"], row["learner"]) for row in rows):
        mine = [row for row in rows if (row["outcome"], row["learner"]) == (outcome, learner)]
        ran = f"{len(mine)} of {mine[0]['patients']} patients, B = {mine[0]['resamples']}"
        for name in METRICS:
            cells = ["{:+.3f} ± {:.3f}".format(*errors(mine, name, how)) for how in ("apparent", "cv", "bootstrap")]
            truth = np.mean([row[f"{name}_true"] for row in mine])
            met = "yes" if abs(errors(mine, name, "bootstrap")[0]) <= ASKED[name] else "no"
            line = (outcome, learner, ran, name, f"{truth:.3f}", *cells, f"{ASKED[name]}: {met}")
            lines.append(f"| {' | '.join(line)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registries", type=int, default=20)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=20)
    parser.add_argument("--unseen", type=int, default=20_000)
    parser.add_argument("--learners", nargs="+", default=["logistic", "cox"])
    parser.add_argument("--outcomes", nargs="+", default=["leakage", "refracture"])
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    jobs = [
        (outcome, learner, seed, arguments.patients, arguments.resamples, arguments.unseen)
        for seed in range(1, arguments.registries + 1)
        for outcome in arguments.outcomes
        for learner in LEARNERS[outcome]
        if learner in arguments.learners and not (outcome == "leakage" and learner == "cox")
    ]
    rows: list[dict] = []
    bar = Bar()
    for _, row in run([(one_registry, job) for job in jobs], workers=arguments.workers):
        rows.append(row | {"patients": arguments.patients, "resamples": arguments.resamples})
        bar("registries", len(rows), len(jobs))
        if not arguments.no_save:
            save(rows)  # each time: a study that is cut short keeps what it has
    print(table(rows))


def save(rows: list[dict]) -> None:
    """Add the rows of this run to those of other learners in ``results/optimism.json``; write the table anew."""
    path = RESULTS / "optimism.json"
    now = {(row["outcome"], row["learner"]) for row in rows}
    kept = json.loads(path.read_text()) if path.exists() else []
    kept = [row for row in kept if (row["outcome"], row["learner"]) not in now] + rows
    kept.sort(key=lambda row: (row["outcome"], row["learner"], row["seed"]))
    path.write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / "optimism.md").write_text(
        "# Error of the optimism-corrected metrics\n\n`python benchmarks/optimism.py`: mean of (estimate - truth) over "
        f"simulated registries ± its standard error.\n\n{table(kept)}\n"
    )


if __name__ == "__main__":
    main()
