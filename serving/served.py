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

    ``average``: risk of the reference patient, (horizons,); ``base``: the explained one on the link scale. ``alike``:
    the learners that read the same prepared rows as the champion. ``low``, ``high``: (columns,) the training range.
    ``possible``: for each predictor the values that stand for all that its variable could be. ``reads``: the variables
    that the predictors are made from.
    """

    outcome: Outcome
    release: Release
    predictors: tuple[Predictor, ...]
    average: tuple[float, ...]
    base: float
    alike: frozenset[str]
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
        base = float(release.model.reference_total())
        possible = tuple(_possible(p) for p in predictors)
        reads = tuple(name for name in VARIABLES if any(name in p.reads for p in predictors))
        identity = _identity(release, card)
        return cls(
            release.outcome,
            release,
            predictors,
            average,
            base,
            _alike(release),
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

    def totals(self, model: CalibratedRisk, main: Floats) -> Floats:
        """Risks on the link scale, (rows, horizons), from a learner's linear predictors (rows, parts)."""
        return model.head.totals(main[:, : model.head.explained], _horizons_days(self.outcome))

    def totals_of_refits(self, refits: Floats) -> Floats:
        """Those of the champion's refits, (rows, horizons, refits), from theirs (rows, explained, refits)."""
        return self.model.head.totals_of_refits(refits, _horizons_days(self.outcome))

    def routes(self, risk: Floats, main: Mapping[str, Floats]) -> Floats | None:
        """B, S, C, D, shape (n, 4), coherent with the champion's risk of any leak (n,); None if nobody tells them.

        ``main``: the linear predictors of each learner, (n, parts).
        """
        learner = self.release.teller_of_routes
        if learner is None:
            return None
        routes = self.release.models[learner].routes_of(Margins(main[learner]))
        return routes if learner == self.release.champion else coherent_routes(risk, routes)

    def incidence(self, main: Floats) -> Floats:
        """Of same, adjacent, remote and death, (rows, 4, horizons), from the champion's linear predictors."""
        return self.model.incidence_of(Margins(main), _horizons_days(self.outcome))

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


def _alike(release: Release) -> frozenset[str]:
    """Learners that read the same terms as the champion: trained on the same rows, linear ones do."""
    champion = release.model.body
    if not isinstance(champion, LinearBody):
        return frozenset()
    bodies = {learner: model.body for learner, model in release.models.items()}
    return frozenset(
        learner
        for learner, body in bodies.items()
        if isinstance(body, LinearBody) and body.design.same_as(champion.design)
    )


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
