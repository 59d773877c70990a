"""A release made ready to answer: what of it is the same for every question is worked out once, when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.after_surgery import LANDMARK_DAY
from features.build import MOMENT_OF, PREDICTORS, Outcome, Predictor, refuse_look_ahead
from features.dictionary import VARIABLES, Moment, Value
from features.errors import NotReady
from features.outcome import HORIZON_DAYS
from models.artifact import Card
from models.calibrate import coherent_routes, unlink
from models.calibrated import CalibratedRisk
from models.competing import HazardHead
from models.interface import Margins
from models.linear import LinearBody
from models.release import Release

Floats = NDArray[np.float64]

HORIZONS_MONTHS = tuple(HORIZON_DAYS)
#: The horizon at which refracture is explained and its missing values are weighed.
EXPLAINED_MONTHS = 12
EXPLAINED = HORIZONS_MONTHS.index(EXPLAINED_MONTHS)
#: How many values of a number stand for its plausible range when it is unknown.
POINTS_OF_A_RANGE = 5


@dataclass(frozen=True, slots=True)
class Served:
    """One outcome as it is served.

    ``average``: risk of the reference patient, (horizons,). ``low``, ``high``: (columns,) the training range.
    ``possible``: for each predictor the values that stand for all that its variable could be. ``reads``: the variables
    that the predictors are made from.
    """

    outcome: Outcome
    release: Release
    predictors: tuple[Predictor, ...]
    average: tuple[float, ...]
    low: Floats
    high: Floats
    possible: tuple[tuple[Value, ...], ...]
    reads: tuple[str, ...]
    identity: Mapping[str, Any]
    data_status: str
    notices: tuple[str, ...]

    @classmethod
    def of(cls, release: Release) -> Served:
        """Raises ``NotReady`` if the champion cannot give what an answer holds."""
        card = release.model.card
        if card is None:
            raise NotReady(f"the released model of {release.outcome} has no card")
        if _refits(release.model) < 2:
            raise NotReady(f"the released model of {release.outcome} was trained without refits, so without intervals")
        predictors = PREDICTORS[release.outcome]
        refuse_look_ahead(predictors, MOMENT_OF[release.outcome])
        ranges = [card.training_range.get(p.name, (-np.inf, np.inf)) for p in predictors]
        low, high = np.array(ranges).T
        average = tuple(release.model.reference_risk(days) for days in _horizons_days(release.outcome))
        possible = tuple(_possible(p) for p in predictors)
        reads = tuple(name for name in VARIABLES if any(name in p.reads for p in predictors))
        identity = _identity(release, card)
        return cls(
            release.outcome,
            release,
            predictors,
            average,
            low,
            high,
            possible,
            reads,
            identity,
            card.data_status,
            card.notices,
        )

    @property
    def moment(self) -> Moment:
        """When the model is asked: PLANNED before surgery, POSTOP after it."""
        return MOMENT_OF[self.outcome]

    @property
    def section(self) -> Literal["leakage", "refracture"]:
        """The part of an answer that it fills."""
        return section_of(self.outcome)

    @property
    def landmark_day(self) -> int:
        """The day from which its horizons count, in days from the procedure."""
        return LANDMARK_DAY if self.moment is Moment.POSTOP else 0

    @property
    def model(self) -> CalibratedRisk:
        """The champion."""
        return self.release.model

    def prepare(self, values: Floats) -> Floats:
        """What ``margins`` and ``contributions`` of the champion take: the terms of a linear body, or the matrix."""
        body = self.model.body
        return body.prepare(values) if isinstance(body, LinearBody) else values

    def margins(self, prepared: Floats, with_refits: bool) -> Margins:
        """The champion's linear predictors."""
        body = self.model.body
        return (body.margins_of if isinstance(body, LinearBody) else body.margins)(prepared, with_refits)

    def contributions(self, prepared: Floats) -> tuple[Floats, Floats]:
        """Of the champion: the reference patient (explained,) and what each column adds (n, explained, columns)."""
        body, explained = self.model.body, self.model.head.explained
        return (body.contributions_of if isinstance(body, LinearBody) else body.contributions)(prepared, explained)

    def totals(self, model: CalibratedRisk, margins: Margins) -> Floats:
        """Risks on the link scale, (rows, horizons)."""
        eta = margins.main[:, : model.head.explained]
        if isinstance(model.head, HazardHead):
            return model.head.totals(eta, _horizons_days(self.outcome))
        return model.head.total(eta)[:, None]

    def refit_totals(self, margins: Margins) -> Floats:
        """The champion's refits on the link scale, (rows, horizons, refits)."""
        head = self.model.head
        if isinstance(head, HazardHead):
            return head.totals_of_refits(margins.refits, _horizons_days(self.outcome))
        return head.refit_totals(margins.refits)[:, None, :]

    def routes(self, risk: Floats, margins: Mapping[str, Margins]) -> Floats | None:
        """B, S, C, D, shape (n, 4), coherent with the champion's risk of any leak (n,); None if nobody tells them."""
        learner = self.release.teller_of_routes
        if learner is None:
            return None
        return coherent_routes(risk, self.release.models[learner].routes_of(margins[learner]))

    def incidence(self, margins: Margins) -> Floats:
        """Of same, adjacent, remote and death, (rows, 4, horizons)."""
        return self.model.incidence_of(margins, _horizons_days(self.outcome))

    def risks(self, totals: Floats) -> Floats:
        """Link scale to probability."""
        return unlink(self.model.head.scale, totals)


def section_of(outcome: Outcome) -> Literal["leakage", "refracture"]:
    """The part of an answer that a model of the outcome fills."""
    return "leakage" if outcome == "leakage" else "refracture"


def serve(releases: Mapping[Outcome, Release]) -> dict[Outcome, Served]:
    """All releases, ready to answer."""
    return {outcome: Served.of(release) for outcome, release in releases.items()}


def _horizons_days(outcome: Outcome) -> tuple[int, ...]:
    """Leakage has no horizon but the one within which Cox counts it, a year."""
    return tuple(HORIZON_DAYS.values()) if outcome != "leakage" else (HORIZON_DAYS[EXPLAINED_MONTHS],)


def _refits(model: CalibratedRisk) -> int:
    empty = np.full((1, len(model.columns)), np.nan)
    return int(model.body.margins(empty).refits.shape[2])


def _possible(predictor: Predictor) -> tuple[Value, ...]:
    """Values of the predictor's variable that stand for all it could be, one for each that the model can tell apart."""
    variable = VARIABLES[predictor.variable]
    if variable.kind == "flag":
        return (False, True)
    if variable.choices:
        choices = np.empty(len(variable.choices), dtype=object)
        choices[:] = [frozenset({one}) if variable.kind == "multi" else one for one in variable.choices]
        codes = predictor.make({variable.name: choices, "detection": np.ones(len(choices))})
        return tuple(
            {code: choice for code, choice in zip(codes[::-1], choices[::-1], strict=True) if code == code}.values()
        )
    if variable.plausible_low is None or variable.plausible_high is None:
        return ()
    points = np.linspace(variable.plausible_low, variable.plausible_high, POINTS_OF_A_RANGE)
    return tuple(round(point) if variable.kind == "integer" else float(point) for point in points)


def _identity(release: Release, card: Card) -> dict[str, Any]:
    versions = {
        learner: {"version": release.versions[learner], "sha256": model.sha256}
        for learner, model in release.models.items()
    }
    champion = {"name": card.name, "learner": release.champion, "training_id": release.training_id}
    champion["release"] = card.release
    return {**champion, **versions[release.champion], "by_learner": versions}
