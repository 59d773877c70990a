"""Sums over pairs of rows in O(n log n) time and O(n) memory, by NumPy alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.metrics.types import Bools, Floats, Ints


class PairSums(NamedTuple):
    """Each row's share as the first and as the second member of its pairs; shapes (n,)."""

    for_first: Floats
    for_second: Floats


def concordant(risk: Floats, order: Ints, first: Floats, second: Floats) -> PairSums:
    """Sums of [risk_i > risk_j] + [risk_i = risk_j]/2 over pairs with order_i < order_j, weighted first_i * second_j.

    ``order``: whole numbers from 0; equal ones make no pair. ``for_first[i]`` is the sum over j, weighted by
    ``second``; ``for_second[j]`` the sum over i, weighted by ``first``.

    The two numbers of a pair differ in a highest binary digit: digit by digit, rows with the same leading digits form
    a group, in which those with 0 come before those with 1; sorted by risk, running sums answer for the whole group.
    """
    by_risk = np.argsort(risk, kind="stable")
    order, score = order[by_risk], risk[by_risk]
    weights = (first[by_risk], second[by_risk])
    sums = (np.zeros(len(order)), np.zeros(len(order)))
    for digit in range(int(order.max(initial=0)).bit_length()):
        group = order >> (digit + 1)
        # NumPy sorts 16-bit keys by radix, several times faster than comparing.
        small = int(group.max()) < 2**16
        place = np.argsort(group.astype(np.uint16) if small else group, kind="stable")
        _add_digit(place, group[place], score[place], ((order[place] >> digit) & 1).astype(bool), weights, sums)
    back = np.empty(len(order), dtype=np.int64)
    back[by_risk] = np.arange(len(order))
    return PairSums(sums[0][back], sums[1][back])


def _add_digit(
    place: Ints, group: Ints, score: Floats, late: Bools, weights: tuple[Floats, Floats], sums: tuple[Floats, Floats]
) -> None:
    """One digit: the early half gets the weight of the late half at lower risk, and the other way round."""
    new_group = np.concatenate(([True], group[1:] != group[:-1]))
    new_tie = new_group | np.concatenate(([True], score[1:] != score[:-1]))
    tie_start, tie_end = _run_bounds(new_tie)
    group_start, group_end = _run_bounds(new_group)
    running_late = np.concatenate(([0.0], np.cumsum(np.where(late, weights[1][place], 0.0))))
    running_early = np.concatenate(([0.0], np.cumsum(np.where(late, 0.0, weights[0][place]))))
    lower = 0.5 * (running_late[tie_start] + running_late[tie_end]) - running_late[group_start]
    higher = running_early[group_end] - 0.5 * (running_early[tie_start] + running_early[tie_end])
    sums[0][place] += np.where(late, 0.0, lower)
    sums[1][place] += np.where(late, higher, 0.0)


def comparable(order: Ints, first: Floats, second: Floats) -> PairSums:
    """The same sums with every pair counted once: what concordance is divided by."""
    size = int(order.max(initial=0)) + 1
    late = np.bincount(order, weights=second, minlength=size)
    early = np.bincount(order, weights=first, minlength=size)
    after = np.concatenate((np.cumsum(late[::-1])[::-1][1:], [0.0]))
    before = np.concatenate(([0.0], np.cumsum(early)[:-1]))
    return PairSums(after[order], before[order])


def two_groups(risk: Floats, cases: Floats, controls: Floats) -> PairSums:
    """For each row the weight of controls below it (as a case), and of cases above it (as a control), ties half."""
    _, place = np.unique(risk, return_inverse=True)
    control_mass, case_mass = np.bincount(place, weights=controls), np.bincount(place, weights=cases)
    below = np.cumsum(control_mass) - 0.5 * control_mass
    above = case_mass.sum() - np.cumsum(case_mass) + 0.5 * case_mass
    return PairSums(below[place], above[place])


def _run_bounds(starts: Bools) -> tuple[Ints, Ints]:
    """First index, and one past the last, of the run that each position belongs to."""
    first = np.flatnonzero(starts)
    run = np.cumsum(starts) - 1
    past = np.append(first[1:], len(starts))
    return first[run], past[run]
