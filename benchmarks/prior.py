"""What the documented prior is worth in small registries: the share of the achievable gain for any leak.

Worlds that differ from the prior: each leakage coefficient of the default world times a factor of its own, drawn evenly
from 0.3 to 1.5, two of them with the sign turned. And worlds in which the prior is altogether wrong: every coefficient
has its sign turned. Registries without gaps train a logistic model with and without the prior (`published`) and answer
fresh patients by CT; shares as in benchmarks/gain.py, mean over registries with its standard error, and the paired
difference. `ridge` is the plain model as it was before averaging: one penalty, chosen by out-of-fold loss.

    python benchmarks/prior.py             # 40 / 20 / 10 / 6 registries of 100 / 385 / 1,000 / 3,000 patients
    python benchmarks/prior.py --first 2   # the first two of each size
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from features.build import Matrix
from features.outcome import Leakage
from models import LogisticRisk, Settings
from models.averaging import Weighed
from models.interface import predictor_columns
from models.prior import PUBLISHED, Prior
from training.engine import run
from training.simulate import World, share_of_gain
from training.simulate.course import draw_hospitals, draw_leaks
from training.simulate.population import Population, draw_population
from training.simulate.truth import leak_truth

RESULTS = Path(__file__).parent / "results"
#: Patients in a registry -> how many registries.
SIZES = {100: 40, 385: 20, 1000: 10, 3000: 6}
KINDS = ("differing", "all signs turned")
MODELS = ("with prior", "without", "ridge")
FRESH, FRESH_SEED = 8_000, 99
LOW, HIGH, TURNED = 0.3, 1.5, 2

Row = dict[str, float | int | str]


class OnePenalty(LogisticRisk):
    """The best single candidate instead of the average over all."""

    def weigh(self, loss: np.ndarray) -> Weighed:
        return Weighed.by_loss(np.where(loss == loss.min(), 0.0, np.inf))


def world_of(kind: str, seed: int) -> World:
    """A world of the kind; those that differ are drawn anew for each seed."""
    world = World.load(None)
    names = [f"leakage_routes.{name}" for name in world.part("leakage_routes", "coef")]
    if kind != KINDS[0]:
        return world.multiplied(dict.fromkeys(names, -1.0))
    rng = np.random.default_rng([4, seed])
    factors = rng.uniform(LOW, HIGH, len(names))
    factors[rng.choice(len(names), TURNED, replace=False)] *= -1
    return world.multiplied(dict(zip(names, factors.tolist(), strict=True)))


def registry(world: World, patients: int, seed: int) -> tuple[Matrix, Leakage]:
    """A registry without gaps as a cohort has it, its routes left out; the draws are those of ``simulate``."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
    people = draw_population(world, patients, streams[0])
    _, seen, modality = draw_leaks(world, people, draw_hospitals(world, patients, streams[1]), streams[2])
    detection = np.isin(modality, ("CT", "CT+radiograph"))[people.patient].astype(float)
    matrix = matrix_of(people, detection)
    leaked = seen.any(axis=1).astype(float)
    routes = np.full(seen.shape, np.nan)
    return matrix, Leakage(leaked, routes, np.ones(len(leaked)), detection, matrix.patient)


def matrix_of(people: Population, detection: np.ndarray) -> Matrix:
    """The matrix that ``build`` makes of these patients where nothing is unknown."""
    columns = {
        "detection": detection,
        "ct_value_hu": people.hu_l1[people.patient],
        "genant_grade": people.genant,
        "viscosity": people.viscosity[people.patient],
        "cortical_disruption": people.cortical,
        "planned_volume_ml": people.volume_ml,
        "intravertebral_cleft": people.ivc,
        "basivertebral_foramen_enlarged": people.bvf_enlarged,
        "procedure_pkp": people.pkp[people.patient],
        "treated_count": people.treated_count[people.patient],
    }
    names = predictor_columns("leakage")
    values = np.column_stack([np.asarray(columns[name], dtype=float) for name in names])
    return Matrix(names, values, people.patient.astype(np.intp))


@cache
def asked() -> tuple[Population, Matrix]:
    """The fresh patients, the same in every world."""
    people = draw_population(World.load(None), FRESH, np.random.default_rng(FRESH_SEED))
    return people, matrix_of(people, np.ones(len(people.patient)))


def one_registry(kind: str, patients: int, number: int) -> list[Row]:
    """Shares of the gain of every model in one registry."""
    seed = 100 * patients + number
    world = world_of(kind, seed)
    matrix, target = registry(world, patients, seed)
    people, fresh = asked()
    truth = leak_truth(world, people)["leak_any_ct"]
    base = float(target.leaked[target.detection == 1].mean())
    plain = Settings(seed=seed, refits=0)
    models = (
        LogisticRisk(Settings(seed=seed, refits=0, prior=Prior.load(PUBLISHED))),
        LogisticRisk(plain),
        OnePenalty(plain),
    )
    rows: list[Row] = []
    for name, model in zip(MODELS, models, strict=True):
        share = share_of_gain(base, model.fit(matrix, target).risk(fresh), truth)
        kept = model.prior_weight.get("any", 0.0)
        rows.append({"kind": kind, "patients": patients, "number": number, "model": name, "share": share, "kept": kept})
    return rows


def table(rows: list[Row]) -> Iterator[str]:
    """Markdown: means over registries with standard errors, in per cent of the achievable gain."""
    yield "| worlds | patients | registries | with prior | without | ridge | with − without | with − ridge | kept |"
    yield "|" + " --- |" * 9
    for kind in KINDS:
        for patients in SIZES:
            share = {
                name: np.array(
                    [100 * r["share"] for r in rows if (r["kind"], r["patients"], r["model"]) == (kind, patients, name)]
                )
                for name in MODELS
            }
            mine, plain, ridge = (share[name] for name in MODELS)
            if not len(mine):
                continue
            kept = np.mean(
                [r["kept"] for r in rows if (r["kind"], r["patients"], r["model"]) == (kind, patients, MODELS[0])]
            )
            cells = [_with_error(values) for values in (mine, plain, ridge, mine - plain, mine - ridge)]
            yield f"| {kind} | {patients} | {len(mine)} | {' | '.join(cells)} | {kept:.2f} |"


def _with_error(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.1f} ± {error:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, help="only so many registries of each size")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}/prior.md and .json")
    chosen = parser.parse_args()
    jobs = [
        (kind, patients, number)
        for patients, count in SIZES.items()
        for kind in KINDS
        for number in range(min(count, chosen.first or count))
    ]
    rows: list[Row] = []
    started = time.perf_counter()
    for done, (_, found) in enumerate(run([(one_registry, job) for job in jobs], workers=chosen.workers), start=1):
        rows += found
        print(f"{done}/{len(jobs)} registries, {time.perf_counter() - started:.0f} s", end="\r", flush=True)
    rows.sort(key=lambda r: (r["kind"], r["patients"], r["number"]))
    text = "\n".join([*table(rows), "", f"Took {time.perf_counter() - started:.0f} s."])
    print("\n" + text)
    if chosen.save:
        RESULTS.mkdir(exist_ok=True)
        head = "# Share of the achievable gain for any leak, with and without the documented prior (%)"
        (RESULTS / "prior.md").write_text(f"{head}\n\n`python benchmarks/prior.py`\n\n{text}\n", encoding="utf-8")
        (RESULTS / "prior.json").write_text(
            "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
