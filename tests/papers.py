"""The printed tables of five clinical papers, data that match them exactly, and which printed P values follow.

The numbers are kept as printed, so that a rounded number stands for the interval that rounds to it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FOLDER = Path(__file__).parent / "golden" / "papers"
NAMES = ("feng_2022", "zhang_2022", "bmc_2022", "huang_2022", "chen_2025")

Floats = NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One printed P value: ``recomputed`` from the printed numbers by the test that comes closest, named ``test``;
    ``low`` and ``high`` bound what any of the usual tests gives for numbers that round to the printed ones.
    """

    paper: str
    row: Row
    printed: str
    recomputed: float
    test: str
    low: float
    high: float

    @property
    def follows(self) -> bool:
        """Whether some numbers that round to the printed ones give a P value that rounds to the printed one."""
        low, high = p_bounds(self.printed)
        return self.low <= high and low <= self.high

    @property
    def name(self) -> str:
        """Variable and time, as the golden file has them."""
        return " ".join(part for part in (self.row["variable"], self.row["time"]) if part)


@cache
def paper(name: str) -> dict[str, Any]:
    """The golden file of a paper."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def row(name: str, variable: str, time: str = "") -> Row:
    """The printed row of a variable."""
    return next(r for r in paper(name)["rows"] if r["variable"] == variable and r["time"] == time)


def size(name: str, group: str, unit: str) -> int:
    """How many patients or vertebrae a group has."""
    return int(paper(name)["groups"][group][f"n_{unit}"])


def matched(mean: float, sd: float, n: int) -> Floats:
    """``n`` values with exactly this mean and standard deviation: normal quantiles, moved and stretched."""
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    scores = (scores - scores.mean()) / scores.std(ddof=1)
    return np.asarray(mean + sd * scores)


def half_digit(printed: str) -> float:
    """Half a unit of the last digit printed."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def p_bounds(printed: str) -> tuple[float, float]:
    """What a printed P value stands for. A bare 1 is read as 1.00."""
    if printed.startswith("<"):
        return 0.0, float(printed[1:])
    half = min(half_digit(printed), 0.005)
    return float(printed) - half, float(printed) + half


@cache
def verdicts(name: str) -> tuple[Verdict, ...]:
    """Every printed P value of a paper that a test of the printed numbers could give."""
    found = []
    for printed in paper(name)["rows"]:
        if printed["p"] is not None:
            found.append(_of_means(name, printed) if "means" in printed else _of_counts(name, printed))
    return tuple(found)


def _of_means(name: str, printed: Row) -> Verdict:
    """Student and Welch (or analysis of variance), for patients and, where the paper counts them too, vertebrae."""
    groups = list(printed["means"])
    units = [u for u in ("patients", "vertebrae") if f"n_{u}" in paper(name)["groups"][groups[0]]]
    found: dict[str, tuple[float, float, float]] = {}
    for unit in units:
        n = [size(name, group, unit) for group in groups]
        for test in ("Student", "Welch") if len(groups) == 2 else ("ANOVA",):
            label = f"{test}, {unit}" if len(units) > 1 else test
            found[label] = _bounded([printed["means"][group] for group in groups], n, test)
    return _closest(name, printed, found)


def _bounded(groups: list[Mapping[str, str]], n: list[int], test: str) -> tuple[float, float, float]:
    """P of the printed numbers, and the smallest and largest P of numbers that round to them."""
    means = [(float(g["mean"]), half_digit(g["mean"])) for g in groups]
    sds = [(float(g["sd"]), half_digit(g["sd"])) for g in groups]
    exact = p_of_moments([m for m, _ in means], [s for s, _ in sds], n, test)
    ends = [exact]
    for signs in itertools.product((-1, 0, 1), repeat=len(groups)):
        moved = [m + sign * half for (m, half), sign in zip(means, signs, strict=True)]
        for widen in itertools.product((-1, 1), repeat=len(groups)):
            spread = [max(s + sign * half, 1e-9) for (s, half), sign in zip(sds, widen, strict=True)]
            ends.append(p_of_moments(moved, spread, n, test))
    rounded_apart = max(m for m, _ in means) - min(m for m, _ in means) <= 2 * max(half for _, half in means)
    return exact, min(ends), 1.0 if rounded_apart else max(ends)


def p_of_moments(means: list[float], sds: list[float], n: list[int], test: str) -> float:
    """P of a t test or of an analysis of variance from means and standard deviations."""
    if test != "ANOVA":
        both = ((means[0], sds[0], n[0]), (means[1], sds[1], n[1]))
        return float(stats.ttest_ind_from_stats(*both[0], *both[1], equal_var=test == "Student").pvalue)
    size_of, centre = np.array(n), np.array(means)
    between = (size_of * (centre - np.average(centre, weights=size_of)) ** 2).sum() / (len(n) - 1)
    within = ((size_of - 1) * np.array(sds) ** 2).sum() / (size_of.sum() - len(n))
    return float(stats.f.sf(between / within, len(n) - 1, size_of.sum() - len(n)))


def _of_counts(name: str, printed: Row) -> Verdict:
    """Pearson with and without correction and Fisher; for ordered grades Mann-Whitney."""
    table = np.array([[int(n) for n in counts] for counts in printed["counts"].values()])
    kept = table[:, table.sum(axis=0) > 0]
    if kept.shape[1] < 2:
        return Verdict(name, printed, printed["p"], np.nan, "no test: all equal", np.nan, np.nan)
    if printed["variable"] == "distribution_grade":  # the paper prints a U
        ranks = [np.repeat(np.arange(len(counts)), counts) for counts in table]
        return _closest(name, printed, {"Mann-Whitney": (stats.mannwhitneyu(*ranks, method="asymptotic").pvalue,) * 3})
    found = {"chi-square": (stats.chi2_contingency(kept, correction=False).pvalue,) * 3}
    if kept.shape == (2, 2):
        found["chi-square, corrected"] = (stats.chi2_contingency(kept).pvalue,) * 3
        found["Fisher"] = (stats.fisher_exact(kept).pvalue,) * 3
    else:
        method = stats.MonteCarloMethod(n_resamples=20_000, rng=np.random.default_rng(1))
        p = float(stats.fisher_exact(kept, method=method).pvalue)
        error = 3 * float(np.sqrt(p * (1 - p) / 20_000))
        found["Fisher, simulated"] = (p, p - error, p + error)
    return _closest(name, printed, found)


def _closest(name: str, printed: Row, found: Mapping[str, tuple[float, float, float]]) -> Verdict:
    """The verdict by the test that is kindest to the printed value."""
    low, high = p_bounds(printed["p"])

    def distance(test: str) -> float:
        _, least, most = found[test]
        return max(least - high, low - most, 0.0)

    best = min(found, key=lambda test: (distance(test), list(found).index(test)))
    return Verdict(name, printed, printed["p"], float(found[best][0]), best, *map(float, found[best][1:]))


def listed() -> list[str]:
    """The lines of the table of documents: every printed P value that does not follow."""
    found = [verdict for name in NAMES for verdict in verdicts(name) if not verdict.follows]
    return [_listed(verdict) for verdict in found]


def _listed(verdict: Verdict) -> str:
    where = re.split(r" \(|, doi", paper(verdict.paper)["citation"])[0]
    numbers = verdict.row.get("means") or verdict.row["counts"]
    shown = " v ".join(
        f"{one['mean']} ± {one['sd']}" if "means" in verdict.row else "/".join(one) for one in numbers.values()
    )
    p = f"{verdict.recomputed:.3f}" if verdict.recomputed >= 0.01 else f"{verdict.recomputed:.2g}"
    found = verdict.test if np.isnan(verdict.recomputed) else f"{p} ({verdict.test})"
    variable = verdict.name.replace("_", " ")
    return f"| {where}, {verdict.row['table']} | {variable} | {shown} | {verdict.printed} | {found} |"
