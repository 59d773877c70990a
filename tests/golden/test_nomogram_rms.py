"""The points of R's rms for a logistic model with splines, levels and lines, from its own coefficients.

Made again by: Rscript benchmarks/r/nomogram.R tests/golden/nomogram/rms.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.build import PREDICTORS
from models import Card, LogisticRisk
from models.calibrate import BinaryHead
from models.design import Design, Term
from models.linear import LinearBody
from models.nomogram import Nomogram, nomogram

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "nomogram" / "rms.json").read_text(encoding="utf-8"))
RANGES = {"ct_value_hu": (20.0, 140.0), "planned_volume_ml": (2.0, 8.0), "treated_count": (1.0, 4.0)}


def as_fitted_in_r() -> Nomogram:
    """R's coefficients in a model of ours, its terms neither centred nor scaled."""
    terms = tuple(
        Term(p.name, tuple(GOLDEN["knots"].get(p.name, ())), len(p.levels) if p.shape == "levels" else 0)
        for p in PREDICTORS["leakage"]
    )
    width = len(GOLDEN["coefficients"])
    design = Design(terms, np.zeros(width), np.ones(width), np.eye(width))
    body = LinearBody(
        design,
        np.full(5, GOLDEN["intercept"]),
        np.tile(GOLDEN["coefficients"], (5, 1)),
        np.empty((1, 0, width + 1)),
    )
    model = LogisticRisk()
    model.set_fitted("leakage", body, BinaryHead(np.zeros(5), np.ones(5)))
    model.card = Card("leakage", "logistic", training_range=RANGES)
    return nomogram(model)


FOUND = as_fitted_in_r()


@pytest.mark.parametrize("column", list(GOLDEN["axes"]))
def test_points_are_those_of_rms(column: str) -> None:
    axis = GOLDEN["axes"][column]
    # Any value of the others will do: points of a column do not depend on them.
    row = {name: float(other["value"][0]) for name, other in GOLDEN["axes"].items()}
    ours = [FOUND.points(row | {column: float(value)})[column] for value in axis["value"]]
    assert ours == pytest.approx(axis["points"], abs=1e-4)


def test_risks_stand_at_the_same_total_points() -> None:
    risk = GOLDEN["risk"]
    assert [FOUND.read(points) for points in risk["total_points"]] == pytest.approx(
        [float(value) for value in risk["value"]], rel=1e-5
    )


def test_the_axis_of_the_ct_value_is_folded_where_the_points_of_rms_turn() -> None:
    axis = next(axis for axis in FOUND.axes if axis.column == "ct_value_hu")
    value, points = (np.array(GOLDEN["axes"]["ct_value_hu"][key]) for key in ("value", "points"))
    turn = value[int(np.argmin(points))]
    assert len(axis.lines) == 2
    assert axis.lines[0][-1].value == pytest.approx(turn, abs=3.0)
