"""Inputs of the golden values that are ours to ship: simulated patients with a predicted risk that is a little wrong.

    python benchmarks/r/synthetic_inputs.py tests/golden/metrics

writes binary.csv (risk, y), single.csv and competing.csv (code, days, risk_<horizon>). Horizons end in .5, so that
nobody is censored on the very day.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

HORIZONS_DAYS = (91.5, 365.5)


def survival(rows: int, competing: bool, seed: int) -> list[list[str]]:
    """Whole days with ties, a third lost early, and risks that are too extreme, rounded so that some are equal."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    event = 0.6 * np.exp(0.8 * x) / 365
    other = 0.35 * np.exp(0.3 * x) / 365 if competing else np.zeros(rows)
    days = rng.exponential(1 / (event + other))
    code = 1 + (rng.random(rows) < other / (event + other))
    stop = rng.uniform(60, 1100, rows)
    code, days = np.where(days <= stop, code, 0), np.ceil(np.minimum(days, stop))
    said = 0.5 * np.exp(1.1 * x + rng.normal(0, 0.2, rows)) / 365
    risks = [said / (said + other) * -np.expm1(-(said + other) * h) for h in HORIZONS_DAYS]
    header = ["code", "days", *(f"risk_{h}" for h in HORIZONS_DAYS)]
    return [
        header,
        *([f"{c}", f"{d:.0f}", *(f"{r:.4f}" for r in p)] for c, d, *p in zip(code, days, *risks, strict=True)),
    ]


def binary(rows: int, seed: int) -> list[list[str]]:
    """A binary outcome with a third of events."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.9, 1.0, rows)
    y = rng.random(rows) < 1 / (1 + np.exp(-x))
    risk = 1 / (1 + np.exp(-(1.3 * x + rng.normal(0.1, 0.4, rows))))
    return [["risk", "y"], *([f"{r:.4f}", f"{o:d}"] for r, o in zip(risk, y, strict=True))]


def main(folder: Path) -> None:
    """Writes the three files into ``folder``."""
    tables = {"binary": binary(500, 11), "single": survival(400, False, 12), "competing": survival(500, True, 13)}
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
