"""Bootstrap validation of a plain Cox refit against R's rms::validate: the same work, the same data, the same run.

2,000 simulated patients, 14 predictors of refracture (unknown values at their mean, a fixed design), B = 200. Both
refit on each resample and judge on the resample and on all patients: Dxy, R2, slope, D, U, Q, g (Harrell 2015, 5.3).

    python benchmarks/bootstrap.py            # needs Rscript with rms and jsonlite
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from models.newton import RiskSets, cox_loss, fit_cox
from training.cohort import cohort
from training.metrics.pairs import comparable, concordant
from training.simulate import simulate

HERE = Path(__file__).parent
PREDICTORS = 14
INDICES = ("Dxy", "R2", "Slope", "D", "U", "Q", "g")


def data(patients: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised predictors (n, 14), days, and whether follow-up ended in any refracture."""
    people = cohort(simulate(patients, seed).columns, "refracture")
    values = people.matrix.values[:, :PREDICTORS]
    values = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    event = (people.target.event_code > 0) & (people.target.event_code < 4)
    return (values - values.mean(axis=0)) / values.std(axis=0), people.target.days, event


def validate_cox(z: np.ndarray, days: np.ndarray, event: np.ndarray, resamples: int, seed: int) -> dict[str, dict]:
    """``index.orig``, ``training``, ``test``, ``optimism`` and ``index.corrected`` of each index, as rms names them."""
    whole = Judge(days, event)
    beta = fit_cox(z, whole.sets)
    apparent = whole.fitted(z @ beta)
    rng = np.random.default_rng(seed)
    training, test = [], []
    for _ in range(resamples):
        rows = rng.integers(0, len(z), len(z))
        drawn, inside = Judge(days[rows], event[rows]), z[rows]
        again = fit_cox(inside, drawn.sets, start=beta)
        training.append(drawn.fitted(inside @ again))
        test.append(whole.foreign(z @ again))
    train, other = np.mean(training, axis=0), np.mean(test, axis=0)
    columns = (apparent, train, other, train - other, apparent - (train - other))
    names = ("index.orig", "training", "test", "optimism", "index.corrected")
    return {
        index: {name: float(column[place]) for name, column in zip(names, columns, strict=True)}
        for place, index in enumerate(INDICES)
    }


class Judge:
    """The indices of a linear predictor on one set of patients; their order in time is made once."""

    def __init__(self, days: np.ndarray, event: np.ndarray) -> None:
        self.sets = RiskSets.of(days, event)
        self.null = 2 * cox_loss(np.zeros(len(days)), self.sets)
        _, position = np.unique(days, return_inverse=True)
        self.order, self.first = 2 * position + ~event, event.astype(float)
        self.pairs = float(self.first @ comparable(self.order, self.first, np.ones(len(days))).for_first)

    def fitted(self, eta: np.ndarray) -> np.ndarray:
        """Of the patients that the model was fitted to: slope 1, no unreliability but that of chance."""
        loss = 2 * cox_loss(eta, self.sets)
        return self._indices(eta, 1.0, loss, -2 / self.null)

    def foreign(self, eta: np.ndarray) -> np.ndarray:
        """Of others: the slope that would be right, and what using 1 instead costs."""
        slope = float(fit_cox(eta[:, None], self.sets, start=np.ones(1))[0])
        loss = 2 * cox_loss(slope * eta, self.sets)
        return self._indices(eta, slope, loss, (2 * cox_loss(eta, self.sets) - loss) / self.null)

    def _indices(self, eta: np.ndarray, slope: float, loss: float, unreliability: float) -> np.ndarray:
        n, ratio = len(eta), self.null - loss
        r2 = (1 - np.exp(-ratio / n)) / (1 - np.exp(-self.null / n))
        d = (ratio - 1) / self.null
        won = concordant(eta, self.order, self.first, np.ones(n)).for_first
        dxy = 2 * float(self.first @ won) / self.pairs - 1
        return np.array([dxy, r2, slope, d, unreliability, d - unreliability, gini(slope * eta)])


def gini(x: np.ndarray) -> float:
    """Gini's mean difference of a sample."""
    n = len(x)
    return float(2 * (2 * np.arange(1, n + 1) - n - 1) @ np.sort(x) / (n * (n - 1)))


def by_r(z: np.ndarray, days: np.ndarray, event: np.ndarray, resamples: int) -> dict:
    """What rms says, and how long it took without reading the data."""
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = Path(folder) / "in.csv", Path(folder) / "out.json"
        with inside.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*(f"x{k}" for k in range(z.shape[1])), "days", "event"])
            writer.writerows(np.column_stack([z, days, event]).tolist())
        script = HERE / "r" / "validate.R"
        subprocess.run(["Rscript", script, "cox", inside, outside, str(resamples)], check=True)
        return json.loads(outside.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    z, days, event = data(arguments.patients)
    theirs = by_r(z, days, event, arguments.resamples)
    cpu, elapsed = time.process_time(), time.perf_counter()
    ours = validate_cox(z, days, event, arguments.resamples, 1)
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - elapsed
    text = report(arguments, ours, theirs, cpu, elapsed, int(event.sum()))
    print(text)
    if not arguments.no_save:
        (HERE / "results" / "bootstrap.md").write_text(text)


def report(arguments: argparse.Namespace, ours: dict, theirs: dict, cpu: float, elapsed: float, events: int) -> str:
    """Markdown: seconds and their ratio, then the indices side by side (other draws, so near and not equal)."""
    versions = theirs["versions"]
    lines = [
        "# Bootstrap validation of a plain Cox refit",
        "",
        f"`python benchmarks/bootstrap.py`: {arguments.patients} patients, {events} refractures, {PREDICTORS} "
        f"predictors, B = {arguments.resamples}; R {versions['R']}, rms {versions['rms']}; one core each, in "
        "turn.",
        "",
        "| | CPU seconds | elapsed seconds |",
        "|---|---|---|",
        f"| rms::validate | {theirs['cpu_seconds']:.2f} | {theirs['elapsed_seconds']:.2f} |",
        f"| cemrisk | {cpu:.2f} | {elapsed:.2f} |",
        f"| ratio | {cpu / theirs['cpu_seconds']:.2f} | {elapsed / theirs['elapsed_seconds']:.2f} |",
        "",
        "| index | apparent, rms | apparent, cemrisk | optimism, rms | optimism, cemrisk |",
        "|---|---|---|---|---|",
    ]
    for index in INDICES:
        mine, other = ours[index], theirs["indices"][index]
        numbers = [side[name] for name in ("index.orig", "optimism") for side in (other, mine)]
        lines.append(f"| {index} | {' | '.join(f'{number:.4f}' for number in numbers)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
