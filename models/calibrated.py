"""What all learners do alike once they are fitted: a body for linear predictors, a head for calibrated risks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from features.errors import UsageError
from features.outcome import CAUSES, ROUTES
from models import explain as explaining
from models.calibrate import BinaryHead, unlink
from models.competing import HazardHead
from models.interface import Explanation, Learner, Margins, Settings, Table, predictor_columns, values_of
from models.interval import interval as spread_of_refits
from models.linear import LinearBody
from models.trees import TreeBody

if TYPE_CHECKING:
    from models.artifact import Card

Floats = NDArray[np.float64]
Head = BinaryHead | HazardHead

LEAKAGE_PARTS = ("any", *ROUTES)


class CalibratedRisk:
    """A fitted model of one outcome. Subclasses add ``fit``.

    Wherever ``X`` stands: a ``Matrix`` of ``features.build`` or any mapping with its columns.
    """

    learner: Learner

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.outcome: Outcome = "leakage"
        self._body: LinearBody | TreeBody | None = None
        self._head: Head | None = None
        self.card: Card | None = None
        self.sha256 = ""
        #: For each part how much of the documented prior was kept (0 to 1); empty where the model started from none.
        self.prior_weight: dict[str, float] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix columns, in order."""
        return predictor_columns(self.outcome)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the linear predictors belong to: any leak and its routes, any leak alone, or the four causes."""
        return CAUSES if self.outcome != "leakage" else LEAKAGE_PARTS[: self.head.parts]

    @property
    def has_routes(self) -> bool:
        """Whether the model tells routes: not under Cox, nor where too few leaks had a known route."""
        return isinstance(self.head, BinaryHead) and self.head.parts > 1

    @property
    def body(self) -> LinearBody | TreeBody:
        """Matrix to linear predictors; raises ``UsageError`` before ``fit``."""
        if self._body is None:
            raise UsageError("the model is not fitted: call fit first")
        return self._body

    @property
    def head(self) -> Head:
        """Linear predictors to risks; raises ``UsageError`` before ``fit``."""
        if self._head is None:
            raise UsageError("the model is not fitted: call fit first")
        return self._head

    def set_fitted(self, outcome: Outcome, body: LinearBody | TreeBody, head: Head) -> None:
        """Install what ``fit`` learned or ``load`` read."""
        self.outcome, self._body, self._head = outcome, body, head

    def margins(self, X: Table, with_refits: bool = True) -> Margins:
        """Linear predictors of all parts; pass them on as ``X`` to ``risk_of`` and ``interval_of``."""
        return self.body.margins(values_of(X, self.columns), with_refits)

    def risk(self, X: Table, horizon_days: int | None = None) -> Floats:
        """Calibrated probability of any leak, or of any refracture by the horizon (365 days by default); shape (n,)."""
        return self.risk_of(self.margins(X, with_refits=False), horizon_days)

    def risk_of(self, margins: Margins, horizon_days: int | None = None) -> Floats:
        """``risk`` from linear predictors at hand."""
        return unlink(self.head.scale, self.head.total(margins.main[:, : self.head.explained], horizon_days))

    def interval(self, X: Table, horizon_days: int | None = None) -> Floats:
        """95 % interval of ``risk``, shape (n, 2), from the refits on patient resamples."""
        return self.interval_of(self.margins(X), horizon_days)

    def interval_of(self, margins: Margins, horizon_days: int | None = None) -> Floats:
        """``interval`` from linear predictors at hand; raises ``UsageError`` if the model was fitted without refits."""
        if margins.refits.shape[2] < 2:
            raise UsageError("the model was fitted without refits, so it has no interval")
        total = self.head.total(margins.main[:, : self.head.explained], horizon_days)
        return spread_of_refits(self.head.scale, total, self.refit_totals(margins, horizon_days))

    def refit_totals(self, margins: Margins, horizon_days: int | None = None) -> Floats:
        """The risk of every refit on the link scale, shape (n, refits)."""
        return self.head.refit_totals(margins.refits, horizon_days)

    def routes(self, X: Table) -> Floats:
        """Probability of each route, shape (n, 4) for B, S, C, D; leakage by logistic and boosted models only."""
        return self.routes_of(self.margins(X, with_refits=False))

    def routes_of(self, margins: Margins) -> Floats:
        """``routes`` from linear predictors at hand."""
        if not isinstance(self.head, BinaryHead) or not self.has_routes:
            raise UsageError(f"a {self.learner} model of {self.outcome} has no routes")
        return self.head.routes(margins.main)

    def cumulative_incidence(self, X: Table, horizons_days: tuple[int, ...]) -> Floats:
        """Of same, adjacent, remote and death by each horizon: (n, 4, horizons); refracture only."""
        return self.incidence_of(self.margins(X, with_refits=False), horizons_days)

    def incidence_of(self, margins: Margins, horizons_days: tuple[int, ...]) -> Floats:
        """``cumulative_incidence`` from linear predictors at hand."""
        if not isinstance(self.head, HazardHead) or self.outcome == "leakage":
            raise UsageError(f"a {self.learner} model of {self.outcome} has no competing causes")
        return self.head.cumulative_incidence(margins.main, horizons_days)

    def explain(self, X: Table) -> Explanation:
        """What each column adds to the risk of any leak, or of any refracture by 365 days."""
        values = values_of(X, self.columns)
        margins = self.body.margins(values, with_refits=False)
        mean, phi = self.body.contributions(values, self.head.explained)
        return explaining.explanation(self.head, self.columns, mean, margins.main[:, : self.head.explained], phi)

    def reference_risk(self, horizon_days: int | None = None) -> float:
        """Risk of the reference patient, at whom explanations start."""
        return float(unlink(self.head.scale, self.reference_total(horizon_days)))

    def reference_total(self, horizon_days: int | None = None) -> Floats:
        """``reference_risk`` on the link scale, shape ()."""
        mean, _ = self.body.contributions(np.full((1, len(self.columns)), np.nan), self.head.explained)
        return np.asarray(self.head.total(mean[None, :], horizon_days)[0])

    def to_dict(self) -> dict[str, Any]:
        """All that was learned, as JSON can hold it (the trees of a boosted model excepted)."""
        body = self.body.to_dict() if isinstance(self.body, LinearBody) else {"kind": "trees"}
        return {"learner": self.learner, "outcome": self.outcome, "body": body, "head": self.head.to_dict()}
