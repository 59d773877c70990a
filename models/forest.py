"""Our own reader of xgboost's trees: margins in NumPy, without importing xgboost.

xgboost brings scikit-learn, pandas and SciPy with it and costs some 0.3 ms a call. Trees here are at most ``MAX_DEPTH``
= 3 splits deep, so each is laid out as a full one: 7 places for questions (top, second level, third level) and 8
leaves. All questions of all trees are answered in one comparison; each that sends a row to the right strikes out the
leaves on its left, and the leftmost leaf that no question struck out is the row's own (QuickScorer; Lucchese and
colleagues 2015, SIGIR).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import ModelDamaged

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]
Ints = NDArray[np.intp]

MAX_DEPTH = 3
QUESTIONS = 2**MAX_DEPTH - 1
#: For each place of a question the leaves on its left, a bit each: a row that it sends to the right is in none of them.
LEFT = np.array([[0b00001111], [0b00000011], [0b00110000], [0b1], [0b100], [0b10000], [0b1000000]], dtype=np.uint8)
#: For each byte the lowest bit that is not set: no question strikes out the last leaf.
LEFTMOST = np.array([(~byte & (byte + 1)).bit_length() - 1 for byte in range(256)])
#: Answers to questions held at once, so that a long table does not fill the memory.
MOST_ANSWERS = 2**22


@dataclass(frozen=True, slots=True)
class Trees:
    """Checked trees side by side: arrays (nodes,), node numbers running through all trees; a leaf is its own child.

    ``roots``: (trees,), sorted by group; ``starts``: first tree of each group (a part, or a part's refit); ``bias``:
    (groups,) margin before any tree.
    """

    feature: Ints
    threshold: Singles
    default_left: Flags
    left: Ints
    right: Ints
    value: Floats
    cover: Floats
    roots: Ints
    starts: Ints
    bias: Floats

    def groups(self, count: int) -> Trees:
        """The first ``count`` groups."""
        trees = self.starts[count] if count < len(self.starts) else len(self.roots)
        nodes = self.roots[trees] if trees < len(self.roots) else len(self.feature)
        return Trees(
            self.feature[:nodes], self.threshold[:nodes], self.default_left[:nodes], self.left[:nodes],
            self.right[:nodes], self.value[:nodes], self.cover[:nodes],
            self.roots[:trees], self.starts[:count], self.bias[:count],
        )  # fmt: skip

    def group_of_tree(self) -> Ints:
        """The group of each tree, shape (trees,)."""
        return np.repeat(np.arange(len(self.starts)), np.diff(np.append(self.starts, len(self.roots))))

    def levels(self) -> list[Ints]:
        """Nodes by level, each (trees, 2 ** level), left before right; below a leaf stands the leaf again."""
        found = [self.roots[:, None]]
        for _ in range(MAX_DEPTH):
            above = found[-1]
            found.append(np.stack([self.left[above], self.right[above]], axis=2).reshape(len(above), -1))
        return found


def both_defaults(values: Floats) -> Singles:
    """``values`` (n, columns) twice side by side, the unknown as -inf (goes left) and then as +inf (goes right)."""
    both = np.empty((len(values), 2, values.shape[1]), dtype=np.float32)
    both[:] = values[:, None, :]
    unknown = np.isnan(values)
    both[:, 0][unknown], both[:, 1][unknown] = -np.inf, np.inf
    return both.reshape(len(values), -1)


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as full ones. ``asked``: column of ``both_defaults`` and ``threshold``, both (7 * trees,), place by place.

    ``leaves``: (trees * 8,); ``starts`` and ``bias`` as in ``Trees``.
    """

    asked: Ints
    threshold: Singles
    leaves: Floats
    starts: Ints
    bias: Floats

    @classmethod
    def of(cls, trees: Trees, columns: int) -> Forest:
        """Lay out trees of a matrix with so many columns."""
        *inner, leaves = trees.levels()
        places = np.hstack(inner).T.ravel()
        asked = trees.feature[places] + np.where(trees.default_left[places], 0, columns)
        return cls(asked, trees.threshold[places], trees.value[leaves].ravel(), trees.starts, trees.bias)

    def margins(self, x: Singles) -> Floats:
        """Margin of each group for rows of ``both_defaults``; shape (n, groups)."""
        rows = max(1, MOST_ANSWERS // len(self.asked))
        if len(x) <= rows:
            return self._margins(x)
        return np.vstack([self._margins(x[at : at + rows]) for at in range(0, len(x), rows)])

    def _margins(self, x: Singles) -> Floats:
        right = (x.take(self.asked, axis=1) >= self.threshold).reshape(len(x), QUESTIONS, -1)
        struck = np.bitwise_or.reduce(right.view(np.uint8) * LEFT, axis=1)
        leaf = np.arange(0, len(self.leaves), QUESTIONS + 1) + LEFTMOST[struck]
        return np.asarray(np.add.reduceat(self.leaves[leaf], self.starts, axis=1) + self.bias)


#: What is kept of each tree, end to end for all trees.
LISTS = ("left_children", "right_children", "split_indices", "split_conditions", "sum_hessian", "default_left")
Joined = dict[str, NDArray[Any]]
_Kind = TypeVar("_Kind", bound=np.generic)


def join(documents: Sequence[dict[str, Any]]) -> Joined:
    """The trees of xgboost's documents end to end.

    Arrays ``LISTS`` (nodes,), child numbers counted within each tree; ``nodes``: (trees,) how many each tree has;
    ``trees`` and ``bias``: (documents,) how many trees each document has and the margin that it starts from. Raises
    ``ModelDamaged`` if a document is not a booster that cemrisk trains.
    """
    boosters = [_booster(document) for document in documents]
    stored = [tree for trees, _ in boosters for tree in trees]
    try:
        nodes = np.array([[len(tree[name]) for name in LISTS] for tree in stored], dtype=np.intp).reshape(
            -1, len(LISTS)
        )
        joined = {name: np.concatenate([tree[name] for tree in stored]) for name in LISTS}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamaged("the trees file holds a tree that lacks one of its lists") from error
    if (nodes != nodes[:, :1]).any():
        raise ModelDamaged("the trees file holds a tree whose lists do not fit together")
    trees, bias = np.array([len(trees) for trees, _ in boosters]), np.array([margin for _, margin in boosters])
    return joined | {"nodes": nodes[:, 0], "trees": trees, "bias": bias}


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


def check_trees(joined: Mapping[str, Any], columns: int) -> Trees:
    """One group per document, in order. Raises ``ModelDamaged`` if a tree is not one, or asks for another column."""
    left, right, feature = (_list(joined, name, np.intp) for name in LISTS[:3])
    condition, cover = (_list(joined, name, np.float32) for name in LISTS[3:5])
    default_left, bias = _list(joined, LISTS[5], np.bool_), _list(joined, "bias", np.float64)
    nodes, trees = _list(joined, "nodes", np.intp), _list(joined, "trees", np.intp)
    _check_lengths([left, right, feature, condition, cover, default_left], nodes, trees, bias)
    roots, leaf = np.cumsum(nodes) - nodes, left == -1
    _check_values(feature, columns, leaf, condition, cover)
    _check_links(left, right, leaf, roots, nodes)
    own, offset = np.arange(len(left)), np.repeat(roots, nodes)
    found = Trees(
        np.where(leaf, 0, feature), condition, default_left,
        np.where(leaf, own, left + offset), np.where(leaf, own, right + offset),
        np.where(leaf, condition.astype(float), 0.0), cover.astype(float),
        roots, np.cumsum(trees) - trees, bias,
    )  # fmt: skip
    _check_depth(found)
    return found


def _list(joined: Mapping[str, Any], name: str, kind: type[_Kind]) -> NDArray[_Kind]:
    try:
        return np.asarray(joined[name]).reshape(-1).astype(kind)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamaged("the trees file holds trees that lack one of their lists") from error


def _check_lengths(lists: list[NDArray[Any]], nodes: Ints, trees: Ints, bias: Floats) -> None:
    # Each length is bounded before they are added up: a damaged one must not overflow the sum.
    bounded = len(nodes) and 1 <= nodes.min() <= nodes.max() <= len(lists[0])
    bounded = bounded and len(trees) and 1 <= trees.min() <= trees.max() <= len(nodes)
    told = bounded and trees.sum() == len(nodes) and all(len(values) == nodes.sum() for values in lists)
    if not told or len(trees) != len(bias) or not np.isfinite(bias).all():
        raise ModelDamaged("the trees file holds a tree whose lists do not fit together")


def _check_values(feature: Ints, columns: int, leaf: Flags, condition: Singles, cover: Singles) -> None:
    if not (np.isfinite(condition).all() and np.isfinite(cover).all() and (cover > 0).all()):
        raise ModelDamaged("the trees file holds a tree with a value that is not finite")
    if ((feature < 0) | (feature >= columns))[~leaf].any():
        raise ModelDamaged("the trees file asks for a column that the model does not have")


def _check_links(left: Ints, right: Ints, leaf: Flags, roots: Ints, count: Ints) -> None:
    """Every node but the root is the child of exactly one node of its own tree."""
    if (leaf != (right == -1)).any():
        raise ModelDamaged("the trees file holds a tree whose lists do not fit together")
    size, offset = np.repeat(count, count), np.repeat(roots, count)
    children = np.concatenate([left[~leaf], right[~leaf]])
    inside = (children >= 1) & (children < np.tile(size[~leaf], 2))
    if inside.all():
        parents = np.bincount(children + np.tile(offset[~leaf], 2), minlength=len(left))
        parents[roots] += 1
        inside = parents == 1
    if not inside.all():
        raise ModelDamaged("the trees file holds a tree whose nodes do not form a tree")


def _check_depth(trees: Trees) -> None:
    """No path asks more than ``MAX_DEPTH`` questions, and no node is out of reach (a ring apart from the root)."""
    levels = trees.levels()
    if (trees.left[levels[-1]] != levels[-1]).any():
        raise ModelDamaged(f"the trees file holds a tree deeper than {MAX_DEPTH} splits")
    reached = np.zeros(len(trees.left), dtype=bool)
    for nodes in levels:
        reached[nodes] = True
    if not reached.all():
        raise ModelDamaged("the trees file holds a tree whose nodes do not form a tree")
