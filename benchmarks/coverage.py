"""How often the 95 % interval of a patient's risk holds the true risk, over simulated registries.

Each registry trains a model, gaps and all, as `cemrisk train` would; the same fresh patients are then asked about with
nothing unknown. What is counted is the share of patients whose interval holds their true risk (any leak by CT; any
refracture by 3, 12 and 24 months), averaged over registries, with the standard error of that mean over registries.

    python benchmarks/coverage.py --save                                     # all learners, an hour on one core
    python benchmarks/coverage.py --registries 10 --learners logistic cox    # a first look, without saving

With ``--save`` each fit is kept as it comes, and a run that was interrupted goes on where it stopped: remove the file
of rows to begin anew.
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
STORED = RESULTS / "coverage.jsonl"
FRESH_SEED = 900_000
FRESH = 2_000
#: The boosted learner takes a minute for each registry.
BOOSTED_REGISTRIES = 10

Row = dict[str, float | int | str]


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
    parser.add_argument(
        "--save", action="store_true", help=f"keep rows in {RESULTS.name}/coverage.jsonl, write the table"
    )
    chosen = parser.parse_args()
    rows = earlier() if chosen.save else []
    known = {(row["outcome"], row["learner"], row["seed"]) for row in rows}
    jobs = [
        (outcome, learner, 20_000 + seed, chosen.patients)
        for seed in range(chosen.registries)
        for outcome in chosen.outcomes
        for learner in chosen.learners
        if learner in LEARNERS[outcome] and (learner != "boosted" or seed < BOOSTED_REGISTRIES)
    ]
    jobs = [job for job in jobs if job[:3] not in known]
    started = time.perf_counter()
    for done, (_, found) in enumerate(run([(one_registry, job) for job in jobs], workers=chosen.workers), start=1):
        rows += found
        if chosen.save:
            with STORED.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
        print(f"{done}/{len(jobs)} fits, {time.perf_counter() - started:.0f} s", end="\r", flush=True)
    rows.sort(key=lambda r: (r["outcome"], r["learner"] == "boosted", r["learner"], r["question"], r["seed"]))
    head = f"{chosen.patients} patients in each registry, {FRESH} asked about (seed {FRESH_SEED})"
    text = "\n".join([head, "", *table(rows)])
    print("\n" + text)
    if chosen.save:
        title = "# Coverage of the 95 % intervals of a patient's risk"
        (RESULTS / "coverage.md").write_text(f"{title}\n\n`python benchmarks/coverage.py --save`: {text}\n")


def earlier() -> list[Row]:
    """Rows that an interrupted run has kept."""
    return [json.loads(line) for line in STORED.read_text().splitlines()] if STORED.is_file() else []


if __name__ == "__main__":
    main()
