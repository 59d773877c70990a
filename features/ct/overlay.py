"""Pictures for a person: each vertebra cut along its own planes, with what was measured drawn on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.ct.measure import Measured
from features.ct.volume import Floats
from features.files import whole_file

_WINDOW = {"cmap": "gray", "vmin": -150.0, "vmax": 700.0, "origin": "lower", "interpolation": "nearest"}
_NAMES = ("anterior", "middle", "posterior")
#: A mark for each height and line styles for each outline, so that nothing rests on colour alone.
_MARKS = ("s--", "^--", "o--")


def draw(measured: Mapping[str, Measured], path: Path, notes: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes one PNG with a row for each vertebra: axial (ellipse), sagittal (corners); breaches are crosses.

    Radiological orientation: the patient's right (R) is on the left of an axial picture, the front (A) is up; in the
    sagittal one the front is on the left and the head up. ``notes``: what to write beside a level's name.
    """
    figure = Figure(figsize=(8.0, 3.6 * len(measured)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(measured), 2, squeeze=False)
    for row, (level, one) in zip(axes, measured.items(), strict=True):
        axial(row[0], one)
        sagittal(row[1], one)
        row[0].set_ylabel(f"{level} ({notes[level]})" if level in notes else level)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def axial(axis: Any, one: Measured) -> None:
    """The section through mid-body with the region of the CT value."""
    ellipse = one.density.ellipse
    level = ellipse.level_mm if ellipse else 0.0
    u, v = np.arange(-42, 42.1, 0.5), np.arange(-50, 34.1, 0.5)
    x, y = np.meshgrid(u, v)
    axis.imshow(_section(one, np.stack([x, y, np.full_like(x, level)], axis=-1)), extent=(-42, 42, -50, 34), **_WINDOW)
    section = one.body.mask[:, :, int(np.argmin(np.abs(one.body.grid.z - level)))]
    axis.contour(one.body.grid.x, one.body.grid.y, section.T.astype(float), [0.5], colors="tab:cyan", linewidths=0.8)
    if ellipse:
        t = np.linspace(0, 2 * np.pi, 100)
        (x0, y0), (a, b) = ellipse.centre, ellipse.half_axes
        axis.plot(x0 + a * np.cos(t), y0 + b * np.sin(t), "--", color="tab:orange", linewidth=1.2, label="CT value")
    _breaches(axis, one, (0, 1), (2, level))
    axis.invert_xaxis()
    _letters(axis, ("R", "L", "A", "P"))
    axis.set_title(f"{one.level} axial: {one.density.ellipse_region.mean_hu:.0f} HU", fontsize=9)
    axis.set_xlabel("to the right of the midline, mm", fontsize=8)


def sagittal(axis: Any, one: Measured) -> None:
    """The vertebra's own mid-sagittal plane with its endplates, corners and heights."""
    u, v = np.arange(-50, 34.1, 0.5), np.arange(-32, 32.1, 0.5)
    y, z = np.meshgrid(u, v)
    axis.imshow(_section(one, np.stack([np.zeros_like(y), y, z], axis=-1)), extent=(-50, 34, -32, 32), **_WINDOW)
    middle = len(one.body.grid.x) // 2
    axis.contour(one.body.grid.y, one.body.grid.z, one.body.mask[middle].T.astype(float), [0.5], colors="tab:cyan",
                 linewidths=0.8)  # fmt: skip
    title = f"{one.level} sagittal: cut by the field of view"
    if one.heights is not None:
        corners = one.heights.corners
        ys = np.linspace(corners[4:, 0].min(), corners[:2, 0].max(), 40)
        for plate in one.plates:
            axis.plot(ys, plate.midline(ys), color="tab:orange", linewidth=1.2)
        for i, name, mark in zip((0, 2, 4), _NAMES, _MARKS, strict=True):
            axis.plot(corners[i : i + 2, 0], corners[i : i + 2, 1], mark, color="tab:green", markersize=5, label=name)
        h = one.heights
        title = f"{one.level}: {h.anterior_mm:.1f} / {h.middle_mm:.1f} / {h.posterior_mm:.1f} mm, {h.wedge_deg:.1f}°"
    _breaches(axis, one, (1, 2), (0, 0.0))
    axis.invert_xaxis()
    _letters(axis, ("A", "P", "H", "F"))
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("in front of the body's centre, mm", fontsize=8)


def _section(one: Measured, local: Floats) -> Floats:
    return np.asarray(one.scan.sample(one.body.frame.to_mm(local), outside=-1000.0), dtype=float)


def _breaches(axis: Any, one: Measured, shown: tuple[int, int], cut: tuple[int, float]) -> None:
    """Points of breached sites within 6 mm of the plane of the picture, as crosses, and the legend."""
    label: str | None = "breach"
    for site in one.shell.sites.values():
        if site.breached and len(site.gap_points_mm):
            local = one.body.frame.to_local(site.gap_points_mm)
            near = local[np.abs(local[:, cut[0]] - cut[1]) < 6.0]
            style = {"color": "tab:red", "markersize": 6, "markeredgewidth": 1.5, "linestyle": "none"}
            axis.plot(near[:, shown[0]], near[:, shown[1]], marker="x", label=label, **style)
            label = None
    if not one.shell.assessable:
        axis.plot([], [], " ", label="breach: not judged")
    elif label is not None:
        axis.plot([], [], " ", label="breach: none")
    axis.legend(loc="lower right", fontsize=6, framealpha=0.7)


def _letters(axis: Any, sides: tuple[str, str, str, str]) -> None:
    """Names of the patient's sides (Anterior, Posterior, Head, Feet) at the left, right, top and bottom."""
    style = {"transform": axis.transAxes, "color": "white", "fontsize": 10, "weight": "bold"}
    places = ((0.02, 0.5), (0.95, 0.5), (0.48, 0.93), (0.48, 0.02))
    for letter, (x, y) in zip(sides, places, strict=True):
        axis.text(x, y, letter, **style)
