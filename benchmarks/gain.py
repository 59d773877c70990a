"""How much of what can be known the models know: the share of the achievable gain against the simulator's truth.

Each learner is trained on simulated patients as `cemrisk simulate` writes them, gaps included, and answers fresh
patients, gaps included. With L the log loss in expectation under the truth and the base rate that observed in the
training data (among vertebrae read by CT; Aalen-Johansen for refracture, counted once per patient),

    share = (L(base) - L(model)) / (L(base) - L(truth)).

Calibration is judged against the truth too: O/E = mean truth / mean risk, slope = that of the truth on the link of the
risk.

    python benchmarks/gain.py                 # 5 seeds, three worlds, about 5 minutes on 2 cores
    python benchmarks/gain.py --seeds 1 --worlds default
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from features.build import Outcome, build
from features.outcome import HORIZON_DAYS
from models import Settings
from models.calibrate import link
from models.interface import Learner
from models.newton import sigmoid
from training import metrics
from training.cohort import cohort
from training.engine import run
from training.simulate import Registry, World, share_of_gain, simulate
from training.simulate.world import FLIPPED_FOR_BENCHMARK
from training.validate import CLASSES, LEARNERS, any_code

RESULTS = Path(__file__).parent / "results"
HORIZON = "m12"


def world_named(name: str) -> World:
    """The default world, the one with every coefficient halved, or the one with two signs flipped per outcome."""
    world = World.load(None)
    return {"default": lambda: world, "halved": world.halved, "flipped": lambda: world.flipped(FLIPPED_FOR_BENCHMARK)}[
        name
    ]()


def one_fit(world: str, outcome: Outcome, learner: Learner, seed: int, patients: int, fresh: int) -> dict[str, object]:
    """Train on one registry, answer another; one row of the table."""
    registry, others = simulate(patients, seed, world_named(world)), simulate(fresh, seed + 1000, world_named(world))
    people = cohort(registry.columns, outcome)
    model = CLASSES[learner](Settings(seed=seed, refits=0))
    model.fit(people.matrix, people.target)
    matrix = build(others.columns, outcome, detection="CT", patient=others.patient)
    risk, truth = model.risk(matrix), true_risk(others, outcome)
    slope, intercept = slope_against(risk, truth, model.head.scale)
    return {
        "world": world,
        "outcome": outcome,
        "learner": learner,
        "seed": seed,
        "share_of_gain": share_of_gain(base_rate(people), risk, truth),
        "slope": slope,
        "intercept": intercept,
        "oe": float(truth.mean() / risk.mean()),
    }


def true_risk(registry: Registry, outcome: Outcome) -> np.ndarray:
    """Any leak by CT of each vertebra, or any refracture by 12 months of each patient."""
    if outcome == "leakage":
        return registry.truth["leak_any_ct"]
    return registry.truth[f"refracture_any_{HORIZON}"][registry.first_rows]


def base_rate(people) -> float:
    """What the training data alone would let one say of everybody."""
    target = people.target
    if people.outcome == "leakage":
        return float(target.leaked[target.detection == 1].mean())
    return float(metrics.aalen_johansen(any_code(target), target.days, [HORIZON_DAYS[12]]).value[0])


def slope_against(risk: np.ndarray, truth: np.ndarray, scale: str) -> tuple[float, float]:
    """Slope and intercept of the truth on the link of the risk, by maximum expected likelihood (logistic, or
    cloglog).
    """
    eta = link(scale, risk)
    beta = np.array([0.0, 1.0])
    design = np.column_stack([np.ones_like(eta), eta])
    for _ in range(50):
        linear = design @ beta
        mean = sigmoid(linear) if scale == "log_odds" else -np.expm1(-np.exp(linear))
        derivative = mean * (1 - mean) if scale == "log_odds" else np.exp(linear - np.exp(linear))
        weight = derivative**2 / (mean * (1 - mean))
        step = np.linalg.solve((design * weight[:, None]).T @ design, design.T @ (weight * (truth - mean) / derivative))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return float(beta[1]), float(beta[0])


def table(rows: list[dict]) -> str:
    """Markdown: mean over seeds, then each seed."""
    lines = [
        "| world | outcome | learner | share of gain | slope | O/E | share by seed | slope by seed | O/E by seed |",
        "|" + "---|" * 9,
    ]
    keys = list(dict.fromkeys((r["world"], r["outcome"], r["learner"]) for r in rows))
    for key in keys:
        mine = sorted((r for r in rows if (r["world"], r["outcome"], r["learner"]) == key), key=lambda r: r["seed"])
        means = [np.mean([r[name] for r in mine]) for name in ("share_of_gain", "slope", "oe")]
        seeds = [", ".join(f"{r[name]:.2f}" for r in mine) for name in ("share_of_gain", "slope", "oe")]
        lines.append(f"| {' | '.join(key)} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f} | {' | '.join(seeds)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--worlds", nargs="+", default=["default", "halved", "flipped"])
    parser.add_argument("--patients", type=int, default=3000)
    parser.add_argument("--fresh", type=int, default=20_000)
    parser.add_argument("--no-save", action="store_true", help="print only")
    arguments = parser.parse_args()
    jobs = [
        (world, outcome, learner, seed, arguments.patients, arguments.fresh)
        for world in arguments.worlds
        for outcome in ("leakage", "refracture")
        for learner in LEARNERS[outcome]
        for seed in range(1, arguments.seeds + 1)
    ]
    rows: list[dict] = []
    for _, row in run([(one_fit, job) for job in jobs]):
        rows.append(row)
        print(f"{len(rows)}/{len(jobs)}", end="\r", flush=True)
    order = {job[:4]: place for place, job in enumerate(jobs)}
    rows.sort(key=lambda r: order[r["world"], r["outcome"], r["learner"], r["seed"]])
    head = (
        f"{arguments.patients} patients trained on, {arguments.fresh} fresh ones answered, {arguments.seeds} seeds\n\n"
    )
    print(head + table(rows))
    if not arguments.no_save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gain.md").write_text(
            "# Share of the achievable gain\n\n`python benchmarks/gain.py`: " + head + table(rows) + "\n"
        )
        (RESULTS / "gain.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
