"""What is really true of a simulated patient: probabilities given the preoperative variables alone.

Averaged by quadrature over centre, surgeon and patient effects and over what happens after the plan (disc leak,
endplate contact, solid lump); nothing is simulated here, so the truth of a record does not depend on the seed.
"""

from __future__ import annotations

import numpy as np

from features.after_surgery import LANDMARK_DAY
from training.simulate.effects import (
    death_predictor,
    disc_leak_chance,
    expit,
    frailty_rule,
    leak_effect_rule,
    leak_intercepts,
    leak_predictor,
    pattern_weights,
    postop_patterns,
    refracture_predictor,
    solve,
)
from training.simulate.population import Ints, Population
from training.simulate.quadrature import Floats
from training.simulate.world import DAYS_PER_MONTH, World
from training.simulate.world_format import CAUSES, ROUTES

PATIENTS_AT_ONCE = 2_000  # keeps the working arrays inside the processor's cache
STEPS = 28  # of the time grid up to the last horizon


def seen_on_radiograph(world: World) -> Floats:
    """(4,) probability that a radiograph shows a leak that is there, by `ROUTES`; the file calls B ``canal_B``."""
    table = world.part("leakage_routes", "detection_radiograph_given_ct")
    return np.array([float(table["canal_B" if route == "B" else route]) for route in ROUTES])


def leak_log_odds(world: World, people: Population) -> Floats:
    """(m, 4) log odds of a leak by `ROUTES`, random effects at 0."""
    return leak_predictor(world, people) + leak_intercepts(world)


def leak_truth(world: World, people: Population) -> dict[str, Floats]:
    """``leak_any_ct, leak_any_radiograph, leak_B, leak_S, leak_C, leak_D``, each (m,)."""
    log_odds, seen = leak_log_odds(world, people), seen_on_radiograph(world)
    routes, no_leak, none_seen = np.zeros_like(log_odds), np.zeros(len(log_odds)), np.zeros(len(log_odds))
    for node, weight in zip(*leak_effect_rule(world), strict=True):
        p = expit(log_odds + node)
        routes += weight * p
        no_leak += weight * np.prod(1 - p, axis=1)
        none_seen += weight * np.prod(1 - p * seen, axis=1)
    by_route = {f"leak_{route}": routes[:, k] for k, route in enumerate(ROUTES)}
    return {"leak_any_ct": 1 - no_leak, "leak_any_radiograph": 1 - none_seen, **by_route}


def refracture_truth(world: World, people: Population) -> dict[str, Floats]:
    """``refracture_any_m3`` ... ``refracture_remote_m24`` and ``death_m3`` ..., each (m,): the patient's on each
    vertebra."""
    horizons = world.horizons_days
    return _by_name(cumulative_incidence(world, people, list(horizons.values()))[people.patient], list(horizons))


def postop_truth(world: World, people: Population, pattern: Ints) -> dict[str, Floats]:
    """``refracture_any_m3`` ... ``death_m24`` as in `refracture_truth`, counted from the landmark, each (m,).

    Probabilities given the preoperative variables, what the operation did (``pattern``, (n,), index into
    `postop_patterns`) and that nothing had happened by the landmark; only frailty is averaged over, which its survivors
    have less of.
    """
    horizons = world.horizons_days
    known = np.eye(len(postop_patterns(world)[0]))[pattern]
    days = [float(LANDMARK_DAY), *(LANDMARK_DAY + day for day in horizons.values())]
    found = cumulative_incidence(world, people, days, known)
    reached = 1 - found[:, :1].sum(axis=2, keepdims=True)
    return _by_name(((found[:, 1:] - found[:, :1]) / reached)[people.patient], list(horizons))


def _by_name(incidence: Floats, horizons: list[str]) -> dict[str, Floats]:
    truth: dict[str, Floats] = {}
    for k, name in enumerate(("any", *CAUSES, "death")):
        values = incidence[:, :, :3].sum(axis=2) if name == "any" else incidence[:, :, k - 1]
        stem = name if name == "death" else f"refracture_{name}"
        truth |= {f"{stem}_{horizon}": values[:, t] for t, horizon in enumerate(horizons)}
    return truth


def cumulative_incidence(
    world: World, people: Population, horizons_days: list[float], weights: Floats | None = None
) -> Floats:
    """(n, horizons, 4): probability that the first event is same / adjacent / remote / death by each horizon.

    ``weights`` (n, 8): of each of `postop_patterns`; without it those that the preoperative variables make likely.
    Given frailty and what happened at the operation the four hazards are Weibull; their competition is integrated on a
    time grid (in each step the first event falls to a cause in proportion to its share of the step's hazard), then
    averaged. Horizons must ascend.
    """
    solved = solve(world)
    if weights is None:
        disc = disc_leak_chance(people, leak_log_odds(world, people)[:, ROUTES.index("D")], leak_effect_rule(world))
        weights = pattern_weights(world, people, disc)
    refracture = refracture_predictor(world, people) + solved.log_scales
    death = death_predictor(world, people) + solved.death_log_scale
    found = np.empty((people.size, len(horizons_days), 4))
    for start in range(0, people.size, PATIENTS_AT_ONCE):
        block = slice(start, start + PATIENTS_AT_ONCE)
        found[block] = _block_incidence(world, refracture[block], death[block], weights[block], horizons_days)
    return found


def shapes(world: World) -> Floats:
    """(4,) Weibull shapes of same, adjacent, remote, death."""
    causes = [world.number("refracture", "causes", cause, "shape") for cause in CAUSES]
    return np.array([*causes, world.number("death", "shape")])


def _block_incidence(world: World, refracture: Floats, death: Floats, weights: Floats, horizons: list[float]) -> Floats:
    (frailty, mass), shifts = frailty_rule(world), postop_patterns(world)[1]
    spread = np.exp(shifts[:, None, :] + frailty[None, :, None]).reshape(-1, 3)
    mixture = (weights[:, :, None] * mass[None, None, :]).reshape(len(weights), -1)
    rates = [np.exp(refracture[:, [k]]) * spread[None, :, k] for k in range(3)]
    rates.append(np.broadcast_to(np.exp(death)[:, None], rates[0].shape))
    days = _grid(horizons)
    steps = np.diff((days[:, None] / DAYS_PER_MONTH) ** shapes(world), axis=0)
    alive, total, found = np.ones_like(rates[0]), np.zeros((len(weights), 4)), []
    for end, step in zip(days[1:], steps, strict=True):
        hazards = [rate * increment for rate, increment in zip(rates, step, strict=True)]
        hazard = hazards[0] + hazards[1] + hazards[2] + hazards[3]
        after = alive * np.exp(-hazard)
        per_hazard = mixture * (alive - after) / hazard
        total = total + np.stack([np.einsum("ij,ij->i", per_hazard, one) for one in hazards], axis=1)
        alive = after
        found += [total] * horizons.count(float(end))
    return np.stack(found, axis=1)


def _grid(horizons: list[float]) -> Floats:
    """Days from 0 to the last horizon, dense where hazards fall fastest, with every horizon on it."""
    return np.unique(np.concatenate([[0.0], np.geomspace(0.5, horizons[-1], STEPS), np.array(horizons, dtype=float)]))
