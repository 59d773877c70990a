"""Exact TreeSHAP contributions of trees at most three splits deep, in closed form.

A path then holds at most three different features, and the Shapley value of path-dependent TreeSHAP (Lundberg 2020)
is, for a leaf of value v whose path asks features 1, 2, 3, with o = 1 if the row satisfies all the path's conditions
on the feature (else 0) and z = the product of the cover ratios of those conditions,

    phi_1 = v (o1 - z1) ((o2 o3 + z2 z3) / 3 + (o2 z3 + z2 o3) / 6),

a shorter path being filled with features that have o = z = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.forest import MAX_DEPTH, Singles, Trees

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

#: Rows explained at once, so that a long table does not fill the memory.
CHUNK = 128


@dataclass(frozen=True, slots=True)
class Paths:
    """The leaves of some trees, each with the three questions of its path; arrays (3, leaves) unless said.

    ``asked``, ``threshold`` and ``goes_left`` are the path's conditions, top first; places that a short path leaves
    unused hold a condition that is always true. ``same``: for each pair of places (0 1), (0 2), (1 2) whether they ask
    the same feature. The first of them then stands for the feature, ``share`` being the product of its cover ratios;
    the others have the share 1.
    """

    value: Floats  # (leaves,)
    asked: Ints
    threshold: NDArray[np.float32]
    goes_left: Flags
    same: Flags
    share: Floats
    order: Ints  # (leaves * 3,) places sorted by group and feature
    starts: Ints  # first place of each group and feature that occurs
    keys: Ints  # group * columns + feature of each start
    base: Floats  # (groups,) expected margin: the bias of TreeSHAP
    columns: int

    @classmethod
    def of(cls, trees: Trees, columns: int) -> Paths:
        """Everything that contributions need and that does not depend on the patient."""
        node, goes_left, leaf, group = _walk(trees)
        used = node >= 0
        feature = np.where(used, trees.feature[node], -1)
        same = np.stack([used[j] & (feature[i] == feature[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
        child = np.where(goes_left, trees.left[node], trees.right[node])
        share = _shares(np.where(used, trees.cover[child] / trees.cover[node], 1.0), same)
        keys = (group * columns + np.maximum(feature, 0)).ravel()
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        value = trees.value[leaf]
        base = np.bincount(group, value * share.prod(axis=0), len(trees.starts)) + trees.bias
        asked = np.where(used, feature + np.where(trees.default_left[node], 0, columns), 0)
        threshold = np.where(used, trees.threshold[node], np.float32(np.inf))
        return cls(
            value, asked, threshold, goes_left | ~used, same, share, order, starts, keys[order][starts], base, columns
        )


def _walk(trees: Trees) -> tuple[Ints, Flags, Ints, Ints]:
    """For each leaf the nodes of its path (3, leaves), -1 where it is shorter, which way it goes, itself, its group."""
    at, group = trees.roots, trees.group_of_tree()
    node, goes_left = np.full((MAX_DEPTH, len(at)), -1, dtype=np.intp), np.zeros((MAX_DEPTH, len(at)), dtype=bool)
    for level in range(MAX_DEPTH):
        # The leaves reached stay once, every other node makes room for its two children.
        inner = trees.left[at] != at
        again = np.repeat(np.arange(len(at)), np.where(inner, 2, 1))
        second = np.r_[False, again[1:] == again[:-1]]
        at, group, node, goes_left, inner = at[again], group[again], node[:, again], goes_left[:, again], inner[again]
        node[level] = np.where(inner, at, -1)
        goes_left[level] = inner & ~second
        at = np.where(second, trees.right[at], trees.left[at])
    return node, goes_left, at, group


def _shares(ratio: Floats, same: Flags) -> Floats:
    """Cover ratios (3, leaves) gathered at the first place that asks each feature, 1 at the others."""
    first_again, first_last, second_last = same
    first = ratio[0] * np.where(first_again, ratio[1], 1.0) * np.where(first_last, ratio[2], 1.0)
    second = np.where(first_again, 1.0, ratio[1] * np.where(second_last, ratio[2], 1.0))
    return np.stack([first, second, np.where(first_last | second_last, 1.0, ratio[2])])


def contributions(paths: Paths, x: Singles) -> Floats:
    """TreeSHAP values (n, groups, columns) of rows of ``both_defaults``; with ``base`` they sum to margins."""
    chunks = [_contributions(paths, x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros((0, len(paths.base), paths.columns))


def _contributions(paths: Paths, x: Singles) -> Floats:
    holds = (x[:, paths.asked] < paths.threshold) == paths.goes_left
    first_again, first_last, second_last = paths.same
    first, second, last = holds[:, 0], holds[:, 1], holds[:, 2]
    # A feature asked twice counts once, at its first place, and there only if both conditions hold.
    o = np.stack(
        [
            first & (second | ~first_again) & (last | ~first_last),
            first_again | (second & (last | ~second_last)),
            first_last | second_last | last,
        ]
    ).astype(float)
    z, phi = paths.share, np.empty((len(x), *paths.share.shape))
    for place in range(MAX_DEPTH):
        i, j = (place + 1) % MAX_DEPTH, (place + 2) % MAX_DEPTH
        rest = (o[i] * o[j] + z[i] * z[j]) / 3 + (o[i] * z[j] + z[i] * o[j]) / 6
        phi[:, place] = paths.value * (o[place] - z[place]) * rest
    summed = np.add.reduceat(phi.reshape(len(x), -1)[:, paths.order], paths.starts, axis=1)
    found = np.zeros((len(x), len(paths.base) * paths.columns))
    found[:, paths.keys] = summed
    return found.reshape(len(x), len(paths.base), paths.columns)
