"""Errors of the CT measures on phantoms with known answers, as a table.

    python benchmarks/ct_errors.py [--quick]

writes benchmarks/results/ct_errors.csv (one row per phantom) and ct_errors.md (by voxel size, largest and mean error).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from features.ct.labels import understand
from features.ct.measure import Measured, measure_all
from tests.oracle.ct.phantom import Hole, Scene, Vertebra, one

RESULTS = Path(__file__).parent / "results"
SHAPES = {
    "near normal": Vertebra(),
    "wedge 17/27": Vertebra(anterior=17, posterior=27),
    "hollow 3 mm": Vertebra(hollow=3, anterior=24, posterior=26),
    "crushed 9/14": Vertebra(anterior=9, posterior=14, hollow=1),
    "thoracic": Vertebra(half_width=15, front=14, back=12, anterior=19, posterior=21),
}
TURNS = ((0.0, 0.0, 0.0), (20.0, -10.0, 15.0), (40.0, 40.0, 40.0), (-40.0, 40.0, -40.0))
SPACINGS = ((1.0, 1.0, 1.0), (0.7, 0.7, 1.25), (1.0, 1.0, 3.0), (3.0, 3.0, 3.0))
SITES = {
    "superior_endplate": (3, 2),
    "inferior_endplate": (-4, 0),
    "anterior": (2, 1),
    "posterior": (2, 5),
    "lateral_left": (2, -1),
    "lateral_right": (0, 1),
}


def measured(scene: Scene) -> Measured:
    scan, labels = scene.render()
    found, failed = measure_all(scan, understand(labels, {}, "auto", {"L1": 20}), ("L1",), lambda _: None)
    if failed:
        raise SystemExit(f"not measured: {failed}")
    return found["L1"]


def geometry(quick: bool) -> Iterator[dict[str, Any]]:
    cases = list(product(SPACINGS, SHAPES, TURNS))
    cases += [((0.3, 0.3, 0.6), name, TURNS[1]) for name in ("near normal", "wedge 17/27")]
    for seed, (spacing, name, turn) in enumerate(cases[:: 13 if quick else 1]):
        truth = SHAPES[name]
        found = measured(one(truth, spacing=spacing, turn=turn, seed=seed))
        assert found.heights is not None
        assert found.volume_ml is not None
        yield {
            "spacing_mm": "x".join(map(str, spacing)),
            "shape": name,
            "turn_deg": "/".join(str(int(t)) for t in turn),
            "anterior_mm": found.heights.anterior_mm - truth.anterior,
            "middle_mm": found.heights.middle_mm - truth.middle,
            "posterior_mm": found.heights.posterior_mm - truth.posterior,
            "wedge_deg": found.heights.wedge_deg - truth.wedge_deg,
            "volume_pct": 100 * (found.volume_ml / truth.volume_ml() - 1),
            "ct_value_hu": found.density.ellipse_region.mean_hu - truth.trabecular_hu,
            "eroded_hu": found.density.eroded.mean_hu - truth.trabecular_hu,
            "false_breaches": sum(bool(site.breached) for site in found.shell.sites.values()),
        }


def breaches(quick: bool) -> Iterator[dict[str, Any]]:
    cases = list(product(((1.0, 1.0, 1.0), (0.6, 0.6, 1.25)), SITES, (4.0, 7.0)))
    for seed, (spacing, site, size) in enumerate(cases[:: 8 if quick else 1]):
        truth = Vertebra(holes=(Hole(site, size, SITES[site]),))
        found = measured(one(truth, spacing=spacing, turn=(15, 20, -30), seed=seed))
        right = found.shell.sites[site]
        yield {
            "spacing_mm": "x".join(map(str, spacing)),
            "site": site,
            "gap_mm": size,
            "gap_error_mm": right.gap_mm - size,
            "width_error_mm": right.gap_width_mm - size,
            "flagged": right.breached,
            "other_sites_flagged": sum(bool(s.breached) for n, s in found.shell.sites.items() if n != site),
        }


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with (RESULTS / name).open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def table(rows: list[dict[str, Any]]) -> list[str]:
    names = [k for k in rows[0] if k not in ("spacing_mm", "shape", "turn_deg", "false_breaches")]
    lines = [f"| voxels, mm | n | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for spacing in dict.fromkeys(row["spacing_mm"] for row in rows):
        part = [row for row in rows if row["spacing_mm"] == spacing]
        cells = []
        for name in names:
            errors = np.abs([row[name] for row in part])
            cells.append(f"{errors.mean():.2f} / {errors.max():.2f}")
        lines.append(f"| {spacing} | {len(part)} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    quick = "--quick" in sys.argv
    shapes, gaps = list(geometry(quick)), list(breaches(quick))
    lines = [
        "Absolute errors, mean / largest; noise 20 HU; five shapes, four turns of up to 40 degrees on each axis.",
        "",
    ]
    lines += [*table(shapes), "", "Gaps in the shell (hole of 4 or 7 mm at each of six sites):", ""]
    errors = np.abs([row["gap_error_mm"] for row in gaps])
    lines.append(f"- extent of the gap: mean error {errors.mean():.2f}, largest {errors.max():.2f} mm, n {len(gaps)}")
    lines.append(f"- right site flagged: {sum(bool(r['flagged']) for r in gaps)} of {len(gaps)}")
    lines.append(f"- other sites flagged: {sum(r['other_sites_flagged'] for r in gaps)}")
    false = sum(r["false_breaches"] for r in shapes)
    lines.append(f"- sites flagged on the {len(shapes)} intact bodies above: {false}")
    text = "\n".join(lines) + "\n"
    print(text)
    if not quick:
        write("ct_errors.csv", shapes)
        write("ct_breaches.csv", gaps)
        (RESULTS / "ct_errors.md").write_text(text)


if __name__ == "__main__":
    main()
