"""Figures say what the numbers say, carry their units, and are the same file every time."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.fitted import fitted, training_cohort
from training import figures
from training.report import panels
from training.report.evaluation import evaluation
from training.report.look import looks
from training.validate import Validated, measure

TITLE = "Leakage, cox"


@cache
def judged(spread: float = 1.0) -> tuple[dict[str, Any], dict[str, float]]:
    """What is kept of a leakage model whose risks hold noise only, and its metrics; 0 ``spread``: all are equal."""
    people = training_cohort("leakage")
    noise = spread * np.random.default_rng(4).normal(0.0, 1.0, len(people.matrix))
    risk = 1.0 / (1.0 + np.exp(1.0 - noise))
    found = measure(people.target, risk, None, risk)
    looked = looks(people, Validated("cox", fitted("leakage", "cox"), risk, None, risk, found))
    return evaluation(people, looked, {})["horizons"][0], found


@cache
def incidence() -> dict[str, Any]:
    found: dict[str, Any] = evaluation(training_cohort("refracture"), [], {})["incidence"]
    return found


def lines(axes) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.lines}


def words(figure) -> str:
    """All text of the figure."""
    root = [t.get_text() for axes in figure.axes for t in axes.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join([*root, figure.get_suptitle()])


def test_calibration_figure_shows_the_curve_and_its_facts() -> None:
    kept, found = judged()
    figure = panels.calibration_figure(kept, found, TITLE)
    drawn = lines(figure.axes[0])["Observed, smoothed"]
    assert list(drawn.get_xdata()) == kept["calibration"]["predicted"]
    assert list(drawn.get_ydata()) == kept["calibration"]["observed"]
    assert f"{found['oe']:.2f} ({found['oe_lo']:.2f} to {found['oe_hi']:.2f})" in words(figure)
    assert TITLE in words(figure) and "Predicted risk of a leak" in words(figure)


def test_calibration_of_equal_risks_is_one_point_without_a_slope() -> None:
    kept, found = judged(0.0)
    figure = panels.calibration_figure(kept, found, TITLE)
    assert len(lines(figure.axes[0])["Observed, smoothed"].get_xdata()) == 1
    assert "Slope -\n" in words(figure) and figures.render(figure)


def test_decision_figure_has_both_extreme_policies() -> None:
    kept, _ = judged()
    figure = panels.decision_figure(kept, TITLE)
    drawn = lines(figure.axes[0])
    assert {"Act on all", "Act on none", "Model"} <= set(drawn)
    assert list(drawn["Model"].get_xdata()) == kept["decision"]["thresholds"]
    assert list(drawn["Model"].get_ydata()) == kept["decision"]["value"]
    assert "Net benefit" in words(figure) and "Threshold" in words(figure) and TITLE in words(figure)


def test_incidence_figure_has_days_and_months() -> None:
    figure = panels.incidence_figure(incidence(), {"any": "Any new fracture", "death": "Death"})
    drawn = lines(figure.axes[0])["Aalen-Johansen"]
    assert list(drawn.get_xdata()) == [0.0, *incidence()["days"]]
    assert list(drawn.get_ydata()) == [0.0, *incidence()["aalen_johansen"]["any"]["value"]]
    said = words(figure)
    assert "Days after the procedure" in said and "Any new fracture" in said and "Cumulative incidence" in said


def test_lines_can_be_told_apart_without_colour() -> None:
    kept, _ = judged()
    names = ["one", "two", "three", "four"]
    drawn = lines(panels.overlay_figure(dict.fromkeys(names, kept)).axes[0])
    assert len({str(drawn[name]._dash_pattern) for name in names}) == 4
    for name in names:
        shade = str(drawn[name].get_color()).lstrip("#")
        assert len({shade[i : i + 2] for i in (0, 2, 4)}) == 1
    with pytest.raises(ValueError, match="at most 4"):
        panels.overlay_figure(dict.fromkeys([*names, "fifth"], kept))


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_same_figure_same_bytes(kind, start) -> None:
    kept, _ = judged()
    first, second = (figures.render(panels.decision_figure(kept, TITLE), kind) for _ in range(2))
    assert first == second and first.startswith(start)
    if kind == "svg":
        assert ElementTree.fromstring(first).tag.endswith("svg")


def test_no_global_state_and_only_known_formats() -> None:
    assert not any("pyplot" in name for module in (figures, panels) for name in dir(module))
    before = sys.modules.get("matplotlib.pyplot")
    figure = panels.decision_figure(judged()[0])
    assert sys.modules.get("matplotlib.pyplot") is before
    with pytest.raises(ValueError, match="png, svg, pdf"):
        figures.render(figure, "bmp")
