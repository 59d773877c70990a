"""The figures of a validation: calibration, decision curve, cumulative incidence.

Drawn on Agg through matplotlib's objects, without pyplot and its list of open figures. Every one is
readable in print and without colour: lines differ in dash and shade, and the key says which is which. Only aggregated
numbers reach a figure; no point stands for one patient.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from features.files import write_whole
from training.metrics import Calibration, DecisionCurve, Estimate, Incidence

INK, GREY, PALE = "#000000", "#6b6b6b", "#d4d4d4"
STYLES = (
    ("solid", INK, ""),
    ((0, (6, 2)), GREY, "//"),
    ((0, (1.5, 1.5)), INK, ".."),
    ((0, (6, 2, 1.5, 2)), GREY, "\\\\"),
)
BINS = 40
MONTH_DAYS = 365 / 12  # 12 and 24 months are 365 and 730 days
FORMATS = ("png", "svg", "pdf")


def calibration_figure(
    risk: ArrayLike, calibration: Calibration, title: str, outcome: str = "event", y: ArrayLike | None = None
) -> Figure:
    """The smooth curve with its 95 % band over the histogram of predicted risk.

    ``risk``: (rows,), probabilities; ``outcome`` is named on the axes; ``y``: 0/1 for each row splits the histogram
    into those with (upwards) and without the event (downwards); leave it out under censoring.
    """
    values = np.asarray(risk, dtype=np.float64)
    figure, (axes, below) = _panels((5.2, 6.6), (4.0, 1.0))
    limit = _upper_limit(values, calibration)
    curve = calibration.curve
    axes.plot((0, limit), (0, limit), linestyle=(0, (6, 3)), color=GREY, linewidth=1.0, label="Ideal")
    axes.fill_between(curve.predicted, curve.lo, curve.hi, color=PALE, linewidth=0, label="95 % band")
    marker = "o" if len(curve.predicted) == 1 else None
    axes.plot(curve.predicted, curve.observed, color=INK, linewidth=1.8, marker=marker, label="Observed, smoothed")
    axes.set(xlim=(0, limit), ylim=(0, limit), ylabel=f"Observed risk of {outcome}")
    figure.suptitle(title)
    axes.set_title(_facts(calibration), loc="left", fontsize=8.5, linespacing=1.5)
    # The key goes to the side of the diagonal on which the curve is not.
    too_low = float(np.nanmean(curve.observed - curve.predicted)) > 0
    axes.legend(loc="lower right" if too_low else "upper left", frameon=False)
    _histogram(below, values, limit, None if y is None else np.asarray(y, dtype=np.float64))
    below.set(xlim=(0, limit), xlabel=f"Predicted risk of {outcome}")
    axes.tick_params(labelbottom=False)
    return figure


def decision_figure(curves: Mapping[str, DecisionCurve], title: str, outcome: str = "event") -> Figure:
    """Net benefit over the threshold for each named model, with treating all and treating none.

    The band is drawn for the first model alone, so that lines stay readable. Raises ValueError without a model.
    """
    if not curves:
        raise ValueError("curves: expected at least one named decision curve")
    figure, axes = _single((5.6, 4.2))
    first = next(iter(curves.values()))
    order = np.argsort(first.thresholds)
    cuts = first.thresholds[order]
    axes.fill_between(cuts, first.lo[order], first.hi[order], color=PALE, linewidth=0, label="95 % band (first model)")
    axes.plot(cuts, first.treat_all[order], color=GREY, linewidth=1.0, label="Treat all")
    axes.axhline(0.0, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), label="Treat none")
    for (name, curve), (dash, shade, _) in zip(curves.items(), _styles(len(curves)), strict=True):
        along = np.argsort(curve.thresholds)
        axes.plot(curve.thresholds[along], curve.value[along], linestyle=dash, color=shade, linewidth=1.8, label=name)
    highest = max(float(np.nanmax(np.append(first.hi, first.treat_all))), 0.01)
    axes.set(xlim=(0, float(cuts[-1])), ylim=(-0.15 * highest, 1.08 * highest), title=title)
    axes.set(
        xlabel=f"Threshold: risk of {outcome} from which one would act",
        ylabel="Net benefit (true positives per patient)",
    )
    axes.legend(loc="upper right", frameon=False)
    return figure


def incidence_figure(curves: Mapping[str, Incidence], title: str, outcome: str = "event") -> Figure:
    """Cumulative incidence over time for each named group or cause, as steps with 95 % bands.

    Times are days after the procedure, with months on the upper edge. Raises ValueError without a curve.
    """
    if not curves:
        raise ValueError("curves: expected at least one named cumulative incidence")
    figure, axes = _single((5.6, 4.2))
    for (name, curve), (dash, shade, hatch) in zip(curves.items(), _styles(len(curves)), strict=True):
        order = np.argsort(curve.times)
        days = curve.times[order]
        axes.fill_between(
            days,
            curve.lo[order],
            curve.hi[order],
            step="post",
            facecolor="#00000012",
            edgecolor=PALE,
            hatch=hatch,
            linewidth=0,
        )
        axes.step(days, curve.value[order], where="post", linestyle=dash, color=shade, linewidth=1.8, label=name)
    latest = max(float(curve.times.max()) for curve in curves.values())
    highest = max(float(np.nanmax(curve.hi)) for curve in curves.values())
    axes.set(xlim=(0, latest), ylim=(0, min(1.0, 1.05 * highest)), xlabel="Days after the procedure", title=title)
    axes.set_ylabel(f"Cumulative incidence of {outcome}")
    months = axes.secondary_xaxis("top", functions=(to_months, to_days))
    months.set_xlabel("Months")
    months.set_xticks(np.arange(0, latest / MONTH_DAYS + 0.1, 3 if latest < 800 else 12))
    axes.legend(loc="upper left", frameon=False)
    return figure


def save(figure: Figure, path: Path, dots_per_inch: int = 200) -> None:
    """Writes PNG, SVG or PDF by the ending of ``path``; the same figure gives the same bytes."""
    write_whole(path, render(figure, path.suffix.lstrip("."), dots_per_inch))


def render(figure: Figure, kind: str = "png", dots_per_inch: int = 200) -> bytes:
    """The figure as bytes. ``kind``: png, svg or pdf; anything else raises ValueError."""
    if kind not in FORMATS:
        raise ValueError(f"kind: expected one of {', '.join(FORMATS)}")
    # No date, so that the same figure is the same file.
    metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    memory = io.BytesIO()
    # SVG names its parts by a salted hash; without a salt of its own each file would be another one.
    with rc_context({"svg.hashsalt": "cemrisk"}):
        figure.savefig(memory, format=kind, dpi=dots_per_inch, metadata=metadata)
    return memory.getvalue()


def _single(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _panels(size: tuple[float, float], heights: tuple[float, float]) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=heights)
    _plain(above)
    _plain(below)
    return figure, (above, below)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _styles(count: int) -> list[tuple[object, str, str]]:
    """Dash, shade and hatching of each line; with more than four lines they repeat and the figure is refused."""
    if count > len(STYLES):
        raise ValueError(f"curves: at most {len(STYLES)} can be told apart without colour; draw several figures")
    return list(STYLES[:count])


def _upper_limit(risk: np.ndarray, calibration: Calibration) -> float:
    """Where the axes end: beyond nearly all risks and the curve there, in steps of 0.1."""
    highest = float(np.quantile(risk, 0.995))
    near = calibration.curve.predicted <= highest
    if near.any():
        highest = max(highest, float(np.nanmax(calibration.curve.observed[near])))
    return min(1.0, float(np.ceil(highest * 10 + 0.2) / 10))


def _facts(calibration: Calibration) -> str:
    rows = (
        (("Observed / expected", calibration.oe, 2), ("ICI", calibration.ici, 3)),
        (("Slope", calibration.calibration_slope, 2), ("E90", calibration.e90, 3)),
    )
    return "\n".join(";  ".join(f"{name} {_number(one, digits)}" for name, one, digits in row) for row in rows)


def _number(one: Estimate, digits: int) -> str:
    if np.isnan(one.value):
        return f"not estimable: {one.reason}"
    return f"{one.value:.{digits}f} ({one.lo:.{digits}f} to {one.hi:.{digits}f})"


def _histogram(axes: Axes, risk: np.ndarray, limit: float, y: np.ndarray | None) -> None:
    edges = np.linspace(0, limit, BINS + 1)
    # Risks beyond the axis are counted in the last bar rather than lost.
    kept = np.minimum(risk, limit * (1 - 1e-9))
    centres, width = 0.5 * (edges[1:] + edges[:-1]), 0.9 * limit / BINS
    if y is None:
        axes.bar(centres, np.histogram(kept, edges)[0], width, color=GREY)
        axes.set_ylabel("Patients")
        return
    axes.bar(centres, np.histogram(kept[y == 1], edges)[0], width, color=INK, label="with")
    axes.bar(
        centres,
        -np.histogram(kept[y == 0], edges)[0],
        width,
        color=PALE,
        edgecolor=GREY,
        linewidth=0.4,
        label="without",
    )
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes.set_ylabel("Rows")
    axes.legend(loc="lower right", frameon=False, fontsize=8)


def to_months(days: ArrayLike) -> np.ndarray:
    """Days as months of 365/12 days."""
    return np.asarray(days) / MONTH_DAYS


def to_days(months: ArrayLike) -> np.ndarray:
    """Months of 365/12 days as days."""
    return np.asarray(months) * MONTH_DAYS
