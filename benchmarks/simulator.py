"""Does the simulator keep its promises at full size? Prints and writes benchmarks/results/simulator.md.

    python benchmarks/simulator.py [--patients 50000] [--seeds 1 2 3 4 5 6 7 8]

For the default world and its strict-CT, high-mortality setting: rates against the regression targets of the world file,
one registry a seed. For these, the world with halved coefficients and the one with four signs flipped: truth against
what was drawn, in tenths of risk. The noise of a rate is that of 50,000 patients: a small stratum has a standard error
of 0.0045, so now and then one of its registries leaves 0.01 by chance; its mean over the seeds must not.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

from training.simulate import Registry, World, simulate
from training.simulate.calibration import Rate, calibration_z, default_world_rates
from training.simulate.world import FLIPPED_FOR_BENCHMARK

RESULT = Path(__file__).parent / "results" / "simulator.md"
TOLERANCE = 0.01
LARGEST_Z = 3.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6, 7, 8])
    options = parser.parse_args()
    seeds = " ".join(map(str, options.seeds))
    lines = [
        "# The simulator against its own targets",
        "",
        f"`python benchmarks/simulator.py --patients {options.patients} --seeds {seeds}` "
        f"(Python {platform.python_version()}, NumPy {np.__version__})",
    ]
    for title, world, wanted in worlds(options.seeds):
        lines += ["", f"## {title}", "", *section(world, options.patients, wanted)]
    text = "\n".join(lines) + "\n"
    print(text)
    RESULT.write_text(text, encoding="utf-8")


def worlds(seeds: list[int]) -> list[tuple[str, World, list[int]]]:
    """Title, world and the seeds that it is drawn with."""
    default = World.load()
    strict = default.with_design(profile="ct_strict", mortality="spain_like_age80")
    return [
        ("default world", default, seeds),
        ("strict CT, high mortality", strict, seeds),
        ("halved coefficients", default.halved(), seeds[:1]),
        (f"signs flipped: {', '.join(FLIPPED_FOR_BENCHMARK)}", default.flipped(FLIPPED_FOR_BENCHMARK), seeds[:1]),
    ]


def section(world: World, patients: int, seeds: list[int]) -> list[str]:
    rates: list[list[Rate]] = []
    scores: list[dict[str, np.ndarray]] = []
    seconds = []
    for seed in seeds:
        print(f"{world.name}, seed {seed} ...", file=sys.stderr)
        started = time.perf_counter()
        registry = simulate(patients, seed, world)
        seconds.append(time.perf_counter() - started)
        scores.append({column: calibration_z(registry, column) for column in registry.truth})
        if "calibrated" in world.tree:
            rates.append(default_world_rates(registry))
    lines = [f"{patients} patients a registry, {len(seeds)} drawn, {np.median(seconds):.1f} s each"]
    if rates:
        lines += ["", *rate_table(rates)]
    return [*lines, "", *z_table(registry, scores)]


def rate_table(rates: list[list[Rate]]) -> list[str]:
    lines = ["| rate | target | mean found | mean difference | largest difference of a registry | standard error |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    outside, means = 0, []
    for same in zip(*rates, strict=True):
        off = np.array([rate.found - rate.target for rate in same])
        outside += int((np.abs(off) > TOLERANCE).sum())
        means.append(abs(off.mean()))
        lines.append(
            f"| {same[0].name} | {same[0].target:.3f} | {same[0].target + off.mean():.4f} | {off.mean():+.4f} | "
            f"{off[np.abs(off).argmax()]:+.4f} | {same[0].standard_error:.4f} |"
        )
    return [*lines, "", f"Largest mean difference {max(means):.4f}; "
            f"single rates off by more than {TOLERANCE}: {outside} of {len(means) * len(rates)}"]  # fmt: skip


def z_table(registry: Registry, scores: list[dict[str, np.ndarray]]) -> list[str]:
    lines = ["| truth | mean | drawn − truth in tenths of rising risk, standardised, errors by patient (first seed) "
             "| largest of all seeds |", "| --- | --- | --- | --- |"]  # fmt: skip
    for column, truth in registry.truth.items():
        first, largest = scores[0][column], max(float(np.abs(z[column]).max()) for z in scores)
        lines.append(f"| {column} | {truth.mean():.4f} | {' '.join(f'{v:+.1f}' for v in first)} | {largest:.2f} |")
    every = np.array([z[column] for z in scores for column in registry.truth])
    above = int((np.abs(every) > LARGEST_Z).sum())
    summary = f"Largest |z| {np.abs(every).max():.2f}; above {LARGEST_Z}: {above} of {every.size}"
    return [*lines, "", f"{summary}; standard deviation {every.std():.2f}"]


if __name__ == "__main__":
    main()
