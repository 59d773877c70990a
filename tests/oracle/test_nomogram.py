"""Reading a nomogram with a ruler gives the model's risk: the only thing that is read here is the SVG."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from features.build import PREDICTORS
from models.calibrated import CalibratedRisk
from models.nomogram import Nomogram, nomogram
from tests.fitted import fitted

Floats = NDArray[np.float64]
PATIENTS = 1_000
LINE = 1.0  # the width of the lines drawn
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Scale:
    """The ticks of one line as they stand on the page: values and where they are."""

    value: Floats
    x: Floats

    @classmethod
    def of(cls, group: ElementTree.Element) -> Scale:
        ticks = [line for line in group.iter(f"{SVG}line") if line.get("data-value") is not None]
        return cls(*(np.array([float(tick.get(key) or "") for tick in ticks]) for key in ("data-value", "x1")))

    def where(self, value: float) -> float:
        """The place of a value, straight between the nearest ticks."""
        return float(np.interp(value, self.value, self.x))

    def read(self, x: float) -> float:
        """What stands at a place, straight between the nearest ticks."""
        order = np.argsort(self.x, kind="stable")
        return float(np.interp(x, self.x[order], self.value[order]))


@dataclass(frozen=True)
class Page:
    """The scales of a drawn nomogram."""

    points: Scale
    predictors: dict[str, list[Scale]]
    total: Scale
    outcome: Scale

    @classmethod
    def of(cls, found: Nomogram) -> Page:
        groups: dict[str, list[ElementTree.Element]] = {}
        for group in ElementTree.fromstring(found.svg()).iter(f"{SVG}g"):
            groups.setdefault(group.get("class") or "", []).append(group)
        predictors: dict[str, list[Scale]] = {}
        for group in groups["predictor"]:
            predictors.setdefault(group.get("data-name") or "", []).append(Scale.of(group))
        one = {role: Scale.of(groups[role][0]) for role in ("points", "total", "outcome")}
        return cls(one["points"], predictors, one["total"], one["outcome"])

    def place(self, row: dict[str, float]) -> float:
        """Where a patient's sum of points is on the total axis."""
        total = 0.0
        for name, value in row.items():
            line = next(s for s in self.predictors[name] if s.value.min() <= value <= s.value.max())
            total += self.points.read(line.where(value))
        return self.total.where(total)


def patients(found: Nomogram, seed: int = 5) -> list[dict[str, float]]:
    """Random complete patients, each value anywhere on its axis."""
    rng = np.random.default_rng(seed)
    columns = {}
    for axis in found.axes:
        values = np.array([tick.value for line in axis.lines for tick in line])
        steps = axis.kind == "steps"
        columns[axis.column] = (
            rng.choice(values, PATIENTS) if steps else rng.uniform(values.min(), values.max(), PATIENTS)
        )
    return [{name: float(column[row]) for name, column in columns.items()} for row in range(PATIENTS)]


def table(rows: list[dict[str, float]]) -> dict[str, Floats]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def refuse_more_than_a_line(found: Nomogram, truth: Floats, rows: list[dict[str, float]]) -> None:
    """The place that is read and the place of the truth are one line apart at most, and so are the risks."""
    page = Page.of(found)
    for row, true in zip(rows, truth, strict=True):
        x = page.place(row)
        assert abs(x - page.outcome.where(true)) <= LINE
        around = [page.outcome.read(x + step) for step in (-LINE, LINE)]
        assert around[0] <= true <= around[1]


def risk(model: CalibratedRisk, rows: list[dict[str, float]]) -> Floats:
    return model.risk(table(rows))


@pytest.mark.parametrize("learner", ["logistic", "cox"])
def test_reading_gives_the_risk_of_any_leak_within_a_line(learner: str) -> None:
    model = fitted("leakage", learner)  # type: ignore[arg-type]
    found = nomogram(model)
    rows = patients(found)
    refuse_more_than_a_line(found, risk(model, rows), rows)


@pytest.mark.parametrize("cause", ["same", "adjacent", "remote", "death"])
def test_reading_gives_the_cumulative_hazard_of_a_cause_within_a_line(cause: str) -> None:
    model = fitted("refracture", "cox")
    found = nomogram(model, cause)
    rows = patients(found)
    head, place = model.head, ("same", "adjacent", "remote", "death").index(cause)
    eta = model.margins(table(rows), with_refits=False).main[:, place]
    baseline = head.hazard[place][head.grid_days <= 365].sum()  # type: ignore[union-attr]
    refuse_more_than_a_line(found, baseline * np.exp(head.slope[place] * eta), rows)


@pytest.mark.parametrize("learner", ["logistic", "cox"])
def test_points_by_number_give_the_risk_of_any_leak_to_the_last_digits(learner: str) -> None:
    model = fitted("leakage", learner)  # type: ignore[arg-type]
    found = nomogram(model)
    rows = patients(found, seed=6)[:100]
    read = [found.read(sum(found.points(row).values())) for row in rows]
    assert read == pytest.approx(risk(model, rows), rel=1e-9)


@pytest.mark.parametrize("horizon_days", [91, 365, 730])
def test_any_refracture_is_within_the_error_that_the_picture_states(horizon_days: int) -> None:
    """Patients as they come (not anywhere on the axes): what is printed holds for others than those it came from."""
    from tests.fitted import fresh_matrix

    model = fitted("refracture", "cox")
    found = nomogram(model, horizon_days=horizon_days)
    assert found.approximation is not None
    complete = fresh_matrix("refracture").values
    complete = complete[~np.isnan(complete).any(axis=1)]
    rows = [dict(zip(model.columns, map(float, row), strict=True)) for row in complete]
    inside = [row for row in rows if all(_holds(found, name, value) for name, value in row.items())]
    assert len(inside) > 50
    truth = model.risk(table(inside), horizon_days)
    read = np.array([found.read(sum(found.points(row).values())) for row in inside])
    assert np.abs(read - truth).mean() < 2 * found.approximation.mean_error
    assert np.abs(read - truth).max() <= 1.5 * found.approximation.largest_error


def test_the_projection_is_the_least_squares_one() -> None:
    """No other weights on the same terms come closer, on the link scale, over the rows that it was made from."""
    from models.nomogram import _ranges
    from models.nomogram_rows import simulated_rows

    model = fitted("refracture", "cox")
    found = nomogram(model)
    design, predictors = model.body.design, PREDICTORS["refracture"]  # type: ignore[union-attr]
    rows = simulated_rows(design, predictors, _ranges(model, design, predictors))
    z = design.transform(rows)
    truth = model.risk(dict(zip(model.columns, rows.T, strict=True)))
    target = np.log(-np.log1p(-truth))
    points = [found.points(dict(zip(model.columns, map(float, row), strict=True))) for row in rows[:500]]
    read = found.constant + found.per_point * np.array([sum(one.values()) for one in points])
    again = np.linalg.lstsq(np.column_stack([np.ones(len(z)), z]), target, rcond=None)[0]
    assert read == pytest.approx((again[0] + z @ again[1:])[:500], abs=1e-8)


def test_simulated_patients_have_the_shares_and_correlations_of_the_training() -> None:
    from models.nomogram import _ranges
    from models.nomogram_rows import simulated_rows

    model = fitted("refracture", "cox")
    design, predictors = model.body.design, PREDICTORS["refracture"]  # type: ignore[union-attr]
    rows = simulated_rows(design, predictors, _ranges(model, design, predictors))
    first = design.first_terms
    # Clipping to the axes, rounding and cutting into yes and no weaken what they touch, so this is no equality.
    assert np.abs(rows.mean(axis=0) - design.mean[first]).max(initial=0, where=design.scale[first] < 1) < 0.1
    assert np.corrcoef(np.corrcoef(rows.T).ravel(), design.covariance[np.ix_(first, first)].ravel())[0, 1] > 0.95


def _holds(found: Nomogram, column: str, value: float) -> bool:
    axis = next(axis for axis in found.axes if axis.column == column)
    values = [tick.value for line in axis.lines for tick in line]
    return min(values) <= value <= max(values) if axis.kind == "continuous" else value in values
