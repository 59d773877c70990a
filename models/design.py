"""From matrix columns to the terms of a linear model: splines, levels, and what to do about the unknown.

A continuous column becomes a restricted cubic spline in Harrell's form (knots at fixed quantiles of the training data)
or, where there are too few distinct values for one, a line. All terms are centred at their training mean and scaled to
unit standard deviation.

An unknown input is replaced by the mean of its *terms* given the terms that are known, under a joint normal model whose
mean and covariance are estimated by EM from incomplete rows (Little & Rubin 2002, ch. 11). Imputing terms rather than
values makes the linear predictor itself the conditional expectation (von Hippel 2009). No outcome enters, and the
same rule serves training and questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Outcome, Predictor

Floats = NDArray[np.float64]

#: Harrell's quantiles for 4 knots (Regression Modeling Strategies, 2nd ed., table 2.3).
KNOT_QUANTILES = (0.05, 0.35, 0.65, 0.95)
#: Up to so many rows are grouped by a dictionary instead of a sort.
FEW_ROWS = 256
#: Patterns of missing inputs whose regression is remembered; a service sees few.
REMEMBERED_PATTERNS = 1024


@dataclass(frozen=True, slots=True)
class Term:
    """The terms of one column: a line (no knots, no levels), a spline or one indicator per level but the first."""

    column: str
    knots: tuple[float, ...] = ()
    levels: int = 0

    @property
    def width(self) -> int:
        """How many terms there are."""
        if self.levels:
            return self.levels - 1
        return len(self.knots) - 1 if self.knots else 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the terms of a design stand and what they are made from, so that all of one kind are made at once.

    ``owner``: (q,) the column that each term comes from; a term is its column as it is if nothing else is said of it.
    ``first``: (columns,) the first term of each column; ``spline``: (s, 2) the two curved terms of each splined column,
    ``splined``: (4 s,) the column of each of their ``knots`` (4 s,), ``curves``: (s, 4, 2) what cubes beyond the knots
    weigh in them; ``level``: (i,) indicators and ``codes``: (i,) the level that each indicates.
    """

    owner: NDArray[np.intp]
    first: NDArray[np.intp]
    spline: NDArray[np.intp]
    splined: NDArray[np.intp]
    knots: Floats
    curves: Floats
    level: NDArray[np.intp]
    codes: Floats

    @classmethod
    def of(cls, terms: tuple[Term, ...]) -> Layout:
        """The layout of terms side by side."""
        widths = [term.width for term in terms]
        first = np.cumsum([0, *widths])[:-1]
        splined = [index for index, term in enumerate(terms) if term.knots]
        levels = [index for index, term in enumerate(terms) if term.levels]
        level = [first[index] + step for index in levels for step in range(widths[index])]
        knots = np.array([terms[i].knots for i in splined], dtype=float).reshape(-1, len(KNOT_QUANTILES))
        return cls(
            owner=np.repeat(np.arange(len(terms)), widths),
            first=first,
            spline=np.array([[first[i] + 1, first[i] + 2] for i in splined], dtype=np.intp).reshape(-1, 2),
            splined=np.repeat(np.array(splined, dtype=np.intp), len(KNOT_QUANTILES)),
            knots=knots.ravel(),
            curves=_curves(knots),
            level=np.array(level, dtype=np.intp),
            codes=np.array([step + 1.0 for index in levels for step in range(widths[index])]),
        )

    def expand(self, values: Floats) -> Floats:
        """Raw terms (n, q) of the matrix ``values`` (n, columns); unknown values give unknown terms."""
        terms = values.take(self.owner, axis=1)
        if len(self.splined):
            beyond = np.maximum(values.take(self.splined, axis=1) - self.knots, 0.0)
            cubes = beyond * beyond * beyond  # a power takes ten times as long
            cubes = cubes.reshape(len(values), -1, 1, len(KNOT_QUANTILES))
            terms[:, self.spline] = (cubes @ self.curves)[:, :, 0]
        if len(self.level):
            x = terms[:, self.level]
            terms[:, self.level] = np.where(x == x, x == self.codes, np.nan)
        return terms


def _curves(knots: Floats) -> Floats:
    """What the cubes beyond each of the ``knots`` (s, 4) weigh in the two curved terms of a spline, (s, 4, 2).

    Restricted cubic splines, divided by (last - first knot)^2: beyond the last knot the cubes add up to a line.
    """
    first, before, last = knots[:, 0], knots[:, -2], knots[:, -1]
    curves = np.zeros((*knots.shape, 2))
    for term in range(2):
        curves[:, term, term] = 1.0
        curves[:, -2, term] = -(last - knots[:, term]) / (last - before)
        curves[:, -1, term] = (before - knots[:, term]) / (last - before)
    return np.asarray(curves / ((last - first) ** 2)[:, None, None])


def term_of(predictor: Predictor, x: Floats) -> Term:
    """Choose the terms of a column from its training values ``x`` (n,)."""
    if predictor.shape == "levels":
        return Term(predictor.name, levels=len(predictor.levels))
    if predictor.shape != "continuous":
        return Term(predictor.name)
    known = x[~np.isnan(x)]
    step = predictor.resolution
    knots = np.unique(np.round(np.quantile(known, KNOT_QUANTILES) / step) * step) if len(known) else np.zeros(0)
    return Term(predictor.name, tuple(float(knot) for knot in knots) if len(knots) == len(KNOT_QUANTILES) else ())


def candidate_terms(outcome: Outcome, values: Floats) -> int:
    """How many terms the columns of the training matrix (n, columns) make, splines counted by their terms."""
    return sum(term_of(predictor, values[:, index]).width for index, predictor in enumerate(PREDICTORS[outcome]))


@dataclass(frozen=True, slots=True)
class Design:
    """Fitted terms with the joint normal model that fills the unknown.

    ``mean``, ``scale``: (q,) of the raw terms; ``covariance``: (q, q) of the centred, scaled ones.
    """

    terms: tuple[Term, ...]
    mean: Floats
    scale: Floats
    covariance: Floats
    _layout: Layout = field(init=False, repr=False, compare=False)
    _regressions: dict[bytes, tuple[NDArray[np.intp], NDArray[np.intp], Floats]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_layout", Layout.of(self.terms))

    @property
    def width(self) -> int:
        return len(self.mean)

    @property
    def owner(self) -> NDArray[np.intp]:
        """For each term the index of the column that it comes from, shape (q,)."""
        return self._layout.owner

    @property
    def first_terms(self) -> NDArray[np.intp]:
        """For each column the first of its terms, shape (columns,)."""
        return self._layout.first

    def same_as(self, other: Design) -> bool:
        """Whether both make the same terms of every matrix, as those of learners trained on the same rows do."""
        arrays = ((self.mean, other.mean), (self.scale, other.scale), (self.covariance, other.covariance))
        return self.terms == other.terms and all(np.array_equal(ours, theirs) for ours, theirs in arrays)

    def transform(self, values: Floats) -> Floats:
        """Centred, scaled terms of the matrix ``values`` (n, columns) with the unknown filled; shape (n, q)."""
        z = self._layout.expand(values)
        z -= self.mean
        z /= self.scale
        unknown = np.isnan(z)
        for rows in _by_pattern(unknown):
            self._fill(z, rows, unknown[rows[0]])
        return z

    def _fill(self, z: Floats, rows: NDArray[np.intp], unknown: NDArray[np.bool_]) -> None:
        key = unknown.tobytes()
        found = self._regressions.get(key)
        if found is None:
            found = _regression(self.covariance, unknown)
            if len(self._regressions) < REMEMBERED_PATTERNS:
                self._regressions[key] = found
        missing, known, weights = found
        z[rows[:, None], missing] = z[rows[:, None], known] @ weights

    def to_dict(self) -> dict[str, Any]:
        return {
            "terms": [{"column": t.column, "knots": list(t.knots), "levels": t.levels} for t in self.terms],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "covariance": self.covariance.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Design:
        terms = tuple(Term(t["column"], tuple(t["knots"]), t["levels"]) for t in stored["terms"])
        mean, scale, covariance = (np.asarray(stored[name], dtype=float) for name in ("mean", "scale", "covariance"))
        return cls(terms, mean, scale, covariance)


def fit_design(outcome: Outcome, values: Floats) -> Design:
    """Knots, centring, scaling and the model of the unknown, learned from the training matrix (n, columns)."""
    terms = tuple(term_of(p, values[:, index]) for index, p in enumerate(PREDICTORS[outcome]))
    raw = Layout.of(terms).expand(values)
    known = ~np.isnan(raw)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, raw, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (raw - mean) ** 2, 0.0).sum(axis=0) / count)
    scale = np.where(spread > 0, spread, 1.0)
    shift, covariance = _em((raw - mean) / scale)
    return Design(terms, mean + shift * scale, scale, covariance)


def _by_pattern(unknown: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Row indices of each pattern of unknown terms that has any."""
    if len(unknown) <= FEW_ROWS:
        yield from _by_pattern_of_few(unknown)
        return
    _, code = np.unique(unknown, axis=0, return_inverse=True)
    order = np.argsort(code, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        if unknown[rows[0]].any():
            yield rows


def _by_pattern_of_few(unknown: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """The same for a question: a dictionary of its few rows takes a tenth of the time of a sort."""
    found: dict[bytes, list[int]] = {}
    width = unknown.shape[1]
    packed = unknown.tobytes()
    for row in range(len(unknown)):
        found.setdefault(packed[row * width : (row + 1) * width], []).append(row)
    for pattern, rows in found.items():
        if b"\x01" in pattern:
            yield np.array(rows)


def _regression(covariance: Floats, unknown: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Indices of missing and of known terms, and the weights (known, missing) that predict the ones from the others."""
    missing, known = np.flatnonzero(unknown), np.flatnonzero(~unknown)
    # A spline and its line are nearly collinear: a small ridge keeps the solution finite and changes nothing visible.
    inside = covariance[np.ix_(known, known)] + 1e-6 * np.eye(len(known))
    return missing, known, np.asarray(np.linalg.solve(inside, covariance[np.ix_(known, missing)]), dtype=float)


def _em(z: Floats, rounds: int = 15) -> tuple[Floats, Floats]:
    """Mean (q,) and covariance (q, q) of incomplete normal rows ``z`` (n, q) by expectation-maximisation."""
    unknown = np.isnan(z)
    patterns = list(_by_pattern(unknown))
    filled = np.where(unknown, 0.0, z)
    mean, covariance = filled.mean(axis=0), np.cov(filled, rowvar=False, bias=True).reshape(z.shape[1], -1)
    if not patterns:
        return mean, covariance
    for _ in range(rounds):
        extra = np.zeros_like(covariance)
        for rows in patterns:
            missing, known, weights = _regression(covariance, unknown[rows[0]])
            filled[rows[:, None], missing] = mean[missing] + (filled[rows[:, None], known] - mean[known]) @ weights
            left = covariance[np.ix_(missing, missing)] - covariance[np.ix_(missing, known)] @ weights
            extra[np.ix_(missing, missing)] += len(rows) * left
        mean = filled.mean(axis=0)
        covariance = np.cov(filled, rowvar=False, bias=True) + extra / len(z)
    return mean, covariance
