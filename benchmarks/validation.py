"""How long `cemrisk train --bootstrap 200` takes for every learner of leakage and refracture on 2,000 patients.

Nothing is left out of the resamples: knots, the unknown, tuning over all penalties (linear) or depths 1 to 3 and up to
200 rounds (boosted), recalibration, routes. Without `--full` a few resamples of each learner are timed in CPU seconds
and multiplied: what 2 idle cores would need, told even by a machine that others use.

    python benchmarks/validation.py            # a few resamples of each
    python benchmarks/validation.py --full     # all of them, by the clock, with progress
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from features.build import Outcome
from models import Settings
from models.interface import Learner
from training.cohort import Cohort, cohort
from training.progress import Bar
from training.simulate import simulate
from training.validate import LEARNERS, validate
from training.validate.bootstrap import resample, resamples_of

RESULTS = Path(__file__).parent / "results"
OUTCOMES: tuple[Outcome, ...] = ("leakage", "refracture")
CORES = 2
#: Resamples that are timed of each learner.
TIMED: dict[Learner, int] = {"logistic": 6, "cox": 6, "boosted": 2}


def seconds_of(people: Cohort, learner: Learner) -> float:
    """CPU seconds of one resample: the whole building, and its judgement on itself and on the cohort."""
    settings = Settings(seed=1, refits=0)
    resample(people, learner, settings, [0])  # loads what is imported on first use
    start = time.process_time()
    resample(people, learner, settings, range(1, 1 + TIMED[learner]))
    return (time.process_time() - start) / TIMED[learner]


def estimated(people: dict[Outcome, Cohort], asked: int) -> str:
    """Markdown: CPU seconds of a resample, times their number, for each learner; and together."""
    lines = ["| outcome | learner | CPU seconds a resample | resamples | CPU minutes |", "|" + "---|" * 5]
    total = 0.0
    for outcome, found in people.items():
        for learner in LEARNERS[outcome]:
            each, number = seconds_of(found, learner), resamples_of(learner, asked)
            total += each * number / 60
            lines.append(f"| {outcome} | {learner} | {each:.2f} | {number} | {each * number / 60:.1f} |")
    lines.append(f"| together | | | | {total:.1f}, on {CORES} idle cores {total / CORES:.1f} minutes |")
    lines += [
        "",
        "Not in it: the fits of the whole cohort with their refits, of folds, splits and centres (`--full` has them).",
    ]
    return "\n".join(lines)


def by_the_clock(people: dict[Outcome, Cohort], asked: int) -> str:
    """One line: minutes of the whole validation, with the fits of the whole cohort, folds, splits and centres."""
    bar, start = Bar(), time.perf_counter()
    for outcome, found in people.items():
        validate(
            found,
            LEARNERS[outcome],
            1,
            progress=lambda done, total, name=outcome: bar(f"validating {name}", done, total),
            resamples=asked,
        )
    return f"The whole validation: {(time.perf_counter() - start) / 60:.1f} minutes on {os.cpu_count()} cores."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--full", action="store_true", help="do it all and look at the clock")
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    columns = simulate(arguments.patients, 1).columns
    people = {outcome: cohort(columns, outcome) for outcome in OUTCOMES}
    found = (by_the_clock if arguments.full else estimated)(people, arguments.resamples)
    text = f"# Time of a bootstrap validation\n\n`python benchmarks/validation.py`: {arguments.patients} patients, "
    text += f"`--bootstrap {arguments.resamples}`.\n\n{found}\n"
    print(text)
    if not arguments.no_save:
        (RESULTS / f"validation{'_full' if arguments.full else ''}.md").write_text(text)


if __name__ == "__main__":
    main()
