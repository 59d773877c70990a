"""Boosting one part: its label in xgboost's form, its tuning by out-of-fold loss, its refits on patient resamples.

A cause of refracture starts from the trees of any refracture and adds its own only as far as the out-of-fold loss
falls: each cause alone has few events, and most of what raises one raises the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.forest import MAX_DEPTH
from models.newton import RiskSets, cox_loss

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

DEPTHS = (1, 2, MAX_DEPTH)
LEARNING_RATE = 0.08
STEP = 20
MOST_ROUNDS = 200
#: Steps without a smaller out-of-fold loss after which a depth is given up.
PATIENCE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to predict: label in xgboost's form, the rows that tell it, and how its margins are judged."""

    name: str
    label: Floats
    told: Rows
    objective: str
    base: float
    monotone: tuple[int, ...]
    weight: Floats

    def loss(self, margins: Floats, rows: Rows) -> float:
        """Out-of-fold loss of margins (n,) on the rows that are told among those given."""
        use = rows & self.told
        if self.objective == "binary:logistic":
            return float(self.weight[use] @ (np.logaddexp(0.0, margins[use]) - self.label[use] * margins[use]))
        sets = RiskSets.of(np.abs(self.label[use]), self.label[use] > 0)
        return cox_loss(margins[use], sets) if len(sets.time) else 0.0

    def data(self, values: Floats, rows: Rows, drawn: Floats | None = None) -> Any:
        """xgboost's matrix of the rows; ``drawn`` (n,): how often each stands in a patient resample."""
        import xgboost

        weight = self.weight if drawn is None else self.weight * drawn
        return xgboost.DMatrix(values[rows], self.label[rows], weight=weight[rows], nthread=1)

    def parameters(self, depth: int, seed: int) -> dict[str, Any]:
        """xgboost's settings for the part."""
        return {
            "objective": self.objective,
            "base_score": self.base,
            "max_depth": depth,
            "eta": LEARNING_RATE,
            "min_child_weight": 5.0 if self.objective == "binary:logistic" else 3.0,
            "lambda": 5.0,
            "subsample": 0.7,
            "colsample_bynode": 0.7,
            "tree_method": "hist",
            "max_bin": 64,
            "monotone_constraints": str(self.monotone),
            "nthread": 1,
            "seed": seed,
        }


@dataclass(frozen=True, slots=True)
class Boosted:
    """A tuned part: boosters by fold, of all rows and of the refits, with the out-of-fold margins (n,)."""

    depth: int
    rounds: int
    margins: Floats
    loss: float
    by_fold: tuple[Any, ...]
    whole: Any = None
    refits: tuple[Any, ...] = ()


def boost(
    values: Floats, part: Part, fold: NDArray[np.intp], seed: int, weights: Floats, start: Boosted | None = None
) -> Boosted:
    """Tune a part on its folds, then train it on all rows and on every resample of ``weights`` (refits, n).

    With ``start`` it goes on from that part's trees, at their depth.
    """
    chosen = _tuned(values, part, fold, seed, start)
    data = part.data(values, part.told)
    whole = _grown(start.whole if start else None, part, chosen, data, seed)
    refits = []
    for place, row in enumerate(weights):
        use = part.told & (row > 0)
        begun = start.refits[place] if start else None
        refits.append(_grown(begun, part, chosen, part.data(values, use, row), seed))
    return replace(chosen, whole=whole, refits=tuple(refits))


def _grown(start: Any, part: Part, chosen: Boosted, data: Any, seed: int) -> Any:
    booster = _begun(start, part.parameters(chosen.depth, seed), data)
    _grow(booster, data, chosen.rounds)
    return booster


def _begun(start: Any, parameters: dict[str, Any], data: Any) -> Any:
    """A booster without a tree, or one that goes on from a copy of ``start``."""
    import xgboost

    if start is None:
        return xgboost.Booster(parameters, [data])
    booster = start[: start.num_boosted_rounds()]  # a slice copies in a tenth of the time of ``copy``
    booster.set_param(parameters)
    return booster


def _grow(booster: Any, data: Any, rounds: int) -> None:
    """Add trees until there are ``rounds``."""
    for done in range(booster.num_boosted_rounds(), rounds):
        booster.update(data, done)


def _tuned(values: Floats, part: Part, fold: NDArray[np.intp], seed: int, start: Boosted | None) -> Boosted:
    """The choice with the smallest out-of-fold loss among all depths, or at the depth of ``start``."""
    depths = DEPTHS if start is None else (start.depth,)
    found = [_best(values, part, fold, seed, depth, start) for depth in depths]
    return min(found, key=lambda choice: choice.loss)


def _best(values: Floats, part: Part, fold: NDArray[np.intp], seed: int, depth: int, start: Boosted | None) -> Boosted:
    """The number of rounds with the smallest out-of-fold loss; a curve that has long stopped falling is not pursued."""
    import xgboost

    held_out = [fold == k for k in range(fold.max() + 1)]
    trains = [part.told & ~rows for rows in held_out]
    inside = [part.data(values, rows) for rows in trains]
    outside = [xgboost.DMatrix(values[rows], nthread=1) for rows in held_out]
    begun = start.by_fold if start else (None,) * len(held_out)
    boosters = [_begun(one, part.parameters(depth, seed), data) for one, data in zip(begun, inside, strict=True)]
    first = start.rounds if start else STEP
    curve: list[Boosted] = []
    for rounds in range(first, first + MOST_ROUNDS, STEP):
        margins = np.empty(len(values))
        for booster, data, unseen, rows in zip(boosters, inside, outside, held_out, strict=True):
            _grow(booster, data, rounds)
            margins[rows] = booster.predict(unseen, output_margin=True)
        loss = sum(part.loss(margins, rows) for rows in held_out)
        curve.append(Boosted(depth, rounds, margins, loss, ()))
        if len(curve) - int(np.argmin([choice.loss for choice in curve])) > PATIENCE:
            break
    best = min(curve, key=lambda choice: choice.loss)
    return replace(best, by_fold=tuple(booster[: best.rounds] for booster in boosters))
