"""Who is treated, and how it is planned: the preoperative half of the simulated registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from training.simulate.quadrature import Floats
from training.simulate.world import World

Ints = NDArray[np.int64]

#: Share of the treated vertebrae inside and outside the thoracolumbar junction; only the ratio counts. The junction's
#: own total is `covariates.tl_junction` of the world.
LEVEL_WEIGHTS = {
    "T5": 0.03, "T6": 0.05, "T7": 0.10, "T8": 0.10, "T9": 0.09, "T10": 0.11, "T11": 0.15, "T12": 0.30, "L1": 0.37,
    "L2": 0.18, "L3": 0.26, "L4": 0.18, "L5": 0.08,
}  # fmt: skip
LEVELS = tuple(LEVEL_WEIGHTS)
IN_JUNCTION = np.array([level in {"T11", "T12", "L1", "L2"} for level in LEVELS])
VISCOSITIES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Population:
    """Patients and their vertebrae as they really are; arrays by patient (``n``) or by vertebra (``m``, with
    ``patient``).

    Numbers are already rounded to the precision of the registry, so that what is written is what acted.
    """

    age_years: Floats
    female: Floats
    bmi_kg_m2: Floats
    hu_l1: Floats
    hu_score: Floats  # its normal score given age, for what correlates with bone density
    steroids: Floats
    smoking: Floats
    diabetes: Floats
    prior_vf: Floats
    ao_plan: Floats
    treated_count: Ints
    pkp: Floats
    viscosity: Ints  # 0 low, 1 medium, 2 high
    patient: Ints  # of each vertebra
    level: Ints  # index into LEVELS
    ivc: Floats
    genant: Ints
    cortical: Floats
    bvf_enlarged: Floats
    volume_ml: Floats

    @property
    def size(self) -> int:
        """How many patients there are."""
        return len(self.age_years)

    def any_by_patient(self, by_vertebra: NDArray[np.generic]) -> Floats:
        """1 where any vertebra of the patient has it."""
        return (np.bincount(self.patient, weights=by_vertebra.astype(float), minlength=self.size) > 0).astype(float)


def draw_population(world: World, n_patients: int, rng: np.random.Generator) -> Population:
    """Draw ``n_patients`` and their vertebrae. A patient's operation is one: its procedure and its cement's viscosity
    are the same on all the levels; severity, cleft, breach, foramen and volume belong to the vertebra."""
    covariates = world.part("covariates")
    age = np.round(truncated_normal(rng, n_patients, covariates["age_years"], 0.0))
    hu_table = covariates["hu_l1"]
    hu_score, hu = _ct_value(rng, hu_table, age - float(covariates["age_years"]["mean"]))
    count = _treated_count(world, rng, n_patients)
    patient = np.repeat(np.arange(n_patients), count)
    level = _levels(rng, count, float(covariates["tl_junction"]["p"]))
    genant = rng.choice(4, size=len(patient), p=_shares(covariates["genant"]["p"]))

    def flag(name: str, size: int) -> Floats:
        return (rng.random(size) < float(covariates[name]["p"])).astype(float)

    return Population(
        age_years=age, female=flag("female", n_patients),
        bmi_kg_m2=np.round(truncated_normal(rng, n_patients, covariates["bmi"], 0.0), 1), hu_l1=hu, hu_score=hu_score,
        steroids=flag("steroids", n_patients), smoking=flag("smoking", n_patients), diabetes=flag("diabetes",
        n_patients), prior_vf=flag("prior_vf", n_patients), ao_plan=flag("ao_plan", n_patients), treated_count=count,
        pkp=flag("pkp", n_patients),
        viscosity=rng.choice(3, size=n_patients, p=_shares([covariates["viscosity"][name] for name in VISCOSITIES])),
        patient=patient, level=level, ivc=flag("ivc", len(patient)), genant=genant,
        cortical=_cortical(rng, covariates, genant), bvf_enlarged=flag("bvf_enlarged", len(patient)),
        volume_ml=_volume(world, rng, genant, level),
    )  # fmt: skip


def truncated_normal(rng: np.random.Generator, size: int, table: Mapping[str, float], shift: Floats | float) -> Floats:
    """Normal with the table's ``mean`` plus ``shift`` and its ``sd``, cut to [``lo``, ``hi``], by the inverse
    distribution."""
    mean, sd = float(table["mean"]) + shift, float(table["sd"])
    low, high = ndtr((float(table["lo"]) - mean) / sd), ndtr((float(table["hi"]) - mean) / sd)
    return np.asarray(mean + sd * ndtri(low + rng.random(size) * (high - low)), dtype=float)


def _shares(shares: list[float]) -> Floats:
    return np.asarray(np.array(shares, dtype=float) / np.sum(shares), dtype=float)


def _ct_value(rng: np.random.Generator, table: Mapping[str, float], years_over_mean: Floats) -> tuple[Floats, Floats]:
    """CT value of L1 in whole HU, falling with age; ``sd`` is that around the mean at an age."""
    shift = float(table["age_slope_per_year"]) * years_over_mean
    hu = np.round(truncated_normal(rng, len(shift), table, shift))
    score = (hu - float(table["mean"]) - shift) / float(table["sd"])
    return np.asarray(score, dtype=float), hu


def _treated_count(world: World, rng: np.random.Generator, n_patients: int) -> Ints:
    table = world.part("design", "treated_count")
    counts = sorted(table, key=int)
    drawn = rng.choice([int(count) for count in counts], size=n_patients, p=_shares([table[count] for count in counts]))
    return np.asarray(drawn, dtype=np.int64)


def _levels(rng: np.random.Generator, count: Ints, junction_share: float) -> Ints:
    """Adjacent, distinct levels: the leading vertebra by its share, the others next to it, on a random side."""
    leading = rng.choice(len(LEVELS), size=len(count), p=level_shares(junction_share))
    top = np.clip(leading - rng.integers(0, count), 0, len(LEVELS) - count)
    place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(np.repeat(top, count) + place, dtype=np.int64)


def level_shares(junction_share: float) -> Floats:
    """Probability of each of `LEVELS` for the leading vertebra, ``junction_share`` of it in T11-L2."""
    weights = np.array(list(LEVEL_WEIGHTS.values()))
    inside = junction_share * weights / weights[IN_JUNCTION].sum()
    outside = (1 - junction_share) * weights / weights[~IN_JUNCTION].sum()
    return np.asarray(np.where(IN_JUNCTION, inside, outside), dtype=float)


def mean_grade(world: World) -> float:
    """The mean Genant grade of the world."""
    return float(_shares(world.part("covariates", "genant")["p"]) @ np.arange(4))


def _cortical(rng: np.random.Generator, covariates: Mapping[str, Mapping[str, Any]], genant: Ints) -> Floats:
    """``p`` is the share among all vertebrae, ``p_if_genant3`` that of the worst grade; the other grades make up the
    rest.

    With any other reading the world's own regression targets for broken and unbroken cortices are missed by 0.015.
    """
    table = covariates["cortical_disruption"]
    p_all, p_worst = float(table["p"]), float(table["p_if_genant3"])
    worst_share = float(_shares(covariates["genant"]["p"])[3])
    p_other = (p_all - worst_share * p_worst) / (1 - worst_share) if worst_share < 1 else p_all
    return (rng.random(len(genant)) < np.where(genant == 3, p_worst, np.clip(p_other, 0, 1))).astype(float)


def _volume(world: World, rng: np.random.Generator, genant: Ints, level: Ints) -> Floats:
    """Planned volume in 0.1 ml; slopes are per grade and per level downwards, from the mean grade and the mean
    level."""
    table = world.part("covariates", "volume_ml")
    mean_level = level_shares(world.number("covariates", "tl_junction", "p")) @ np.arange(len(LEVELS))
    shift = float(table["genant_slope"]) * (genant - mean_grade(world)) + float(table["level_slope"]) * (
        level - mean_level
    )
    return np.round(truncated_normal(rng, len(level), table, shift), 1)
