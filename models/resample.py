"""Splitting and resampling by patient: the vertebrae of one patient never stand on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def folds_by_patient(patient: Ints, event: NDArray[np.bool_], folds: int, seed: int) -> Ints:
    """The fold (0 to folds - 1) of each row, shape (n,): patients dealt at random, those with an event evenly."""
    who, code = np.unique(patient, return_inverse=True)
    had = np.bincount(code, event, len(who)) > 0
    shuffled = np.random.default_rng(seed).permutation(len(who))
    dealt = shuffled[np.argsort(had[shuffled], kind="stable")]
    fold = np.empty(len(who), dtype=np.intp)
    fold[dealt] = np.arange(len(who)) % folds
    return fold[code]


def bootstrap_weights(patient: Ints, refits: int, seed: int) -> Floats:
    """How often each row is drawn when patients are drawn with replacement; shape (refits, n)."""
    who, code = np.unique(patient, return_inverse=True)
    rng = np.random.default_rng([seed, 7])
    drawn = rng.multinomial(len(who), np.full(len(who), 1 / len(who)), size=refits)
    return np.asarray(drawn[:, code], dtype=float)
