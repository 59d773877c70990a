"""A nomogram: a fitted linear model as a ruler for each predictor, to be read with a pencil.

A model whose risk is a function of one linear predictor, link(risk) = constant + sum over columns of f_j(x_j), is drawn
without loss: f_j is moved to start at 0 and scaled so that the widest one takes 100 points. Spline terms are in f_j;
where f_j turns, its axis is folded, one line for each monotone piece, as R's ``rms`` does. Such models are any leak
and the cumulative hazard of each cause of refracture.

Any refracture depends on four linear predictors at once. Its nomogram is the least-squares projection of
cloglog(risk) on the model's own terms over simulated patients, drawn from what the model holds in aggregate (means,
spreads and correlations of its terms; never a patient), and says on its face how far it is off. So does that of a
route, because the service moves routes afterwards until they agree with any leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.after_surgery import LANDMARK_DAY
from features.build import PREDICTORS, Predictor
from features.errors import UsageError
from features.outcome import CAUSES, HORIZON_DAYS, ROUTES
from models.calibrate import BinaryHead, unlink
from models.calibrated import CalibratedRisk
from models.competing import HazardHead
from models.design import Design
from models.linear import LinearBody
from models.nomogram_axes import (
    MOST_POINTS,
    Axis,
    Tick,
    axis_of,
    axis_range,
    outcome_ticks,
    total_ticks,
)
from models.nomogram_rows import Ranges, simulated_rows

Floats = NDArray[np.float64]
Link = Literal["log_odds", "complementary_log_log", "log"]

#: A model whose strongest predictor moves the link by less than this tells nobody apart.
NO_SIGNAL = 1e-9
_ROUTE_WORDS = {
    "B": "through the basivertebral vein (B)",
    "S": "through a segmental vein (S)",
    "C": "through a cortical defect (C)",
    "D": "into the disc (D)",
}
_CAUSE_WORDS = {
    "same": "a new fracture of the treated level",
    "adjacent": "a fracture of an adjacent level",
    "remote": "a fracture of a remote level",
    "death": "death without a new fracture",
}


@dataclass(frozen=True, slots=True)
class Approximation:
    """How far a nomogram is off, over ``rows`` simulated patients: absolute differences of the risk (0 to 1)."""

    mean_error: float
    largest_error: float
    rows: int


@dataclass(frozen=True, slots=True)
class Nomogram:
    """The axes of one part of a model.

    ``axes``: one for each predictor, ticks with points from 0 to 100. ``total``: ticks of the sum of points;
    ``outcome_axis``: ticks of the risk (or cumulative hazard), placed by the sum of points at which it is reached.
    link(value) = ``constant`` + ``per_point`` * total points.
    """

    outcome: str
    learner: str
    part: str
    title: str
    quantity: str
    link: Link
    constant: float
    per_point: float
    axes: tuple[Axis, ...]
    total: tuple[Tick, ...]
    outcome_axis: tuple[Tick, ...]
    approximation: Approximation | None
    notes: tuple[str, ...]
    sha256: str
    _design: Design = field(repr=False)
    _weights: Floats = field(repr=False)
    _lowest: Floats = field(repr=False)

    def points(self, row: Mapping[str, float]) -> dict[str, float]:
        """The points of one patient, by column. ``row``: the model's columns by name, all of them known.

        Raises ``UsageError`` for an input that is missing, unknown, or beyond the ends of its axis.
        """
        values = np.array([[_known(row, axis) for axis in self.axes]])
        for value, axis in zip(values[0], self.axes, strict=True):
            axis.refuse_outside(value)
        added = _by_column(self._design, self._weights, values)[0]
        points = (added - self._lowest) / self.per_point
        return {axis.column: float(value) for axis, value in zip(self.axes, points, strict=True)}

    def read(self, total_points: float) -> float:
        """The risk (or cumulative hazard) at a sum of points."""
        return float(_value(self.link, np.array(self.constant + self.per_point * total_points)))

    def svg(self) -> str:
        """The picture, as one SVG document: black on white, no colour, no script, no font of its own."""
        from models.nomogram_svg import svg

        return svg(self)

    def to_dict(self) -> dict[str, Any]:
        """All axes with their points, as JSON can hold them."""
        found = self.approximation
        return {
            "outcome": self.outcome,
            "learner": self.learner,
            "part": self.part,
            "title": self.title,
            "quantity": self.quantity,
            "link": self.link,
            "constant": self.constant,
            "per_point": self.per_point,
            "axes": [axis.to_dict() for axis in self.axes],
            "total_points": [tick.points for tick in self.total if tick.label],
            "outcome_axis": [{"value": t.value, "total_points": t.points, "label": t.label} for t in self.outcome_axis],
            "approximation": None
            if found is None
            else {"mean_error": found.mean_error, "largest_error": found.largest_error, "simulated_rows": found.rows},
            "notes": list(self.notes),
            "sha256": self.sha256,
        }


def nomogram(model: CalibratedRisk, part: str | None = None, horizon_days: int | None = None) -> Nomogram:
    """The nomogram of a logistic or Cox model.

    ``part``: of leakage ``any`` or a route (B, S, C, D; logistic models), of refracture ``any`` or a cause (same,
    adjacent, remote, death: its cumulative hazard); ``any`` by default. ``horizon_days``: 91, 365 (default) or 730;
    refracture only. Raises ``UsageError`` for a boosted model, which has no axes, or a part that the model lacks.
    """
    body = model.body
    if not isinstance(body, LinearBody):
        raise UsageError("a boosted model has no nomogram: ask for the logistic or the Cox version")
    part = part or "any"
    horizon = HORIZON_DAYS[12] if horizon_days is None else horizon_days
    _refuse_unknown(model, part, horizon)
    predictors = PREDICTORS[model.outcome]
    ranges = _ranges(model, body.design, predictors)
    rows = simulated_rows(body.design, predictors, ranges)
    fitted = _fitted(model, body, part, horizon, rows)
    return _drawn(model, body.design, predictors, ranges, fitted)


#: Where the axis of a risk ends at the latest.
HIGHEST_DRAWN = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class _Fitted:
    """link(value) = constant + z @ weights, what it is called, and how far it is off."""

    part: str
    quantity: str
    link: Link
    constant: float
    weights: Floats
    approximation: Approximation | None = None
    why: str = ""


def _refuse_unknown(model: CalibratedRisk, part: str, horizon: int) -> None:
    parts = model.parts if model.outcome == "leakage" else ("any", *CAUSES)
    if part not in parts:
        raise UsageError(f"part: a {model.learner} model of {model.outcome} has {', '.join(dict.fromkeys(parts))}")
    if horizon not in HORIZON_DAYS.values():
        raise UsageError(f"horizon_days: expected one of {', '.join(map(str, HORIZON_DAYS.values()))}")


def _fitted(model: CalibratedRisk, body: LinearBody, part: str, horizon: int, rows: Floats) -> _Fitted:
    if isinstance(model.head, BinaryHead):
        return _logistic(model, model.head, body, part, rows)
    if model.outcome == "leakage":
        constant = float(model.head.total(body.intercept[None, :1])[0])
        return _Fitted(
            part, "Risk of any leak", "complementary_log_log", constant, model.head.slope[0] * body.coefficients[0]
        )
    return _cause(model.head, body, part, horizon) if part != "any" else _projection(model, body, horizon, rows)


def _logistic(model: CalibratedRisk, head: BinaryHead, body: LinearBody, part: str, rows: Floats) -> _Fitted:
    place = model.parts.index(part)
    constant = float(head.intercept[place] + head.slope[place] * body.intercept[place])
    weights = head.slope[place] * body.coefficients[place]
    if part == "any":
        return _Fitted(part, "Risk of any leak", "log_odds", constant, weights)
    read = unlink("log_odds", constant + body.prepare(rows) @ weights)
    shown = model.routes_of(body.margins(rows, with_refits=False))[:, ROUTES.index(part)]
    why = "The service moves the risk of each route until it agrees with the risk of any leak; the nomogram cannot."
    return _Fitted(
        part, f"Risk of a leak {_ROUTE_WORDS[part]}", "log_odds", constant, weights, _difference(read, shown), why
    )


def _cause(head: HazardHead, body: LinearBody, part: str, horizon: int) -> _Fitted:
    place = CAUSES.index(part)
    baseline = float(head.hazard[place, head.grid_days <= horizon].sum())
    constant = float(np.log(max(baseline, 1e-300)) + head.slope[place] * body.intercept[place])
    quantity = f"Cumulative hazard of {_CAUSE_WORDS[part]} by {_months(horizon)}"
    why = (
        "A cumulative hazard is not a risk: it is the events expected if nothing else could happen first. "
        "The risk needs all causes together: ask the service."
    )
    return _Fitted(part, quantity, "log", constant, head.slope[place] * body.coefficients[place], why=why)


def _projection(model: CalibratedRisk, body: LinearBody, horizon: int, rows: Floats) -> _Fitted:
    z = body.prepare(rows)
    total = model.head.total(body.main_of(z), horizon)
    solution = np.linalg.lstsq(np.column_stack([np.ones(len(z)), z]), total, rcond=None)[0]
    weights = np.asarray(solution[1:], dtype=float)
    read = unlink("complementary_log_log", solution[0] + z @ weights)
    away = _difference(read, unlink("complementary_log_log", total))
    why = "Four hazards make this risk, and no single sum of points holds them all."
    quantity = f"Risk of any new fracture by {_months(horizon)}, approximate"
    return _Fitted("any", quantity, "complementary_log_log", float(solution[0]), weights, away, why)


def _difference(read: Floats, shown: Floats) -> Approximation:
    away = np.abs(read - shown)
    return Approximation(float(away.mean()), float(away.max()), len(away))


@dataclass(frozen=True, slots=True)
class _Scaled:
    """All predictors in points; ``lowest``: (columns,) what each adds to the link at 0 points."""

    axes: tuple[Axis, ...]
    lowest: Floats
    per_point: float


def _scaled(
    design: Design, weights: Floats, predictors: tuple[Predictor, ...], ranges: Ranges, per_patient: bool
) -> _Scaled:
    """Move each column to start at 0 and scale all alike, so that the widest takes all points."""
    middle = np.array([[(low + high) / 2 for low, high in ranges]])
    curves = [
        _curve(design, weights, middle, place, ends, predictor.shape == "continuous")
        for place, (predictor, ends) in enumerate(zip(predictors, ranges, strict=True))
    ]
    lowest = np.array([float(added.min()) for _, added in curves])
    widest = max(float(added.max() - added.min()) for _, added in curves)
    if widest < NO_SIGNAL:
        raise UsageError("the model gives every patient the same risk: there is nothing to draw")
    per_point = widest / MOST_POINTS
    axes = tuple(
        axis_of(predictor, x, (added - low) / per_point, per_patient)
        for predictor, (x, added), low in zip(predictors, curves, lowest, strict=True)
    )
    return _Scaled(axes, lowest, per_point)


def _drawn(
    model: CalibratedRisk, design: Design, predictors: tuple[Predictor, ...], ranges: Ranges, fitted: _Fitted
) -> Nomogram:
    """Place every tick and put all together."""
    scaled = _scaled(design, fitted.weights, predictors, ranges, model.outcome != "leakage")
    constant, per_point = fitted.constant + float(scaled.lowest.sum()), scaled.per_point
    total = total_ticks(sum(axis.most for axis in scaled.axes))
    values = outcome_ticks(
        lambda v: (_linked(fitted.link, v) - constant) / per_point,
        lambda points: float(_value(fitted.link, np.array(constant + per_point * points))),
        fitted.link == "log",
        total[-1].points,
    )
    return Nomogram(
        outcome=model.outcome,
        learner=model.learner,
        part=fitted.part,
        title=f"{fitted.quantity} ({'logistic' if model.learner == 'logistic' else 'Cox'} model)",
        quantity=fitted.quantity,
        link=fitted.link,
        constant=constant,
        per_point=per_point,
        axes=scaled.axes,
        total=total,
        outcome_axis=values,
        approximation=fitted.approximation,
        notes=_notes(model, fitted),
        sha256=model.sha256,
        _design=design,
        _weights=fitted.weights,
        _lowest=scaled.lowest,
    )


def _notes(model: CalibratedRisk, fitted: _Fitted) -> tuple[str, ...]:
    notes = [
        "For each line find the patient's value and read the points above it; add them; "
        "find the sum on Total points and read what stands below it.",
        "Every value must be known and lie on its line. For an unknown one ask the service, which averages over it.",
    ]
    if fitted.why:
        notes.append(fitted.why)
    found = fitted.approximation
    if found is not None:
        notes.append(
            f"APPROXIMATION: over {found.rows:,} simulated patients it differs from the model by "
            f"{100 * found.mean_error:.2f} percentage points on average and by {100 * found.largest_error:.1f} at most."
        )
    if model.outcome == "refracture-postop":
        notes.append(f"Time counts from a landmark {LANDMARK_DAY} days after the operation.")
    if model.card is not None:
        notes.append(model.card.notice)
    return tuple(notes)


def _ranges(model: CalibratedRisk, design: Design, predictors: tuple[Predictor, ...]) -> Ranges:
    """The ends of each axis: the range of the training as the card has it, else 2.5 standard deviations."""
    stated = model.card.training_range if model.card else {}
    first = design.first_terms
    return [
        axis_range(predictor, stated.get(predictor.name), float(design.mean[at]), float(design.scale[at]))
        for predictor, at in zip(predictors, first, strict=True)
    ]


def _curve(
    design: Design, weights: Floats, middle: Floats, place: int, ends: tuple[float, float], continuous: bool
) -> tuple[Floats, Floats]:
    """Values of a column, finely, and what it adds to the link there; the other columns stay where they are."""
    low, high = ends
    x = np.linspace(low, high, 2001) if continuous else np.arange(low, high + 0.5)
    rows = np.repeat(middle, len(x), axis=0)
    rows[:, place] = x
    return x, _by_column(design, weights, rows)[:, place]


def _by_column(design: Design, weights: Floats, values: Floats) -> Floats:
    """What each column adds to the link, shape (n, columns)."""
    return np.add.reduceat(design.transform(values) * weights, design.first_terms, axis=1)


def _linked(link: Link, value: Floats) -> Floats:
    if link == "log":
        return np.asarray(np.log(value))
    return np.asarray(np.log(value) - np.log1p(-value) if link == "log_odds" else np.log(-np.log1p(-value)))


def _value(link: Link, total: Floats) -> Floats:
    # A sum of points that nobody has can round to a risk of 1, which has no place on the link scale.
    return np.asarray(np.exp(total) if link == "log" else np.minimum(unlink(link, total), HIGHEST_DRAWN))


def _known(row: Mapping[str, float], axis: Axis) -> float:
    value = row.get(axis.column)
    if value is None or np.isnan(value):
        raise UsageError(f"{axis.column}: a nomogram needs every value; for an unknown one ask the service")
    return float(value)


def _months(days: int) -> str:
    return f"{next(months for months, found in HORIZON_DAYS.items() if found == days)} months"
