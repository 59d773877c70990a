"""Outcomes that belong to other patients, sent through the whole pipeline: nothing may be found in them.

The outcome columns of a simulated registry are shuffled (leaks among vertebrae, courses among patients); cohort, folds
by patient dealt evenly by outcome, tuning, recalibration and predictions follow as in `cemrisk train`. AUC is taken
within each fold and averaged: the mean over permutations must be 0.50 within 0.03.

Beside it, why not the pooled AUC: a model that has nothing to say is shrunk to the rate of its training folds. A fold
with few events leaves more of them to the others, so its patients get the *higher* constant, and the pooled
out-of-fold AUC of noise falls below a half by itself, the more so the smaller the folds and where events are not dealt
evenly. Shown by a logistic model under a large ridge penalty.

    python benchmarks/permutation.py                       # 20 permutations of 1,000 patients, logistic and Cox
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.build import Outcome
from features.outcome import HORIZON_DAYS, Leakage
from models import Settings
from models.design import fit_design
from models.interface import Learner
from models.newton import fit_logistic
from models.resample import folds_by_patient
from training import metrics
from training.cohort import Cohort, cohort
from training.engine import run
from training.progress import Bar
from training.simulate import simulate
from training.validate import FOLDS, LEARNERS, any_code
from training.validate.cross_validation import folds_of, out_of_fold, predict_fold
from training.validate.judging import judged_risk

RESULTS = Path(__file__).parent / "results"
#: A ridge penalty that leaves hardly anything of any coefficient.
HEAVY = 1e6
OUTCOME_COLUMNS: dict[Outcome, tuple[str, ...]] = {
    "leakage": ("leak_routes", "leak_detected_days"),
    "refracture": ("refracture", "refracture_days", "last_seen_days", "died"),
}


def permuted(columns: Mapping[str, Any], patient: np.ndarray, outcome: Outcome, seed: int) -> dict[str, Any]:
    """The registry with the outcome's columns shuffled: among rows for leakage, among patients for refracture."""
    rng = np.random.default_rng(seed)
    rows = len(patient)
    if outcome == "leakage":
        source = rng.permutation(rows)
    else:
        who, first, code = np.unique(patient, return_index=True, return_inverse=True)
        source = first[rng.permutation(len(who))][code]
    return dict(columns) | {name: columns[name][source] for name in OUTCOME_COLUMNS[outcome]}


def auc_of(people: Cohort, risk: np.ndarray, rows: np.ndarray) -> float:
    """AUC of any leak, or of any refracture by 12 months, among some rows."""
    target = people.target.take(rows)
    if isinstance(target, Leakage):
        return metrics.auc(risk[rows], target.leaked).value
    return metrics.auc_at(risk[rows], any_code(target), target.days, HORIZON_DAYS[12]).value


def both(people: Cohort, risk: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """AUC within folds, averaged, and of all folds pooled."""
    within = [auc_of(people, risk, fold == k) for k in range(FOLDS)]
    return float(np.mean(within)), auc_of(people, risk, np.ones(len(fold), dtype=bool))


def one_permutation(outcome: Outcome, learner: Learner, seed: int, patients: int) -> dict[str, Any]:
    """One row: the whole pipeline on shuffled outcomes."""
    registry = simulate(patients, seed)
    people = cohort(permuted(registry.columns, registry.patient, outcome, seed), outcome)
    fold = folds_of(people, seed)
    settings = Settings(seed=seed, refits=0)
    found = out_of_fold(fold, [predict_fold(people, learner, settings, fold, k) for k in range(FOLDS)])
    within, pooled = both(people, judged_risk(found.risk), fold)
    return {"outcome": outcome, "learner": learner, "seed": seed, "within": within, "pooled": pooled}


def one_artefact(vertebrae: int, evenly: bool, seed: int) -> dict[str, Any]:
    """A heavily shrunk logistic model of shuffled leaks of so many vertebrae, folds dealt evenly by outcome or not."""
    registry = simulate(vertebrae, seed)
    people = cohort(permuted(registry.columns, registry.patient, "leakage", seed), "leakage")
    rows = np.arange(vertebrae)
    matrix, target = people.matrix.take(rows), people.target.take(rows)
    people = Cohort("leakage", matrix, target, {}, "synthetic")
    event = target.leaked == 1 if evenly else np.zeros(vertebrae, dtype=bool)
    fold = folds_by_patient(target.patient, event, FOLDS, seed)
    risk = np.empty(vertebrae)
    for k in range(FOLDS):
        design = fit_design("leakage", matrix.values[fold != k])
        beta = fit_logistic(design.transform(matrix.values[fold != k]), target.leaked[fold != k], HEAVY)
        risk[fold == k] = 1 / (1 + np.exp(-(beta[0] + design.transform(matrix.values[fold == k]) @ beta[1:])))
    within, pooled = both(people, risk, fold)
    dealt = "evenly by outcome" if evenly else "at random"
    return {"vertebrae": vertebrae, "folds": dealt, "seed": seed, "within": within, "pooled": pooled}


def mean_and_error(rows: list[dict], name: str) -> str:
    """Mean over permutations and its standard error."""
    values = np.array([row[name] for row in rows])
    return f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def table(rows: list[dict], keys: tuple[str, str]) -> str:
    """Markdown: one line for each combination of the keys."""
    lines = [f"| {keys[0]} | {keys[1]} | permutations | AUC within folds | AUC pooled |", "|" + "---|" * 5]
    for pair in dict.fromkeys((row[keys[0]], row[keys[1]]) for row in rows):
        mine = [row for row in rows if (row[keys[0]], row[keys[1]]) == pair]
        cells = " | ".join(mean_and_error(mine, name) for name in ("within", "pooled"))
        lines.append(f"| {pair[0]} | {pair[1]} | {len(mine)} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--learners", nargs="+", default=["logistic", "cox"])
    parser.add_argument("--vertebrae", type=int, nargs="+", default=[200, 385, 1000])
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    seeds = range(1, arguments.permutations + 1)
    pipeline = [
        (one_permutation, (outcome, learner, seed, arguments.patients))
        for outcome in LEARNERS
        if outcome in OUTCOME_COLUMNS
        for learner in LEARNERS[outcome]
        if learner in arguments.learners
        for seed in seeds
    ]
    artefact = [(one_artefact, (n, evenly, s)) for n in arguments.vertebrae for evenly in (False, True) for s in seeds]
    tasks = [*pipeline, *artefact]
    found: dict[int, dict] = {}
    bar = Bar()
    for place, row in run(tasks, workers=arguments.workers):
        found[place] = row
        bar("permutations", len(found), len(tasks))
    whole = [found[place] for place in range(len(pipeline))]
    shrunk = [found[place] for place in range(len(pipeline), len(tasks))]
    text = (
        f"# Permuted outcomes\n\n`python benchmarks/permutation.py`: {arguments.patients} patients; mean ± standard "
        f"error. The whole pipeline, folds dealt evenly by outcome:\n\n{table(whole, ('outcome', 'learner'))}\n\n"
        "The artefact: a logistic model under a ridge penalty of 10⁶, which knows the rate of its training folds and "
        f"nothing else:\n\n{table(shrunk, ('vertebrae', 'folds'))}\n"
    )
    print(text)
    if not arguments.no_save:
        (RESULTS / "permutation.md").write_text(text)
        (RESULTS / "permutation.json").write_text(json.dumps({"pipeline": whole, "artefact": shrunk}, indent=1) + "\n")


if __name__ == "__main__":
    main()
