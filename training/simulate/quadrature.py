"""Random effects of the simulated registry and the quadrature that averages over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

NODES = 11


def normal_scores(count: int) -> Floats:
    """``count`` ascending normal scores with mean 0 and standard deviation exactly 1 (a single one is 0)."""
    scores = ndtri((np.arange(count) + 0.5) / count)
    return np.asarray(scores / scores.std() if count > 1 else scores * 0.0, dtype=float)


def normal_rule(sd: float, nodes: int = NODES) -> tuple[Floats, Floats]:
    """Gauss-Hermite nodes and weights for the mean over N(0, sd²)."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return points * sd, weights / weights.sum()


def sum_rule(*effects: tuple[Floats, Floats], nodes: int = NODES) -> tuple[Floats, Floats]:
    """Gauss rule for the mean over the sum of independent effects, each given by its (atoms, weights).

    The rule is that of the discrete distribution of the sum itself, by the Stieltjes procedure and the eigenvalues of
    its Jacobi matrix (Golub and Welsch 1969): exact for polynomials up to degree 2·nodes − 1 in the sum.
    """
    atoms, mass = np.zeros(1), np.ones(1)
    for points, weights in effects:
        atoms = (atoms[:, None] + points[None, :]).ravel()
        mass = (mass[:, None] * weights[None, :]).ravel()
    diagonal, off = _recurrence(atoms, mass, nodes)
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return values, vectors[0] ** 2


def _recurrence(atoms: Floats, mass: Floats, nodes: int) -> tuple[Floats, Floats]:
    diagonal: list[float] = []
    off: list[float] = []
    before, now = np.zeros_like(atoms), np.ones_like(atoms)
    for _ in range(nodes):
        diagonal.append(float(mass @ (atoms * now * now)))
        after = (atoms - diagonal[-1]) * now - (off[-1] if off else 0.0) * before
        size = float(np.sqrt(mass @ (after * after)))
        if size < 1e-9:  # the distribution has no more than this many distinct atoms
            return np.array(diagonal), np.array(off)
        off.append(size)
        before, now = now, after / size
    return np.array(diagonal), np.array(off[:-1])
