"""The tests of group comparisons against their definitions, and against chance: under no difference P is uniform."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from scipy import stats

from training.group_tests import compare_counts, compare_means, compare_ranks, is_skewed

RNG = np.random.default_rng(8)


def test_welch_and_student_are_their_formulas() -> None:
    a, b = RNG.normal(0, 1, 9), RNG.normal(1, 3, 14)
    standard_error = np.sqrt(a.var(ddof=1) / 9 + b.var(ddof=1) / 14)
    freedom = standard_error**4 / ((a.var(ddof=1) / 9) ** 2 / 8 + (b.var(ddof=1) / 14) ** 2 / 13)
    t = (a.mean() - b.mean()) / standard_error
    assert compare_means([a, b]).p == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    pooled = np.sqrt(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / np.sqrt(21)
    t = (a.mean() - b.mean()) / (pooled * np.sqrt(1 / 9 + 1 / 14))
    assert compare_means([a, b], equal_variances=True).p == pytest.approx(2 * stats.t.sf(abs(t), 21))


def test_analysis_of_variance_of_two_groups_is_student() -> None:
    a, b, c = RNG.normal(0, 1, (3, 12))
    three = compare_means([a, b, np.concatenate([c])])
    assert three.test == "ANOVA"
    assert stats.f_oneway(a, b).pvalue == pytest.approx(compare_means([a, b], equal_variances=True).p)


def test_chi_square_is_the_sum_over_cells() -> None:
    table = np.array([[12, 30, 8], [20, 15, 15]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    found = compare_counts(table)
    assert (found.test, found.p) == ("chi-square", pytest.approx(stats.chi2.sf(statistic, 2)))


def test_fisher_sums_the_tables_that_are_no_likelier() -> None:
    table = np.array([[2, 9], [7, 2]])
    found = compare_counts(table)

    def chance(first: int) -> float:
        return comb(11, first) * comb(9, 9 - first) / comb(20, 9)

    as_unlikely = [chance(k) for k in range(10) if chance(k) <= chance(2) * (1 + 1e-9)]
    assert found.test == "Fisher"
    assert found.p == pytest.approx(sum(as_unlikely))


def test_the_simulated_fisher_test_is_the_exact_one_up_to_its_error() -> None:
    table = np.array([[4, 1, 0], [1, 3, 2]])
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    chances = {}
    for first in itertools.product(*(range(c + 1) for c in columns)):
        if sum(first) == rows[0]:
            ways = np.prod([comb(int(c), int(f)) for c, f in zip(columns, first, strict=True)])
            chances[first] = ways / comb(int(table.sum()), int(rows[0]))
    here = chances[tuple(int(n) for n in table[0])]
    exact = sum(c for c in chances.values() if c <= here * (1 + 1e-9))
    found = compare_counts(table)
    assert found.test == "Fisher, simulated"
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert compare_counts(table).p == found.p


def test_mann_whitney_agrees_with_all_permutations() -> None:
    a, b = np.array([1.0, 4, 6, 9, 12]), np.array([5.0, 10, 13, 15, 20, 22])
    pooled = np.concatenate([a, b])
    ranks = stats.rankdata(pooled)
    middle = 5 * 12 / 2
    sums = [ranks[list(chosen)].sum() for chosen in itertools.combinations(range(11), 5)]
    exact = np.mean([abs(s - middle) >= abs(ranks[:5].sum() - middle) for s in sums])
    assert compare_ranks([a, b]).p == pytest.approx(exact, abs=0.01)
    assert compare_ranks([a, b, a + 1]).test == "Kruskal-Wallis"


@pytest.mark.parametrize("kind", ["welch", "ranks", "counts", "anova"])
def test_without_a_difference_one_in_twenty_is_below_5_percent(kind: str) -> None:
    rng = np.random.default_rng(3)
    small = 0
    for _ in range(1_000):
        if kind == "counts":
            groups = rng.integers(0, 3, (2, 60))
            p = compare_counts(np.array([np.bincount(g, minlength=3) for g in groups])).p
        elif kind == "anova":
            p = compare_means(list(rng.normal(0, 1, (3, 20)))).p
        else:
            groups_of = [rng.normal(0, 1, 15), rng.normal(0, 3 if kind == "welch" else 1, 30)]
            p = (compare_means if kind == "welch" else compare_ranks)(groups_of).p
        small += p < 0.05
    assert 30 <= small <= 72  # 50 give or take three standard errors


def test_student_errs_where_spreads_and_sizes_differ_which_is_why_welch_is_the_default() -> None:
    rng = np.random.default_rng(4)
    groups = [[rng.normal(0, 3, 10), rng.normal(0, 1, 40)] for _ in range(500)]
    assert np.mean([compare_means(g, equal_variances=True).p < 0.05 for g in groups]) > 0.12
    assert np.mean([compare_means(g).p < 0.05 for g in groups]) < 0.08


def test_skewness_tells_lengths_of_stay_from_heights() -> None:
    rng = np.random.default_rng(6)
    assert is_skewed([rng.lognormal(1, 0.9, 200), rng.normal(0, 1, 200)])
    assert not is_skewed([rng.normal(0, 1, 200)])
    assert not is_skewed([np.array([1.0, 1, 1, 1, 50])])  # too few to tell
    assert not is_skewed([np.full(20, 3.0)])


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([[1.0, 2.0], []], "fewer than 2 known in a group"),
        ([[1.0], [2.0, 3.0]], "fewer than 2 known in a group"),
        ([[1.0, 1.0], [1.0, 1.0]], "no spread"),
    ],
)
def test_where_there_is_no_test_the_reason_stands_in_its_place(groups: list[list[float]], said: str) -> None:
    found = compare_means([np.array(g) for g in groups])
    assert (found.test, np.isnan(found.p)) == (said, True)


def test_counts_and_ranks_without_a_comparison_say_so() -> None:
    assert compare_counts(np.array([[3, 4], [0, 0]])).test == "one group only"
    assert compare_counts(np.array([[3, 0], [5, 0]])).test == "all equal"
    assert compare_ranks([np.array([1.0]), np.array([])]).test == "one group only"
    assert compare_ranks([np.ones(3), np.ones(4)]).test == "all equal"
