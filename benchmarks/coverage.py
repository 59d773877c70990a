"""How often the 95 % interval of a patient's risk holds the true risk, over simulated registries.

Each registry trains a model, gaps and all, as `cemrisk train` would; the same fresh patients are then asked about with
nothing unknown. What is counted is the share of patients whose interval holds their true risk (any leak by CT; any
refracture by 3, 12 and 24 months), averaged over registries, with the standard error of that mean over registries.

    python benchmarks/coverage.py --save                                     # all learners, an hour on one core
    python benchmarks/coverage.py --registries 10 --learners logistic cox    # a first look, without saving

What is saved replaces the rows of the same outcomes and learners and keeps the others.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from features.build import Matrix, Outcome, build
from features.outcome import HORIZON_DAYS
from models import Settings
from models.boosted import BOOSTED_REFITS
from models.interface import Learner
from training.cohort import cohort
from training.engine import run
from training.simulate import simulate
from training.validate import CLASSES, LEARNERS

RESULTS = Path(__file__).parent / "results"
FRESH_SEED = 900_000
FRESH = 2_000
#: The boosted learner takes a minute for each registry.
BOOSTED_REGISTRIES = 10

Row = dict[str, float | int | str]
Job = tuple[Outcome, Learner, int, int]


@cache
def asked(outcome: Outcome) -> tuple[Matrix, dict[str, np.ndarray]]:
    """The patients asked about, nothing unknown, and their true risks by name of the question."""
    fresh = simulate(FRESH, FRESH_SEED)
    matrix = build(fresh.complete, outcome, detection="CT" if outcome == "leakage" else None, patient=fresh.patient)
    if outcome == "leakage":
        return matrix, {"any leak": fresh.truth["leak_any_ct"]}
    return matrix, {f"by {m} months": fresh.truth[f"refracture_any_m{m}"][fresh.first_rows] for m in HORIZON_DAYS}


def one_registry(outcome: Outcome, learner: Learner, seed: int, patients: int) -> list[Row]:
    """Coverage among the patients asked about, by question."""
    people = cohort(simulate(patients, seed).columns, outcome)
    settings = Settings(seed=seed, refits=BOOSTED_REFITS if learner == "boosted" else Settings().refits)
    model = CLASSES[learner](settings).fit(people.matrix, people.target)
    matrix, truths = asked(outcome)
    margins = model.margins(matrix)
    days = [None] if outcome == "leakage" else list(HORIZON_DAYS.values())
    rows: list[Row] = []
    for (question, truth), horizon in zip(truths.items(), days, strict=True):
        low, high = model.interval_of(margins, horizon).T
        rows.append(
            {
                "outcome": outcome,
                "learner": learner,
                "question": question,
                "seed": seed,
                "covered": float(((low <= truth) & (truth <= high)).mean()),
                "too_low": float((high < truth).mean()),
                "too_high": float((truth < low).mean()),
                "width": float((high - low).mean()),
            }
        )
    return rows


def table(rows: list[Row]) -> Iterator[str]:
    """Markdown: means over registries."""
    yield "| outcome | learner | question | registries | covered | SE | truth above | truth below | mean width |"
    yield "|" + " --- |" * 9
    for key in dict.fromkeys((r["outcome"], r["learner"], r["question"]) for r in rows):
        mine = [r for r in rows if (r["outcome"], r["learner"], r["question"]) == key]
        means = [np.mean([r[name] for r in mine]) for name in ("covered", "too_low", "too_high", "width")]
        error = np.std([r["covered"] for r in mine], ddof=1) / np.sqrt(len(mine)) if len(mine) > 1 else np.nan
        cells = f"{means[0]:.3f} | {error:.3f} | {means[1]:.3f} | {means[2]:.3f} | {means[3]:.3f}"
        yield f"| {' | '.join(map(str, key))} | {len(mine)} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registries", type=int, default=200)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--learners", nargs="+", default=["logistic", "cox", "boosted"])
    parser.add_argument("--outcomes", nargs="+", default=["leakage", "refracture"])
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}/coverage.md and .json")
    chosen = parser.parse_args()
    jobs = [
        (outcome, learner, 20_000 + seed, chosen.patients)
        for seed in range(chosen.registries)
        for outcome in chosen.outcomes
        for learner in chosen.learners
        if learner in LEARNERS[outcome] and (learner != "boosted" or seed < BOOSTED_REGISTRIES)
    ]
    rows: list[Row] = []
    started = time.perf_counter()
    for done, (_, found) in enumerate(run([(one_registry, job) for job in jobs], workers=chosen.workers), start=1):
        rows += found
        print(f"{done}/{len(jobs)} fits, {time.perf_counter() - started:.0f} s", end="\r", flush=True)
    print(f"\n{len(jobs)} fits took {time.perf_counter() - started:.0f} s")
    if chosen.save:
        rows = saved(jobs) + rows
    head = f"{chosen.patients} patients in each registry, {FRESH} asked about (seed {FRESH_SEED})"
    text = "\n".join([head, "", *table(sorted(rows, key=lambda r: (r["outcome"], r["learner"] == "boosted")))])
    print(text)
    if chosen.save:
        title = "# Coverage of the 95 % intervals of a patient's risk"
        (RESULTS / "coverage.md").write_text(f"{title}\n\n`python benchmarks/coverage.py --save`: {text}\n")
        (RESULTS / "coverage.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def saved(jobs: list[Job]) -> list[Row]:
    """Rows of an earlier run, without those of the outcomes and learners that were run again."""
    again = {job[:2] for job in jobs}
    path = RESULTS / "coverage.json"
    earlier = json.loads(path.read_text()) if path.is_file() else []
    return [row for row in earlier if (row["outcome"], row["learner"]) not in again]


if __name__ == "__main__":
    main()
