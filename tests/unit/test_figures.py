"""Figures say what the numbers say, carry their units, and are the same file every time."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from training import figures, metrics

HORIZON_DAYS = 365.0


def _cohort(rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    risk = rng.beta(2, 5, rows)
    event = rng.exponential(HORIZON_DAYS / -np.log1p(-risk))
    stop = rng.uniform(200, 900, rows)
    return risk, (event <= stop).astype(int), np.minimum(event, stop)


def _words(figure) -> str:
    """All text of the figure."""
    root = [t.get_text() for axes in figure.axes for t in axes.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join([*root, figure.get_suptitle()])


def test_calibration_figure_shows_the_curve_and_its_facts():
    risk, code, days = _cohort()
    found = metrics.calibration_at(risk, code, days, HORIZON_DAYS)
    figure = figures.calibration_figure(risk, found, "Validation", "refracture within 12 months")
    drawn = next(line for line in figure.axes[0].lines if line.get_label().startswith("Observed"))
    assert drawn.get_xdata() == pytest.approx(found.curve.predicted)
    assert drawn.get_ydata() == pytest.approx(found.curve.observed)
    words = _words(figure)
    assert f"{found.oe.value:.2f} ({found.oe.lo:.2f} to {found.oe.hi:.2f})" in words
    assert "Predicted risk of refracture within 12 months" in words and "Patients" in words


def test_histogram_counts_every_row():
    risk, _, _ = _cohort()
    risk[0] = 0.99  # beyond the axis
    y = (np.random.default_rng(1).random(len(risk)) < risk).astype(int)
    split = figures.calibration_figure(risk, metrics.calibration(risk, y), "Validation", "leakage", y=y)
    heights = np.array([bar.get_height() for bar in split.axes[1].patches])
    assert heights[heights > 0].sum() == y.sum() and -heights[heights < 0].sum() == (1 - y).sum()
    whole = figures.calibration_figure(risk, metrics.calibration(risk, y), "Validation", "leakage")
    assert sum(bar.get_height() for bar in whole.axes[1].patches) == len(risk)


def test_calibration_of_equal_risks_is_one_point_with_its_reason():
    y = (np.arange(60) < 20).astype(int)
    risk = np.full(60, 0.4)
    figure = figures.calibration_figure(risk, metrics.calibration(risk, y), "Constant")
    assert "not estimable: all predicted risks are equal" in _words(figure)
    assert figures.render(figure)


def test_decision_figure_has_both_extreme_policies_and_sorts_thresholds():
    risk, code, _ = _cohort()
    curve = metrics.net_benefit(risk, code, [0.3, 0.1, 0.2])
    figure = figures.decision_figure(
        {"Logistic": curve, "Half": metrics.net_benefit(risk / 2, code, [0.1, 0.2])}, "Decision"
    )
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"Treat all", "Treat none", "Logistic", "Half"} <= set(lines)
    assert list(lines["Logistic"].get_xdata()) == [0.1, 0.2, 0.3]
    assert list(lines["Logistic"].get_ydata()) == [curve.value[1], curve.value[2], curve.value[0]]
    assert "Net benefit" in _words(figure) and "Threshold" in _words(figure)


def test_incidence_figure_has_days_and_months():
    _, code, days = _cohort()
    curve = metrics.aalen_johansen(code, days, [365.0, 0.0, 91.0])
    figure = figures.incidence_figure({"Any": curve}, "Refracture", "refracture")
    assert list(figure.axes[0].lines[0].get_xdata()) == [0.0, 91.0, 365.0]
    words = _words(figure)
    assert "Days after the procedure" in words and "Months" in words and "Cumulative incidence of refracture" in words


def test_lines_can_be_told_apart_without_colour():
    _, code, days = _cohort()
    curve = metrics.aalen_johansen(code, days, np.linspace(0, 365, 20))
    names = ["same", "adjacent", "remote", "death"]
    figure = figures.incidence_figure(dict.fromkeys(names, curve), "Causes")
    lines = figure.axes[0].lines
    assert len({str(line._dash_pattern) for line in lines}) == 4
    assert all(len({str(line.get_color()).lstrip("#")[i : i + 2] for i in (0, 2, 4)}) == 1 for line in lines)
    with pytest.raises(ValueError, match="at most 4"):
        figures.incidence_figure(dict.fromkeys([*names, "fifth"], curve), "Causes")
    with pytest.raises(ValueError, match="at least one"):
        figures.decision_figure({}, "None")


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_same_figure_same_bytes(kind, start, tmp_path):
    risk, code, _ = _cohort()
    made = [figures.decision_figure({"m": metrics.net_benefit(risk, code, [0.1, 0.3])}, "Decision") for _ in range(2)]
    first, second = (figures.render(one, kind) for one in made)
    assert first == second and first.startswith(start)
    figures.save(made[0], tmp_path / f"figure.{kind}")
    assert (tmp_path / f"figure.{kind}").read_bytes() == first
    if kind == "svg":
        assert ElementTree.fromstring(first).tag.endswith("svg")


def test_no_global_state_and_only_known_formats():
    assert "matplotlib.pyplot" not in vars(figures) and not any("pyplot" in name for name in dir(figures))
    risk, code, _ = _cohort()
    before = sys.modules.get("matplotlib.pyplot")
    figure = figures.decision_figure({"m": metrics.net_benefit(risk, code, [0.1, 0.3])}, "Decision")
    assert sys.modules.get("matplotlib.pyplot") is before
    with pytest.raises(ValueError, match="png, svg, pdf"):
        figures.render(figure, "bmp")
