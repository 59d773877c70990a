"""Errors of the CT measures on vertebrae drawn at random, as a table and a picture.

    python -m benchmarks.ct_errors [--each N] [--out FOLDER]

Shape, turn, grid, place on the grid, storage order and noise (20 HU) are drawn at random (tests/oracle/ct/sampled.py).
Writes ct_errors.csv and ct_breaches.csv (one row per phantom), ct_errors.md and ct_errors.png.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.ct.labels import understand
from features.ct.measure import Measured, measure_all
from features.ct.shell import BREACH_WIDTH_MM, SITES
from tests.oracle.ct.phantom import Scene
from tests.oracle.ct.sampled import GRIDS, HOLE_CENTRES, holed, scene, stored, vertebra

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]
#: Quantity, unit, and what is allowed at a largest voxel side (mm).
QUANTITIES: dict[str, tuple[str, Callable[[float], float]]] = {
    "anterior": ("mm", lambda side: max(0.5, side / 2)),
    "middle": ("mm", lambda side: max(0.5, side / 2)),
    "posterior": ("mm", lambda side: max(0.5, side / 2)),
    "wedge": ("deg", lambda side: 1.5),
    "volume": ("%", lambda side: 3.0),
    "ct_value": ("HU", lambda side: 3.0),
    "eroded_body": ("HU", lambda side: 3.0),
}
#: Of the grids of ``sampled.GRIDS`` those in which breaches are judged; holes are drawn in these two.
_HOLE_GRIDS = (1, 3)


def measured(rng: np.random.Generator, drawn: Scene) -> Measured | None:
    scan, labels = stored(rng, drawn.render())
    found, _ = measure_all(scan, understand(labels, {}, "auto", {"L1": 20}), ("L1",), lambda _: None)
    return found.get("L1")


def geometry(task: tuple[int, int]) -> Row:
    """One sound or broken body without a hole: its errors, by quantity."""
    grid, number = task
    rng = np.random.default_rng([grid, number])
    truth = vertebra(rng)
    drawn = scene(rng, GRIDS[grid], truth)
    found = measured(rng, drawn)
    row: Row = {"grid": GRIDS[grid].name, "number": number, "largest_voxel_mm": max(drawn.spacing)}
    row |= {"least_height_mm": min(truth.anterior, truth.middle)}
    if found is None or found.heights is None or found.volume_ml is None:
        return row | {"measured": False}
    heights = found.heights
    return row | {
        "measured": True,
        "anterior": heights.anterior_mm - truth.anterior,
        "middle": heights.middle_mm - truth.middle,
        "posterior": heights.posterior_mm - truth.posterior,
        "wedge": heights.wedge_deg - truth.wedge_deg,
        "volume": 100 * (found.volume_ml / truth.volume_ml() - 1),
        "ct_value": found.density.ellipse_region.mean_hu - truth.trabecular_hu,
        "eroded_body": found.density.eroded.mean_hu - truth.trabecular_hu,
        "assessable": found.shell.assessable,
        "false_breaches": sum(bool(site.breached) for site in found.shell.sites.values()),
        "endplate_unsure": any(code == "endplate_unsure" for code, _ in found.warnings),
    }


def breach(task: tuple[int, int, str]) -> Row:
    """One body with a round hole at a site."""
    grid, number, site = task
    rng = np.random.default_rng([grid, number, list(HOLE_CENTRES).index(site), 1])
    truth = holed(rng, replace(vertebra(rng), cortex=1.2), site)
    drawn = scene(rng, GRIDS[grid], truth)
    found = measured(rng, drawn)
    row: Row = {"grid": GRIDS[grid].name, "number": number, "site": site, "gap_mm": truth.holes[0].size_mm}
    if found is None:
        return row | {"measured": False}
    right = found.shell.sites[site]
    others = [seen for name, seen in found.shell.sites.items() if name != site]
    return row | {
        "measured": True,
        "largest_voxel_mm": max(drawn.spacing),
        "flagged": bool(right.breached),
        "gap_error_mm": right.gap_mm - truth.holes[0].size_mm,
        "other_sites_flagged": sum(bool(one.breached) for one in others),
    }


def write(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, names)
        out.writeheader()
        out.writerows({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def within(row: Row, name: str) -> bool:
    return bool(abs(row[name]) <= QUANTITIES[name][1](row["largest_voxel_mm"]))


def table(rows: list[Row]) -> Iterable[str]:
    titles = " | ".join(f"{name}, {unit}" for name, (unit, _) in QUANTITIES.items())
    yield f"| voxels, mm | n | {titles} | all within |"
    yield "|---" * (len(QUANTITIES) + 3) + "|"
    for grid in dict.fromkeys(row["grid"] for row in rows):
        part = [row for row in rows if row["grid"] == grid and row["measured"]]
        cells = []
        for name in QUANTITIES:
            errors = np.array([row[name] for row in part])
            share = 100 * np.mean([within(row, name) for row in part])
            spread = f"{errors.mean():+.2f} ± {errors.std(ddof=1):.2f}"
            cells.append(f"{spread}, {np.quantile(np.abs(errors), 0.95):.2f}, {share:.0f} %")
        whole = sum(all(within(row, name) for name in QUANTITIES) for row in part)
        yield f"| {grid} | {len(part)} | {' | '.join(cells)} | {whole} of {len(part)} |"


def intact_text(rows: list[Row]) -> Iterable[str]:
    judged = [row for row in rows if row.get("assessable", False)]
    flagged = [row for row in judged if row["false_breaches"]]
    sites = sum(row["false_breaches"] for row in judged)
    unsure = sum(row.get("endplate_unsure", False) for row in rows)
    yield f"Not measured: {sum(not row['measured'] for row in rows)} of {len(rows)}; `endplate_unsure`: {unsure}."
    yield f"Breaches (gaps {BREACH_WIDTH_MM:g} mm wide or more) called on intact bodies: on {len(flagged)} of"
    yield f"{len(judged)} whose shell was judged, at {sites} of their {len(SITES) * len(judged)} sites."


def holes_text(rows: list[Row]) -> Iterable[str]:
    seen = [row for row in rows if row["measured"]]
    for low, high in ((3.0, 4.0), (4.0, 5.0), (5.0, 8.0)):
        part = [row for row in seen if low <= row["gap_mm"] < high]
        count = sum(row["flagged"] for row in part)
        yield f"- holes of {low:g} to {high:g} mm: {count} of {len(part)} found at their site"
    found = [row for row in seen if row["flagged"]]
    errors = np.array([row["gap_error_mm"] for row in found])
    allowed = np.array([max(1.5, row["largest_voxel_mm"]) for row in found])
    spread = f"{errors.mean():+.2f} ± {errors.std(ddof=1):.2f} mm, {np.quantile(np.abs(errors), 0.95):.2f}"
    near = int((np.abs(errors) <= allowed).sum())
    yield f"- gap of those found: {spread}, within max(1.5 mm, one voxel): {near} of {len(found)}"
    yield f"- other sites flagged beside the right one: {sum(row['other_sites_flagged'] for row in seen)}"


def picture(rows: list[Row], path: Path) -> None:
    """Each error over the largest side of a voxel, with what is allowed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4).ravel()
    side = np.linspace(0.3, 3.0, 50)
    for axis, (name, (unit, allowed)) in zip(axes, QUANTITIES.items(), strict=False):
        part = [row for row in rows if row["measured"]]
        axis.plot([row["largest_voxel_mm"] for row in part], [row[name] for row in part], "k.", markersize=4)
        bound = np.array([allowed(float(s)) for s in side])
        axis.plot(side, bound, "C1--", side, -bound, "C1--", linewidth=1)
        axis.axhline(0, color="0.7", linewidth=0.8)
        axis.set(title=f"{name}, {unit}", xlabel="largest side of a voxel, mm")
    axes[0].set_ylabel("measured less true")
    for axis in axes[len(QUANTITIES) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="phantoms for each class of voxels")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    asked = parser.parse_args()
    tasks = [(g, n) for g in range(len(GRIDS)) for n in range(asked.each)]
    holes = [(g, n, site) for g in _HOLE_GRIDS for n in range(max(1, asked.each // 4)) for site in HOLE_CENTRES]
    with ProcessPoolExecutor(2) as pool:
        shapes = []
        for row in pool.map(geometry, tasks):
            shapes.append(row)
            print(f"\r{len(shapes)} of {len(tasks)} bodies", end="", flush=True)
        gaps = []
        for row in pool.map(breach, holes):
            gaps.append(row)
            print(f"\r{len(gaps)} of {len(holes)} broken bodies", end="", flush=True)
    lines = [
        "Each cell: mean error ± SD, 95th percentile of its size, share within what is allowed (3 HU, heights",
        "max(0.5 mm, half the largest side of a voxel), 1.5 degrees, 3 %).",
        "",
        *table(shapes),
        "",
        *intact_text(shapes),
        "",
        "Round holes of 3 to 8 mm through the shell, voxels of 0.6-1.25 mm:",
        "",
        *holes_text(gaps),
    ]
    text = "\n".join(lines) + "\n"
    print("\n" + text)
    asked.out.mkdir(parents=True, exist_ok=True)
    write(asked.out / "ct_errors.csv", shapes)
    write(asked.out / "ct_breaches.csv", gaps)
    (asked.out / "ct_errors.md").write_text(text)
    picture(shapes, asked.out / "ct_errors.png")


if __name__ == "__main__":
    main()
