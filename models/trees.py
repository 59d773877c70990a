"""Our own reader of xgboost's trees: margins and exact TreeSHAP contributions in NumPy.

The service answers from the booster's file without importing xgboost, which brings scikit-learn, pandas and SciPy with
it and costs some 0.3 ms a call. All trees of all parts and refits are walked together, one array operation per level.

Trees are at most ``MAX_DEPTH`` = 3 splits deep, as small registries want them. A path then holds at most three
different features, and the Shapley value of path-dependent TreeSHAP (Lundberg 2020) has a closed form: for a leaf of
value v whose path asks features 1, 2, 3 with o = 1 if the row satisfies all the path's conditions on the feature (else
0) and z = the product of the cover ratios of those conditions,

    phi_1 = v (o1 - z1) ((o2 o3 + z2 z3) / 3 + (o2 z3 + z2 o3) / 6),

a shorter path being filled with features that have o = z = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ModelDamaged
from models.interface import Margins
from models.ubjson import Reader

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MAX_DEPTH = 3
#: Rows walked at once, so that a long table does not fill the memory.
CHUNK = 512


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees side by side. Node arrays are concatenated; a leaf is its own child. ``roots``: (trees,), sorted by group.

    ``starts``: first tree of each group (a part, or a part's refit); ``bias``: (groups,) margin before any tree.
    """

    feature: Ints
    threshold: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    left: Ints
    right: Ints
    value: Floats
    cover: Floats
    roots: Ints
    starts: Ints
    bias: Floats

    def margins(self, values: Floats) -> Floats:
        """Margin of each group for the matrix ``values`` (n, columns); shape (n, groups)."""
        x = values.astype(np.float32)
        if len(x) <= CHUNK:
            return self._walk(x)
        return np.vstack([self._walk(x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)])

    def _walk(self, x: NDArray[np.float32]) -> Floats:
        rows = np.arange(len(x))[:, None]
        node = self.roots
        for _ in range(MAX_DEPTH):
            asked = x[rows, self.feature[node]]
            goes_left = np.where(np.isnan(asked), self.default_left[node], asked < self.threshold[node])
            node = np.where(goes_left, self.left[node], self.right[node])
        return np.asarray(np.add.reduceat(self.value[node], self.starts, axis=1) + self.bias)


@dataclass(frozen=True, slots=True)
class Paths:
    """For each leaf of a forest up to three features of its path; arrays (leaves, 3) unless said.

    ``node`` and ``goes_left`` are the path's conditions, in order; ``belongs``: (leaves, 3 features, 3 conditions)
    tells which conditions ask which feature. Unused places repeat a condition that always holds.
    """

    value: Floats  # (leaves,)
    node: Ints
    goes_left: NDArray[np.bool_]
    used: NDArray[np.bool_]
    belongs: NDArray[np.bool_]
    share: Floats
    order: Ints  # (leaves * 3,) places sorted by group and feature
    starts: Ints  # first place of each group and feature that occurs
    keys: Ints  # group * columns + feature of each start
    base: Floats  # (groups,) expected margin: the bias of TreeSHAP


def read_forest(documents: Sequence[dict[str, Any]], columns: int) -> Forest:
    """One group per document, in order. Raises ``ModelDamaged`` if a tree is not one."""
    pieces: list[_Tree] = []
    starts, bias, offset = [], [], 0
    for document in documents:
        starts.append(len(pieces))
        trees, margin = _booster(document)
        bias.append(margin)
        for tree in trees:
            pieces.append(_tree(tree, offset, columns))
            offset += len(pieces[-1].value)
    if not pieces:
        raise ModelDamaged("the trees file holds no tree")
    joined = [np.concatenate([getattr(piece, name) for piece in pieces]) for name in _Tree.__slots__]
    roots = np.cumsum([0] + [len(piece.value) for piece in pieces[:-1]])
    return Forest(*joined, roots=roots, starts=np.array(starts), bias=np.array(bias))


@dataclass(frozen=True, slots=True)
class _Tree:
    feature: Ints
    threshold: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    left: Ints
    right: Ints
    value: Floats
    cover: Floats


def _booster(document: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
    """The trees of an xgboost document and the margin that they start from."""
    try:
        learner = document["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
        objective = learner["objective"]["name"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamaged("the trees file lacks a part that every booster has") from error
    if not isinstance(trees, list) or not trees or not 0 < base < 1:
        raise ModelDamaged("the trees file holds a booster without trees or without a base score")
    if objective == "binary:logistic":
        return trees, float(np.float32(np.log(base / (1 - base))))
    if objective == "survival:cox":
        return trees, float(np.float32(np.log(base)))
    raise ModelDamaged("the trees file holds a booster of an objective that cemrisk does not train")


def _tree(stored: dict[str, Any], offset: int, columns: int) -> _Tree:
    """Check one tree and shift its node numbers by ``offset``."""
    try:
        left, right = (np.asarray(stored[name], dtype=np.intp) for name in ("left_children", "right_children"))
        feature = np.asarray(stored["split_indices"], dtype=np.intp)
        condition = np.asarray(stored["split_conditions"], dtype=np.float32)
        default_left = np.asarray(stored["default_left"], dtype=bool)
        cover = np.asarray(stored["sum_hessian"], dtype=float)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamaged("the trees file holds a tree that lacks one of its lists") from error
    leaf = left == -1
    _check_tree(left, right, feature, columns, leaf)
    if not (np.isfinite(condition).all() and np.isfinite(cover).all() and (cover > 0).all()):
        raise ModelDamaged("the trees file holds a tree with a value that is not finite")
    own = np.arange(len(left))
    return _Tree(
        np.where(leaf, 0, feature),
        condition,
        default_left,
        np.where(leaf, own, left) + offset,
        np.where(leaf, own, right) + offset,
        np.where(leaf, condition.astype(float), 0.0),
        cover,
    )


def _check_tree(left: Ints, right: Ints, feature: Ints, columns: int, leaf: NDArray[np.bool_]) -> None:
    count = len(left)
    if not count or not (len(right) == len(feature) == count) or (leaf != (right == -1)).any():
        raise ModelDamaged("the trees file holds a tree whose lists do not fit together")
    children = np.concatenate([left[~leaf], right[~leaf]])
    if len(children) != count - 1 or not np.array_equal(np.sort(children), np.arange(1, count)):
        raise ModelDamaged("the trees file holds a tree whose nodes do not form a tree")
    if (feature[~leaf] >= columns).any() or (feature[~leaf] < 0).any():
        raise ModelDamaged("the trees file asks for a column that the model does not have")
    reached, depth = np.zeros(1, dtype=np.intp), 0
    while len(reached := reached[~leaf[reached]]):
        reached = np.concatenate([left[reached], right[reached]])
        depth += 1
        if depth > MAX_DEPTH:
            raise ModelDamaged(f"the trees file holds a tree deeper than {MAX_DEPTH} splits")


def paths_of(forest: Forest, columns: int) -> Paths:
    """Everything about a forest's leaves that contributions need and that does not depend on the patient."""
    rows: list[tuple[int, int, list[tuple[int, bool]]]] = []
    group_of_tree = np.repeat(np.arange(len(forest.starts)), np.diff(np.append(forest.starts, len(forest.roots))))
    for group, root in zip(group_of_tree, forest.roots, strict=True):
        _collect(forest, int(root), [], int(group), rows)
    leaves = len(rows)
    node = np.zeros((leaves, MAX_DEPTH), dtype=np.intp)
    goes_left, used = np.zeros((2, leaves, MAX_DEPTH), dtype=bool)
    belongs = np.zeros((leaves, MAX_DEPTH, MAX_DEPTH), dtype=bool)
    share = np.ones((leaves, MAX_DEPTH))
    feature = np.zeros((leaves, MAX_DEPTH), dtype=np.intp)
    value, group = forest.value[[leaf for leaf, _, _ in rows]], np.array([group for _, group, _ in rows])
    for index, (_, _, path) in enumerate(rows):
        seen: list[int] = []
        for place, (at, left) in enumerate(path):
            asks = int(forest.feature[at])
            if asks not in seen:
                seen.append(asks)
            slot = seen.index(asks)
            child = forest.left[at] if left else forest.right[at]
            node[index, place], goes_left[index, place], used[index, place] = at, left, True
            belongs[index, slot, place] = True
            share[index, slot] *= forest.cover[child] / forest.cover[at]
            feature[index, slot] = asks
    keys = (group[:, None] * columns + feature).ravel()
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    expected = np.bincount(group, value * share.prod(axis=1), len(forest.starts)) + forest.bias
    return Paths(value, node, goes_left, used, belongs, share, order, starts, keys[order][starts], expected)


def _collect(
    forest: Forest,
    at: int,
    path: list[tuple[int, bool]],
    group: int,
    rows: list[tuple[int, int, list[tuple[int, bool]]]],
) -> None:
    """Append (leaf, group, path of (node, goes left)) for every leaf below the node ``at``."""
    if forest.left[at] == at:
        rows.append((at, group, path))
        return
    _collect(forest, int(forest.left[at]), [*path, (at, True)], group, rows)
    _collect(forest, int(forest.right[at]), [*path, (at, False)], group, rows)


def contributions(forest: Forest, paths: Paths, values: Floats) -> Floats:
    """TreeSHAP values (n, groups, columns) of the matrix ``values`` (n, columns); with ``paths.base`` they sum to
    margins.
    """
    x = values.astype(np.float32)
    chunks = [_contributions(forest, paths, x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros((0, len(forest.starts), values.shape[1]))


def _contributions(forest: Forest, paths: Paths, x: NDArray[np.float32]) -> Floats:
    asked = x[:, forest.feature[paths.node]]
    left = np.where(np.isnan(asked), forest.default_left[paths.node], asked < forest.threshold[paths.node])
    holds = (left == paths.goes_left) | ~paths.used
    o = np.ones(holds.shape)
    for slot in range(MAX_DEPTH):
        o[:, :, slot] = (holds | ~paths.belongs[:, slot]).all(axis=2)
    z, phi = paths.share, np.empty(holds.shape)
    for slot in range(MAX_DEPTH):
        i, j = (slot + 1) % MAX_DEPTH, (slot + 2) % MAX_DEPTH
        together = (o[..., i] * o[..., j] + z[:, i] * z[:, j]) / 3
        apart = (o[..., i] * z[:, j] + z[:, i] * o[..., j]) / 6
        phi[..., slot] = paths.value * (o[..., slot] - z[:, slot]) * (together + apart)
    summed = np.add.reduceat(phi.reshape(len(x), -1)[:, paths.order], paths.starts, axis=1)
    found = np.zeros((len(x), len(forest.starts) * x.shape[1]))
    found[:, paths.keys] = summed
    return found.reshape(len(x), len(forest.starts), x.shape[1])


@dataclass(frozen=True, slots=True)
class TreeBody:
    """The body of a boosted model: ``main`` has one group per part, ``refits`` explained x refits groups (or is
    None).
    """

    main: Forest
    paths: Paths
    refits: Forest | None
    explained: int
    columns: int

    @classmethod
    def read(cls, data: bytes, parts: int, explained: int, columns: int) -> TreeBody:
        """From the joined file: a document for each part, then for each explained part its refits."""
        reader, documents = Reader(data), []
        while reader:
            documents.append(reader.document())
        if len(documents) < parts or (len(documents) - parts) % explained:
            raise ModelDamaged("the trees file does not hold as many boosters as the model says")
        main = read_forest(documents[:parts], columns)
        refits = read_forest(documents[parts:], columns) if len(documents) > parts else None
        explained_only = read_forest(documents[:explained], columns)
        return cls(main, paths_of(explained_only, columns), refits, explained, columns)

    def margins(self, values: Floats, with_refits: bool = True) -> Margins:
        """Margins of the matrix ``values`` (n, columns)."""
        main = self.main.margins(values)
        if not with_refits or self.refits is None:
            return Margins(main, np.empty((len(values), self.explained, 0)))
        return Margins(main, self.refits.margins(values).reshape(len(values), self.explained, -1))

    def contributions(self, values: Floats, explained: int) -> tuple[Floats, Floats]:
        """TreeSHAP: the bias of each explained part (explained,) and what each column adds (n, explained, columns)."""
        # The explained parts come first, so their nodes have the same numbers in the main forest.
        return self.paths.base, contributions(self._explained_forest(), self.paths, values)

    def _explained_forest(self) -> Forest:
        main = self.main
        trees = main.starts[self.explained] if len(main.starts) > self.explained else len(main.roots)
        return Forest(
            main.feature, main.threshold, main.default_left, main.left, main.right, main.value, main.cover,
            main.roots[:trees], main.starts[: self.explained], main.bias[: self.explained],
        )  # fmt: skip
