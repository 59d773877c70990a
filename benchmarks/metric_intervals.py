"""How often the 95 % intervals of the metrics hold the truth, over simulated registries.

    python benchmarks/metric_intervals.py --registries 400 --patients 1000 --out benchmarks/results/metric_intervals.md

Each registry draws patients with known risk (death competing, a third lost early; every patient with 1-3 vertebrae for
the binary outcome, which share an unseen effect). The risk that is judged is a distorted one, so that no metric sits at
its ideal; its true value is that of 600,000 patients with complete follow-up. For the true risk the calibration is
known exactly. Simulation error of a share of 0.95 over 400 registries: 0.011.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training import metrics

HORIZON_DAYS = 365.0
Arrays = tuple[np.ndarray, ...]
Measures = dict[str, Callable[..., metrics.Estimate]]
MEMBERS = ("oe", "calibration_in_the_large", "calibration_slope", "ici", "e50", "e90", "emax")


def distorted(risk: np.ndarray) -> np.ndarray:
    """Too extreme and a little too high, on the complementary log-log scale."""
    return np.asarray(-np.expm1(-np.exp(1.3 * np.log(-np.log1p(-risk)) + 0.5)))


def survival(patients: int, seed: int, complete: bool = False) -> Arrays:
    """True risk by the horizon, event code, days."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, patients))
    event, other = 0.18 * np.exp(0.8 * x) / 365, 0.12 * np.exp(0.6 * z + 0.3 * x) / 365
    days = rng.exponential(1 / (event + other))
    code = 1 + (rng.random(patients) < other / (event + other))
    stop = np.full(patients, np.inf) if complete else np.minimum(rng.exponential(700.0, patients), 1200.0)
    risk = event / (event + other) * -np.expm1(-(event + other) * HORIZON_DAYS)
    return risk, np.where(days <= stop, code, 0), np.minimum(days, stop)


def vertebrae(patients: int, seed: int) -> Arrays:
    """True risk of each vertebra averaged over the patient's unseen effect, outcome, patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.choice([1, 2, 3], patients, p=[0.6, 0.3, 0.1]))
    eta = -1.4 + 0.5 * rng.normal(size=patients)[patient] + 0.6 * rng.normal(size=len(patient))
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    risk = (1 / (1 + np.exp(-(eta[:, None] + nodes)))) @ (weights / weights.sum())
    y = rng.random(len(patient)) < 1 / (1 + np.exp(-(eta + rng.normal(size=patients)[patient])))
    return risk, y.astype(int), patient


def measures(at: bool) -> Measures:
    """Name -> function; calibration members are taken out of one call by ``judge``."""
    names = ("auc", "brier", "scaled_brier", "log_loss")
    found: Measures = {name: getattr(metrics, f"{name}_at" if at else name) for name in names}
    return {**found, "concordance_uno": metrics.concordance_uno} if at else found


def net_benefit(curve: metrics.DecisionCurve) -> metrics.Estimate:
    """The threshold of 20 %."""
    return metrics.Estimate(float(curve.value[0]), float(curve.lo[0]), float(curve.hi[0]), float(curve.se[0]))


def judge(at: bool, columns: tuple[Any, ...], cluster: np.ndarray | None) -> dict[str, metrics.Estimate]:
    """Every metric of one registry."""
    found = {name: function(*columns, cluster=cluster) for name, function in measures(at).items()}
    decide: Callable[..., metrics.DecisionCurve] = metrics.net_benefit_at if at else metrics.net_benefit
    calibrate: Callable[..., metrics.Calibration] = metrics.calibration_at if at else metrics.calibration
    found["net_benefit_20"] = net_benefit(decide(*columns, [0.2], cluster=cluster))
    agreement = calibrate(*columns, cluster=cluster)
    return found | {name: getattr(agreement, name) for name in MEMBERS}


def registry(
    at: bool, patients: int, seed: int, complete: bool = False
) -> tuple[np.ndarray, tuple[Any, ...], np.ndarray | None]:
    """True risk, what else a metric takes, and the clusters."""
    if at:
        risk, code, days = survival(patients, seed, complete)
        return risk, (code, days, HORIZON_DAYS), None
    risk, y, patient = vertebrae(patients, seed)
    return risk, (y,), patient


def truths(at: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Value of each metric for the distorted risk in a very large registry, and the ideals of the true risk."""
    risk, rest, cluster = registry(at, 600_000, 77, complete=True)
    far = {name: one.value for name, one in judge(at, (distorted(risk), *rest), cluster).items()}
    ideal = dict.fromkeys(MEMBERS, 0.0) | {"oe": 1.0, "calibration_slope": 1.0}
    return far, ideal


def coverage(at: bool, registries: int, patients: int) -> Iterator[tuple[str, str, float, float]]:
    """(metric, risk judged, share covered, mean width) of every interval."""
    far, ideal = truths(at)
    hits: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for seed in range(registries):
        risk, rest, cluster = registry(at, patients, 10_000 + seed)
        for judged, values, target in (("distorted", distorted(risk), far), ("true", risk, ideal)):
            found = judge(at, (values, *rest), cluster)
            for name, truth in target.items():
                one = found[name]
                hits.setdefault((name, judged), []).append((one.lo <= truth <= one.hi, one.hi - one.lo))
    for (name, judged), rows in hits.items():
        share, width = np.mean(rows, axis=0)
        yield name, judged, float(share), float(width)


def main() -> None:
    """Prints the table, and writes it where ``--out`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registries", type=int, default=400)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    started = time.perf_counter()
    lines = [f"# Coverage of the 95 % intervals: {chosen.registries} registries of {chosen.patients} patients", ""]
    lines += [
        f"`python benchmarks/metric_intervals.py --registries {chosen.registries} --patients {chosen.patients}`",
        "",
    ]
    lines += ["| outcome | metric | risk judged | covered | mean width |", "| --- | --- | --- | --- | --- |"]
    for at, outcome in ((True, "by day 365, death competing"), (False, "binary, vertebrae in patients")):
        for name, judged, share, width in coverage(at, chosen.registries, chosen.patients):
            lines.append(f"| {outcome} | {name} | {judged} | {share:.3f} | {width:.4f} |")
    lines += ["", f"Took {time.perf_counter() - started:.0f} s."]
    print("\n".join(lines))
    if chosen.out:
        chosen.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
