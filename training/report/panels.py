"""The panels of figures, drawn from the stored evaluation: black and grey, told apart by dashes and words, not colour.

Each draws on axes that it is given, so that one panel serves the run's summary, the report and the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.figures import GREY, INK, MONTH_DAYS, PALE, STYLES, to_days, to_months

Floats = NDArray[np.float64]
Evaluated = Mapping[str, Any]

#: What a thin bar of counts below the curve takes of the height of the axes.
_RUG = 0.16
_Line = tuple[tuple[str, str, int], ...]
#: Key numbers by line, each with its digits: calibration first.
_FACTS: tuple[_Line, ...] = (
    (("oe", "Observed / expected", 2), ("calibration_slope", "Slope", 2), ("ici", "ICI", 3), ("e90", "E90", 3)),
    (("auc", "AUC", 3), ("scaled_brier", "Scaled Brier", 3), ("log_loss", "Log loss", 3)),
)


def paper(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` by ``height`` inches and its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=9)
    return figure, axes


def floats(values: Sequence[float | None]) -> Floats:
    """Stored numbers as an array; null is NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def calibration_panel(axes: Axes, models: Mapping[str, Evaluated]) -> None:
    """Smooth calibration curves of one horizon by name; a single one has its band and the counts of its risks."""
    limit = max(_limit(one) for one in models.values())
    axes.plot((0, limit), (0, limit), linestyle=(0, (1, 2)), color=GREY, linewidth=1.0, label="Ideal")
    for (name, one), (dash, shade) in zip(models.items(), STYLES, strict=False):
        curve = {key: floats(one["calibration"][key]) for key in ("predicted", "observed", "lo", "hi")}
        label = name
        if len(models) == 1:
            axes.fill_between(curve["predicted"], curve["lo"], curve["hi"], color=PALE, linewidth=0, label="95 % band")
            label = "Observed, smoothed"
            _rug(axes, one["histogram"], limit)
        marker = "o" if len(curve["predicted"]) == 1 else None
        axes.plot(
            curve["predicted"], curve["observed"], linestyle=dash, color=shade, linewidth=1.8, marker=marker,
            label=label,
        )  # fmt: skip
    event = next(iter(models.values()))["event"]
    axes.set(xlim=(0, limit), ylim=(-_RUG * limit if len(models) == 1 else 0, limit))
    axes.set(xlabel=f"Predicted risk of {event}", ylabel="Observed share")
    axes.set_yticks([tick for tick in axes.get_xticks() if 0 <= tick <= limit + 1e-9])
    axes.set_title("Calibration", loc="left", fontsize=10.5, fontweight="bold")
    # On the side of the diagonal on which no curve is, and on white, for a wide band may lie behind it.
    curves = [one["calibration"] for one in models.values()]
    above = sum(float(np.nansum(floats(curve["observed"]) - floats(curve["predicted"]))) for curve in curves) > 0
    free: Literal["lower right", "upper left"] = "lower right" if above else "upper left"
    foot = _RUG / (1 + _RUG) if len(models) == 1 else 0.0  # what the bars below zero take of the height
    axes.legend(loc=free, bbox_to_anchor=(0, foot, 1, 1 - foot), edgecolor="none", framealpha=0.85, fontsize=8.5)


def _rug(axes: Axes, histogram: Mapping[str, Any], limit: float) -> None:
    """Counts of predicted risks as bars hanging below zero; counts too small to be told are not drawn."""
    counts, width = np.nan_to_num(floats(histogram["counts"])), histogram["width"]
    left = width * np.arange(len(counts))
    inside = left < limit - 1e-9
    height = -_RUG * limit * counts / max(float(counts.max()), 1.0)
    axes.bar(left[inside] + width / 2, height[inside], 0.85 * width, color=GREY)
    axes.axhline(0, color=INK, linewidth=0.6)


def _limit(one: Evaluated) -> float:
    """Where the axes end: beyond nearly all risks and the curve, in steps of 0.1."""
    counts = np.nan_to_num(floats(one["histogram"]["counts"]))
    share = np.cumsum(counts) / max(float(counts.sum()), 1.0)
    highest = float((np.searchsorted(share, 0.99) + 1) * one["histogram"]["width"])
    predicted, observed = (floats(one["calibration"][key]) for key in ("predicted", "observed"))
    near = (predicted <= highest) & np.isfinite(observed)
    if near.any():
        highest = max(highest, float(observed[near].max()))
    return min(1.0, float(np.ceil(highest * 10 - 1e-9) / 10))


def distribution_panel(axes: Axes, one: Evaluated) -> None:
    """Predicted risk of those with and without the event: quartiles as boxes, 5th and 95th centile as whiskers."""
    spread = one["distribution"]
    for place, (group, label, face) in enumerate((("no_event", "without", PALE), ("event", "with", GREY))):
        low, q1, middle, q3, high = floats(spread[group])
        box = {"whislo": low, "q1": q1, "med": middle, "q3": q3, "whishi": high, "label": label}
        parts = axes.bxp(
            [box], positions=[place], widths=0.5, orientation="horizontal", showfliers=False, patch_artist=True,
            medianprops={"color": INK, "linewidth": 2.0},
        )  # fmt: skip
        for patch in parts["boxes"]:
            patch.set_facecolor(face)
        axes.plot(spread[f"mean_{group}"], place, marker="D", color="white", markeredgecolor=INK, markersize=5)
    axes.set(xlim=(0, None), ylim=(-0.6, 1.6), xlabel=f"Predicted risk of {one['event']}")
    axes.set_yticks([0, 1], ["without\nthe event", "with\nthe event"])
    axes.set_title("Risk by outcome", loc="left", fontsize=10.5, fontweight="bold")
    axes.text(
        0.99, 0.5, "line median, diamond mean,\nbox quartiles, whiskers\n5th and 95th centile", fontsize=7.5,
        transform=axes.transAxes, ha="right", va="center", color="#404040",
    )  # fmt: skip


def decision_panel(axes: Axes, models: Mapping[str, Evaluated]) -> None:
    """Net benefit over the threshold by name; a single model has its band; with acting on all and on none."""
    first = {key: floats(values) for key, values in next(iter(models.values()))["decision"].items()}
    cuts = first["thresholds"]
    if len(models) == 1:
        axes.fill_between(cuts, first["lo"], first["hi"], color=PALE, linewidth=0, label="95 % band")
    axes.plot(cuts, first["treat_all"], color=GREY, linewidth=1.0, label="Act on all")
    axes.axhline(0.0, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), label="Act on none")
    highest = 0.01
    for (name, one), (dash, shade) in zip(models.items(), STYLES, strict=False):
        value = floats(one["decision"]["value"])
        highest = max(highest, *_known(value), *_known(floats(one["decision"]["hi"])))
        axes.plot(cuts, value, linestyle=dash, color=shade, linewidth=1.8, label=name if len(models) > 1 else "Model")
    axes.set(xlim=(0, float(cuts[-1])), ylim=(-0.2 * highest, 1.1 * highest))
    axes.set(xlabel="Threshold: risk from which one acts", ylabel="Net benefit (true positives per case)")
    axes.set_title("Decision curve", loc="left", fontsize=10.5, fontweight="bold")
    axes.legend(loc="upper right", frameon=False, fontsize=8.5)


def _known(values: Floats) -> list[float]:
    return [float(value) for value in values[np.isfinite(values)]]


def incidence_panel(axes: Axes, incidence: Mapping[str, Any], cause: str, label: str) -> None:
    """Aalen-Johansen with its band beside one minus Kaplan-Meier for one cause."""
    days = np.append(0.0, floats(incidence["days"]))
    curve = {end: np.append(0.0, floats(incidence["aalen_johansen"][cause][end])) for end in ("value", "lo", "hi")}
    naive = np.append(0.0, floats(incidence["one_minus_kaplan_meier"][cause]))
    axes.fill_between(days, curve["lo"], curve["hi"], step="post", color=PALE, linewidth=0, label="95 % band")
    axes.step(days, curve["value"], where="post", color=INK, linewidth=1.6, label="Aalen-Johansen")
    axes.step(days, naive, where="post", color=GREY, linewidth=1.4, linestyle=(0, (4, 2)), label="1 - Kaplan-Meier")
    start = "landmark" if incidence.get("landmark_day") else "procedure"
    axes.set(xlim=(0, days[-1]), ylim=(0, None), xlabel=f"Days after the {start}", ylabel="Cumulative incidence")
    axes.set_title(label, loc="left", fontsize=10.5, fontweight="bold")
    months = axes.secondary_xaxis("top", functions=(to_months, to_days))
    months.set_xticks(np.arange(0, days[-1] / MONTH_DAYS + 0.1, 6))
    months.tick_params(labelsize=8)
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def facts_text(metrics: Mapping[str, float], suffix: str, lines: Sequence[_Line] = _FACTS) -> str:
    """The key numbers of one horizon in lines, calibration first; ``suffix`` ends the names of its metrics."""
    return "\n".join(
        ";  ".join(f"{label} {metric_text(metrics, name + suffix, digits)}" for name, label, digits in line)
        for line in lines
    )


def metric_text(metrics: Mapping[str, float], name: str, digits: int = 3) -> str:
    """A metric of a run with its interval."""
    value, low, high = (metrics.get(name + end) for end in ("", "_lo", "_hi"))
    return interval(value, low, high, digits)


def interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    """``0.70 (0.66 to 0.73)``; ``-`` where there is no value."""
    if value is None or not np.isfinite(value):
        return "-"
    spread = "" if low is None or high is None else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{value:.{digits}f}{spread}"


def summary_figure(one: Evaluated, metrics: Mapping[str, float], title: str) -> Figure:
    """Calibration, distribution of risk, decision curve and key numbers of one horizon on one page."""
    figure, (left, middle, right) = paper(13.0, 4.9, columns=3)
    figure.suptitle(f"{title}\n{facts_text(metrics, one['suffix'])}", fontsize=10, linespacing=1.5, ha="center")
    calibration_panel(left, {"": one})
    distribution_panel(middle, one)
    decision_panel(right, {"": one})
    return figure


def agreement_figure(one: Evaluated) -> Figure:
    """Calibration and distribution of risk of one horizon, for the report."""
    figure, (left, right) = paper(9.0, 4.2, columns=2)
    calibration_panel(left, {"": one})
    distribution_panel(right, one)
    return figure


def calibration_figure(one: Evaluated, metrics: Mapping[str, float], title: str) -> Figure:
    """Calibration of one horizon under its key numbers, for the run."""
    figure, (axes,) = paper(5.6, 6.2)
    of_calibration = (_FACTS[0][:2], _FACTS[0][2:])
    figure.suptitle(f"{title}\n{facts_text(metrics, one['suffix'], of_calibration)}", fontsize=9, linespacing=1.5)
    calibration_panel(axes, {"": one})
    return figure


def decision_figure(one: Evaluated, title: str = "") -> Figure:
    """The decision curve of one horizon, for the report and, with a title, for the run."""
    figure, (axes,) = paper(5.6, 4.0)
    figure.suptitle(title, fontsize=10)
    decision_panel(axes, {"": one})
    return figure


def overlay_figure(models: Mapping[str, Evaluated]) -> Figure:
    """Calibration and decision curves of up to four models at one horizon over each other."""
    if len(models) > len(STYLES):
        raise ValueError(f"at most {len(STYLES)} lines can be told apart without colour")
    figure, (left, right) = paper(10.0, 4.4, columns=2)
    calibration_panel(left, models)
    decision_panel(right, models)
    return figure


def incidence_figure(incidence: Mapping[str, Any], labels: Mapping[str, str]) -> Figure:
    """One panel for each cause that is labelled, side by side, two in a row."""
    rows = (len(labels) + 1) // 2
    figure, axes = paper(9.0, 3.4 * rows, rows=rows, columns=2)
    for one, (cause, label) in zip(axes, labels.items(), strict=False):
        incidence_panel(one, incidence, cause, label)
    for unused in axes[len(labels) :]:
        unused.remove()
    return figure


def contrast_figure(pairs: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, str]) -> Figure:
    """Paired differences by name of the pair, a panel for each metric (name -> label), with the line of no difference.

    ``pairs``: for each pair its metrics as ``{"value", "lo", "hi"}``; one that does not exist is left out.
    """
    figure, panels = paper(10.0, 0.9 + 0.35 * len(pairs), columns=len(metrics))
    for axes, (metric, label) in zip(panels, metrics.items(), strict=True):
        for place, found in enumerate(pairs.values()):
            value, low, high = floats([found.get(metric, {}).get(end) for end in ("value", "lo", "hi")])
            axes.plot((low, high), (place, place), color=INK, linewidth=1.4, marker="|", markersize=7)
            axes.plot(value, place, color=INK, marker="o", markersize=5)
        axes.axvline(0.0, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)))
        axes.locator_params(axis="x", nbins=3)
        axes.set(ylim=(len(pairs) - 0.5, -0.5))
        axes.set_xlabel(f"Difference of {label}", fontsize=9)
        axes.set_yticks(range(len(pairs)), list(pairs) if axes is panels[0] else [""] * len(pairs))
    return figure
