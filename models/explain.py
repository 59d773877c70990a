"""Why a risk is what it is: what each variable adds between the reference patient and this one.

eta_k = mean_k + sum over columns of phi_kj. Let F be the calibrated risk on its scale as a function of all eta_k. Along
the straight path from the reference patient to this one (Aumann-Shapley; integrated gradients, Sundararajan 2017)
column j gets

    contribution_j = sum over k of phi_kj * integral from 0 to 1 of dF/deta_k (mean + s (eta - mean)) ds,

by eight Gauss-Legendre nodes. With one part this is slope * phi_j exactly. The tiny remainder of the quadrature goes
to the largest contribution, so that base + contributions = total holds to the last bit that matters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.calibrate import BinaryHead
from models.competing import HazardHead
from models.interface import Explanation

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def explanation(
    head: BinaryHead | HazardHead, columns: tuple[str, ...], mean: Floats, eta: Floats, phi: Floats
) -> Explanation:
    """``mean``: (parts,) of the reference patient, ``eta``: (n, parts), ``phi``: (n, parts, columns)."""
    base = float(head.total(mean[None, :])[0])
    # By itself, not stacked upon the mean: sums in another batch differ in the last bit, and the risk must be that of
    # ``total`` exactly.
    total = head.total(eta)
    return Explanation(head.scale, columns, base, total, contributions(head, mean, eta, phi, total - base))


def contributions(head: BinaryHead | HazardHead, mean: Floats, eta: Floats, phi: Floats, difference: Floats) -> Floats:
    """What each column adds, (n, columns); with ``difference`` (n,), total minus base, at hand."""
    found = (_mean_gradient(head, mean, eta)[:, None, :] @ phi)[:, 0]
    rows, largest = np.arange(len(eta)), np.abs(found).argmax(axis=1)
    found[rows, largest] += difference - found.sum(axis=1)
    return found


def _mean_gradient(head: BinaryHead | HazardHead, mean: Floats, eta: Floats) -> Floats:
    """The gradient of F averaged along the path from the reference patient to each row, shape (n, parts)."""
    if isinstance(head, BinaryHead):
        return head.gradient(eta)
    path = mean + _NODES[:, None, None] * (eta - mean)
    gradient = head.gradient(path.reshape(-1, eta.shape[1])).reshape(path.shape)
    return np.asarray((_WEIGHTS @ gradient.reshape(len(_WEIGHTS), -1)).reshape(eta.shape))
