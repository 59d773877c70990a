"""The tests of a group comparison, as clinical papers use them; each says which one it was.

Every function takes the known values alone and treats them as independent, as the papers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]

#: A chi-square test needs this many expected in every cell; below it is Fisher's.
LEAST_EXPECTED = 5.0
#: Tables simulated where Fisher's test has more than two rows or columns; the seed is fixed.
SIMULATED_TABLES = 20_000
#: Beyond this skewness in a group of at least ``LEAST_FOR_SKEWNESS`` a mean misleads, and the median is given.
SKEWED = 1.0
LEAST_FOR_SKEWNESS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """``test``: its name, or why there is none; ``statistic`` and ``p``: NaN where there is none."""

    test: str
    statistic: float = np.nan
    p: float = np.nan


def compare_means(groups: Sequence[Floats], equal_variances: bool = False) -> Comparison:
    """Two groups: Welch's t test, or Student's if variances are taken as equal. More: one-way analysis of variance."""
    reason = _untestable(groups)
    if reason:
        return Comparison(reason)
    if len(groups) == 2:
        moments = [value for group in groups for value in (group.mean(), group.std(ddof=1), len(group))]
        found = stats.ttest_ind_from_stats(*moments, equal_var=equal_variances)
        return Comparison("Student t" if equal_variances else "Welch t", float(found.statistic), float(found.pvalue))
    found = stats.f_oneway(*groups)
    return Comparison("ANOVA", float(found.statistic), float(found.pvalue))


def compare_ranks(groups: Sequence[Floats]) -> Comparison:
    """Two groups: Mann-Whitney U (normal approximation, corrected for ties and continuity). More: Kruskal-Wallis."""
    if sum(len(group) > 0 for group in groups) < 2:
        return Comparison("one group only")
    if len(np.unique(np.concatenate(groups))) < 2:
        return Comparison("all equal")
    kept = [group for group in groups if len(group)]
    if len(kept) == 2:
        found = stats.mannwhitneyu(*kept, alternative="two-sided", method="asymptotic")
        return Comparison("Mann-Whitney", float(found.statistic), float(found.pvalue))
    found = stats.kruskal(*kept)
    return Comparison("Kruskal-Wallis", float(found.statistic), float(found.pvalue))


def compare_counts(table: Counts) -> Comparison:
    """Counts (groups, levels): Pearson's chi-square without Yates' correction, or Fisher's test if one is expected
    below 5: exact for two by two, else from simulated tables with the same margins.
    """
    table = table[table.sum(axis=1) > 0][:, table[table.sum(axis=1) > 0].sum(axis=0) > 0]
    if table.shape[0] < 2:
        return Comparison("one group only")
    if table.shape[1] < 2:
        return Comparison("all equal")
    expected = stats.contingency.expected_freq(table)
    if expected.min() >= LEAST_EXPECTED:
        found = stats.chi2_contingency(table, correction=False)
        return Comparison("chi-square", float(found.statistic), float(found.pvalue))
    if table.shape == (2, 2):
        return Comparison("Fisher", p=float(stats.fisher_exact(table).pvalue))
    method = stats.MonteCarloMethod(n_resamples=SIMULATED_TABLES, rng=np.random.default_rng(0))
    return Comparison("Fisher, simulated", p=float(stats.fisher_exact(table, method=method).pvalue))


def is_skewed(groups: Sequence[Floats]) -> bool:
    """Whether a group that is large enough to tell has a skewness beyond ``SKEWED``."""
    return any(
        len(group) >= LEAST_FOR_SKEWNESS and _varies(group) and abs(float(stats.skew(group, bias=False))) > SKEWED
        for group in groups
    )


def _untestable(groups: Sequence[Floats]) -> str:
    if len(groups) < 2 or any(len(group) < 2 for group in groups):
        return "fewer than 2 known in a group"
    return "" if any(_varies(group) for group in groups) else "no spread"


def _varies(group: Floats) -> bool:
    """Whether values differ by more than rounding does."""
    return bool(np.ptp(group) > 1e-12 * np.abs(group).max())
