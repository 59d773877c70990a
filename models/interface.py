"""What every learner offers, and the values that pass between its stages.

A model is a body and a head. The body turns a matrix into one linear predictor (or boosted margin) for each *part*: any
leak and the four routes, or the four causes of refracture. The head turns these into calibrated probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Matrix, Outcome
from features.errors import UsageError
from features.outcome import Leakage, Refracture

if TYPE_CHECKING:
    from models.prior import Prior

Floats = NDArray[np.float64]
Target = Leakage | Refracture
Learner = Literal["logistic", "cox", "boosted"]
Scale = Literal["log_odds", "complementary_log_log"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is fitted. ``refits``: models on patient resamples, kept for the intervals (0: none).

    ``prior``: published effects that linear models may start from; None, the default, leaves all to the data.
    """

    seed: int = 0
    folds: int = 5
    refits: int = 100
    prior: Prior | None = None

    def __post_init__(self) -> None:
        if self.folds < 2 or self.refits < 0:
            raise UsageError("settings: folds must be at least 2 and refits at least 0")

    def described(self) -> dict[str, Any]:
        """The settings as a card and MLflow show them; of a prior its name and digest."""
        plain: dict[str, Any] = {"seed": self.seed, "folds": self.folds, "refits": self.refits}
        if self.prior is None:
            return plain
        return plain | {"prior": self.prior.name, "prior_sha256": self.prior.sha256}


@dataclass(frozen=True, slots=True)
class Margins:
    """Linear predictors. ``main``: (rows, parts); ``refits``: (rows, explained parts, refits), if they were asked for.

    The explained parts come first among the parts: any leak, or the four causes.
    """

    main: Floats
    refits: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))


@dataclass(frozen=True, slots=True)
class Explanation:
    """base + contributions = total, exactly; ``contributions``: (rows, columns) in the order of ``columns``.

    ``base`` belongs to the reference patient, ``total`` to the patient asked about, both on ``scale``; the risk shown
    is computed from ``total``.
    """

    scale: Scale
    columns: tuple[str, ...]
    base: float
    total: Floats
    contributions: Floats


class RiskModel(Protocol):
    """A learner for one outcome. ``X``: a ``Matrix`` or any mapping of its columns (a data frame is one)."""

    learner: Learner
    outcome: Outcome
    columns: tuple[str, ...]

    def fit(self, X: Table, outcome: Target) -> RiskModel:
        """Fit to rows of ``X`` and what happened to them."""
        ...

    def risk(self, X: Table, horizon_days: int | None = None) -> Floats:
        """Calibrated probability of any leak, or of any refracture by the horizon (365 days by default); shape (n,)."""
        ...

    def interval(self, X: Table, horizon_days: int | None = None) -> Floats:
        """95 % interval of ``risk``, shape (n, 2): sampling variation of the model, by patient."""
        ...

    def explain(self, X: Table) -> Explanation:
        """What each variable adds to the risk: of any leak, or of any refracture by 365 days."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All that was learned, as JSON can hold it (the trees of a boosted model excepted)."""
        ...


Table = Matrix | Mapping[str, Any]


def values_of(table: Table, columns: Sequence[str]) -> Floats:
    """The columns asked for as a float64 array (rows, columns); ``UsageError`` says how the lists of names differ."""
    if isinstance(table, Matrix) and table.columns == tuple(columns):
        return table.values
    present = list(table.keys())
    missing = [name for name in columns if name not in present]
    if missing:
        surplus = [name for name in present if name not in columns]
        raise UsageError(
            f"columns missing: {', '.join(missing)}; not expected: {', '.join(map(str, surplus)) or 'none'}"
        )
    return np.column_stack([np.asarray(table[name], dtype=float) for name in columns])


def predictor_columns(outcome: Outcome) -> tuple[str, ...]:
    """Names of the matrix columns of an outcome, in order."""
    return tuple(predictor.name for predictor in PREDICTORS[outcome])
