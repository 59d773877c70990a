"""From the findings to linear predictors, and from the margins of a world to its intercepts and scales.

Centring (absorbed by the solved intercepts and scales, fixed so that these can be compared between worlds): age, CT
value, BMI and volume count from their means in the world file, the Genant grade from its mean, everything else from
"absent"; low viscosity and PVP are the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from training.simulate.population import IN_JUNCTION, Population, draw_population, mean_grade
from training.simulate.quadrature import Floats, normal_rule, normal_scores, sum_rule
from training.simulate.world import DAYS_PER_MONTH, World
from training.simulate.world_format import CAUSES, ROUTES

REFERENCE_PATIENTS = 150_000
REFERENCE_SEED = 20_240_601  # of the population that margins are solved on; independent of every user's seed


@dataclass(frozen=True)
class Solved:
    """What makes the world meet its margins: leak intercepts by route (log odds); log Weibull scales by cause and of
    death (H(t) = exp(scale + linear predictor) · t^shape, t in months)."""

    leak_intercepts: Floats
    log_scales: Floats
    death_log_scale: float


def leak_predictor(world: World, people: Population) -> Floats:
    """(m, 4) log odds of a leak by `ROUTES` without intercept and random effects."""
    mean = {name: world.number("covariates", name, "mean") for name in ("hu_l1", "volume_ml")}
    viscosity = people.viscosity[people.patient]
    values = {
        "cortical_disruption": people.cortical,
        "ivc": people.ivc,
        "visc_medium": viscosity == 1,
        "visc_high": viscosity == 2,
        "volume_per_ml": people.volume_ml - mean["volume_ml"],
        "genant_per_grade": people.genant - mean_grade(world),
        "bvf_enlarged": people.bvf_enlarged,
        "hu_per_minus20": ((mean["hu_l1"] - people.hu_l1) / 20.0)[people.patient],
        "pkp": people.pkp[people.patient],
        "multiple": (people.treated_count > 1)[people.patient],
    }
    return _weighted(values, world.coefficients("leakage_routes", "coef", over=ROUTES))


def refracture_predictor(world: World, people: Population) -> Floats:
    """(n, 3) log cause-specific hazard by `CAUSES` before what happens at the operation, without scale and frailty."""
    mean = {name: world.number("covariates", name, "mean") for name in ("age_years", "hu_l1", "bmi")}
    values = {
        "age_per_10y": (people.age_years - mean["age_years"]) / 10.0,
        "female": people.female,
        "hu_per_minus10": (mean["hu_l1"] - people.hu_l1) / 10.0,
        "bmi_per_minus1": mean["bmi"] - people.bmi_kg_m2,
        "steroids": people.steroids,
        "smoking": people.smoking,
        "diabetes": people.diabetes,
        "prior_vf": people.prior_vf,
        "multiple": people.treated_count > 1,
        "tl_junction": people.any_by_patient(IN_JUNCTION[people.level]),
        "ivc": people.any_by_patient(people.ivc),
        "ao_plan": people.ao_plan,
        "pkp": people.pkp,
    }
    return _weighted(values, world.coefficients("refracture", "coef", over=CAUSES))


def death_predictor(world: World, people: Population) -> Floats:
    """(n,) log hazard of death without scale; the patient's frailty is one of bone and does not act on it."""
    years = (people.age_years - world.number("covariates", "age_years", "mean")) / 10.0
    return world.number("death", "coef", "age_per_10y") * years + world.number("death", "coef", "male") * (
        1 - people.female
    )


def postop_patterns(world: World) -> tuple[Floats, Floats]:
    """All eight combinations of (disc leak, endplate contact on both sides, solid lump) in any vertebra of the patient.

    Returns ``present`` (8, 3) of 0/1 and the log hazard that each adds by cause, (8, 3).
    """
    table = world.coefficients("refracture", "postop_only_coef", over=CAUSES)
    names = ("disc_leak", "endplate_contact_both", "solid_lump")
    present = np.array(list(product((0.0, 1.0), repeat=3)))
    return present, present @ np.array([table[name] for name in names])


def pattern_weights(world: World, people: Population, disc_leak: Floats) -> Floats:
    """(n, 8) probability of each pattern of `postop_patterns`, given the preoperative variables.

    ``disc_leak`` (n,): probability that any vertebra of the patient leaks into a disc. Contact and lump are drawn for
    each vertebra on its own, so more vertebrae make "any" likelier.
    """
    shares = world.part("design", "postop")
    chance = [disc_leak] + [
        1 - (1 - float(shares[name])) ** people.treated_count for name in ("endplate_contact_both", "solid_lump")
    ]
    present, _ = postop_patterns(world)
    weights = np.ones((people.size, len(present)))
    for column, p in enumerate(chance):
        weights *= np.where(present[None, :, column] > 0, p[:, None], 1 - p[:, None])
    return weights


def leak_effect_rule(world: World) -> tuple[Floats, Floats]:
    """Quadrature over centre + surgeon + patient, one sum that acts on all the routes of all the patient's vertebrae
    alike.

    One shared sum and not one for each route: only so does the default world meet its own rate of any leak.
    """
    sd = world.part("leakage_routes", "random_sd")
    centre, surgeon = hospital_scores(world)
    uniform = [(scores, np.full(len(scores), 1 / len(scores))) for scores in (centre, surgeon)]
    return sum_rule(*uniform, normal_rule(float(sd["patient"]), 15))


def hospital_scores(world: World) -> tuple[Floats, Floats]:
    """Ascending centre and surgeon effects on the log odds of a leak: sd × normal scores, which average 0."""
    sd = world.part("leakage_routes", "random_sd")
    return (normal_scores(int(world.number("design", "n_centres"))) * float(sd["centre"]),
            normal_scores(int(world.number("design", "n_surgeons"))) * float(sd["surgeon"]))  # fmt: skip


def frailty_rule(world: World) -> tuple[Floats, Floats]:
    """Quadrature over the patient's log frailty, common to the three causes of refracture."""
    return normal_rule(world.number("refracture", "frailty_sd", "patient"), 7)


def disc_leak_chance(people: Population, log_odds: Floats, rule: tuple[Floats, Floats]) -> Floats:
    """(n,) probability that any vertebra of a patient leaks into a disc, ``log_odds`` (m,) being those of route D."""
    chance = np.zeros(people.size)
    for node, weight in zip(*rule, strict=True):
        log_none = -np.logaddexp(0.0, log_odds + node)
        chance += weight * -np.expm1(np.bincount(people.patient, weights=log_none, minlength=people.size))
    return chance


def _reference(world: World) -> Population:
    return draw_population(world, REFERENCE_PATIENTS, np.random.default_rng(REFERENCE_SEED))


@lru_cache(maxsize=16)
def leak_intercepts(world: World) -> Floats:
    """(4,) log odds of a leak by `ROUTES` where the predictor is 0: the quick half of `solve`."""
    rule, leak = leak_effect_rule(world), leak_predictor(world, _reference(world))
    return np.array([_intercept(leak[:, k], rule, rate) for k, rate in enumerate(world.route_rates)])


@lru_cache(maxsize=16)
def solve(world: World) -> Solved:
    """Intercepts and scales of ``world`` from its margins, on a reference population of its own seed (about a
    second)."""
    people = _reference(world)
    rule, leak, intercepts = leak_effect_rule(world), leak_predictor(world, people), leak_intercepts(world)
    disc = disc_leak_chance(people, leak[:, ROUTES.index("D")] + intercepts[ROUTES.index("D")], rule)
    weights, shifts = pattern_weights(world, people, disc), postop_patterns(world)[1]
    predictor, (frailty, mass) = refracture_predictor(world, people), frailty_rule(world)
    scales = []
    for k, cause in enumerate(CAUSES):
        spread = (shifts[:, None, k] + frailty[None, :]).ravel()
        odds = (weights[:, :, None] * mass[None, None, :]).reshape(people.size, -1)
        table = world.part("refracture", "causes", cause)
        scales.append(_log_scale(predictor[:, k], spread, odds, float(table["net_risk12"]), float(table["shape"])))
    death = _log_scale(death_predictor(world, people), np.zeros(1), np.ones((people.size, 1)), world.death_risk12,
                       world.number("death", "shape"))  # fmt: skip
    return Solved(intercepts, np.array(scales), death)


def _weighted(values: dict[str, Floats | np.ndarray], coefficients: dict[str, list[float]]) -> Floats:
    return np.asarray(
        sum(np.multiply.outer(np.asarray(values[name], dtype=float), row) for name, row in coefficients.items())
    )


def _intercept(predictor: Floats, rule: tuple[Floats, Floats], rate: float) -> float:
    points, mass = _histogram(predictor)

    def share(intercept: float) -> float:
        return float(mass @ (expit(points[:, None] + intercept + rule[0][None, :]) @ rule[1]))

    return _increasing_root(share, rate)


def _log_scale(predictor: Floats, spread: Floats, odds: Floats, risk: float, shape: float) -> float:
    """Log scale for which the mean of 1 − exp(−H) at 12 months is ``risk``, over patients and their (n, k) mixture."""
    log_time = shape * np.log(365.0 / DAYS_PER_MONTH)
    points, mass = _histogram((predictor[:, None] + spread[None, :]).ravel(), odds.ravel())

    def share(log_scale: float) -> float:
        return float(mass @ -np.expm1(-np.exp(points + log_scale + log_time)))

    return _increasing_root(share, risk)


def _histogram(values: Floats, weights: Floats | None = None, cells: int = 4000) -> tuple[Floats, Floats]:
    """The distribution of ``values`` on a fine grid (cell means and masses), so that a margin costs no pass over
    patients."""
    weights = np.ones(len(values)) if weights is None else weights
    low, width = values.min(), max(float(np.ptp(values)), 1e-12) / cells
    cell = np.minimum(((values - low) / width).astype(np.int64), cells - 1)
    mass = np.bincount(cell, weights=weights, minlength=cells)
    total = np.bincount(cell, weights=weights * values, minlength=cells)
    kept = mass > 0
    return total[kept] / mass[kept], mass[kept] / mass.sum()


def _increasing_root(function: Callable[[float], float], target: float) -> float:
    low, high = -40.0, 40.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return (low + high) / 2


def expit(log_odds: Floats) -> Floats:
    """The probability of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=float)
