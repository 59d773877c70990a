"""Rows of no patient, drawn from what a linear model holds in aggregate: for what a nomogram can only approximate."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from features.build import Predictor
from models.design import Design

Floats = NDArray[np.float64]
Ranges = list[tuple[float, float]]

#: Patients simulated for a projection and for measuring how far an approximation is off.
SIMULATED_ROWS = 4_000


def simulated_rows(design: Design, predictors: tuple[Predictor, ...], ranges: Ranges) -> Floats:
    """Rows of no patient: normal scores with the correlations of the model's terms, put on each column's own scale."""
    rng = np.random.default_rng(0)
    first = design.first_terms
    values, vectors = np.linalg.eigh(design.covariance[np.ix_(first, first)])
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    scores = rng.standard_normal((SIMULATED_ROWS, len(first))) @ root.T
    scores /= np.maximum(np.sqrt((root**2).sum(axis=1)), 1e-12)
    columns = []
    for place, (predictor, ends) in enumerate(zip(predictors, ranges, strict=True)):
        terms = slice(first[place], first[place] + design.terms[place].width)
        columns.append(_column(predictor, design.mean[terms], design.scale[terms], ends, scores[:, place]))
    return np.column_stack(columns)


def _column(predictor: Predictor, mean: Floats, scale: Floats, ends: tuple[float, float], scores: Floats) -> Floats:
    """Normal scores (n,) as values of one column, whose terms have ``mean`` and ``scale``."""
    if predictor.shape == "levels":
        shares = np.clip(np.append(1 - mean.sum(), mean), 1e-9, 1.0)
        cuts = [NormalDist().inv_cdf(share) for share in np.cumsum(shares / shares.sum())[:-1]]
        return np.searchsorted(np.array(cuts), scores).astype(float)
    if predictor.shape == "flag":
        share = min(max(float(mean[0]), 1e-3), 1 - 1e-3)
        return (scores > NormalDist().inv_cdf(1 - share)).astype(float)
    x = np.clip(mean[0] + scale[0] * scores, *ends)
    return np.asarray(np.round(x) if predictor.shape == "score" else x)
