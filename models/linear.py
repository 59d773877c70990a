"""The body of the linear models: one design, one row of coefficients for each part, and those of the refits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.design import Design
from models.interface import Margins

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearBody:
    """eta_k = intercept_k + z @ coefficients_k over the centred terms z of the design.

    ``intercept``: (parts,); ``coefficients``: (parts, q); ``refits``: (explained, refits, q + 1), intercept first.
    """

    design: Design
    intercept: Floats
    coefficients: Floats
    refits: Floats

    def margins(self, values: Floats, with_refits: bool = True) -> Margins:
        """Linear predictors of the matrix ``values`` (n, columns)."""
        z = self.prepare(values)
        return Margins(self.main_of(z), self.refits_of(z)) if with_refits else Margins(self.main_of(z))

    def prepare(self, values: Floats) -> Floats:
        """What the methods ``..._of`` take: the terms (n, q) of the matrix ``values`` (n, columns)."""
        return self.design.transform(values)

    def main_of(self, z: Floats) -> Floats:
        """Linear predictors (n, parts) from prepared rows."""
        return np.asarray(z @ self.coefficients.T + self.intercept)

    def refits_of(self, z: Floats) -> Floats:
        """Those of the refits, (n, explained, refits), from prepared rows."""
        explained, refits, width = self.refits.shape
        flat = self.refits.reshape(explained * refits, width)
        return (z @ flat[:, 1:].T + flat[:, 0]).reshape(len(z), explained, refits)

    def contributions(self, values: Floats, explained: int) -> tuple[Floats, Floats]:
        """Linear predictors of the reference patient (explained,) and what each column adds: (n, explained, columns).

        All terms of a column count together; terms are centred, so the reference patient is the average one.
        """
        return self.contributions_of(self.prepare(values), explained)

    def contributions_of(self, z: Floats, explained: int) -> tuple[Floats, Floats]:
        """``contributions`` from prepared rows."""
        by_term = z[:, None, :] * self.coefficients[:explained]
        return self.intercept[:explained], np.add.reduceat(by_term, self.design.first_terms, axis=2)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "linear",
            "design": self.design.to_dict(),
            "intercept": self.intercept.tolist(),
            "coefficients": self.coefficients.tolist(),
            "refits": self.refits.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> LinearBody:
        arrays = [np.asarray(stored[name], dtype=float) for name in ("intercept", "coefficients", "refits")]
        return cls(Design.from_dict(stored["design"]), *arrays)
