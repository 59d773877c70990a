"""What happens to a simulated patient at and after the operation, and how much of it the registry gets to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulate.effects import (
    death_predictor,
    expit,
    hospital_scores,
    postop_patterns,
    refracture_predictor,
    solve,
)
from training.simulate.population import Ints, Population
from training.simulate.quadrature import Floats
from training.simulate.truth import leak_log_odds, seen_on_radiograph, shapes
from training.simulate.world import DAYS_PER_MONTH, World
from training.simulate.world_format import CAUSES, ROUTES

Flags = NDArray[np.bool_]
FIRST_EVENTS = np.array([*CAUSES, "death"], dtype=object)


@dataclass(frozen=True, slots=True)
class Hospitals:
    """Where and by whom each patient is treated, (n,) each."""

    centre: Ints
    surgeon: Ints
    effect: Floats  # centre + surgeon, on the log odds of every route


@dataclass(frozen=True, slots=True)
class Course:
    """What really happened, by vertebra (m) or by patient (n), and the follow-up that sees part of it."""

    leak: Flags  # (m, 4)
    seen: Flags  # (m, 4) on the patient's own imaging
    modality: NDArray[np.object_]  # (n,)
    image_day: Ints  # (n,)
    contact_both: Flags  # (m,)
    solid_lump: Flags  # (m,)
    first_event: Ints  # (n,) 0-2 as CAUSES, 3 death: the first of the four, however late
    first_event_days: Floats  # (n,)
    reported_cause: Ints  # (n,) 0-2, -1 where the registry holds no refracture
    reported_days: Floats  # (n,) NaN without one
    last_seen_days: Floats  # (n,)
    died: Flags  # (n,)
    admin_days: Ints  # (n,) from the operation to the day on which the data were locked

    def pattern(self, people: Population) -> Ints:
        """(n,) which of `postop_patterns` happened to each patient."""
        return pattern_of(people, self.leak[:, ROUTES.index("D")], self.contact_both, self.solid_lump)


def draw_hospitals(world: World, n_patients: int, rng: np.random.Generator) -> Hospitals:
    """Surgeons nested in centres, patients spread evenly over the surgeons.

    The scores are fixed and only shuffled: among centres, and for surgeons within each layer of ``n_centres``
    neighbouring scores, so that every centre has surgeons of all kinds and the effects average 0 whatever the seed.
    """
    centre_scores, surgeon_scores = hospital_scores(world)
    n_centres = len(centre_scores)
    centre_scores = rng.permutation(centre_scores)
    centre_of = np.concatenate([rng.permutation(n_centres) for _ in range(-(-len(surgeon_scores) // n_centres))])
    surgeon = rng.integers(0, len(surgeon_scores), n_patients)
    centre = centre_of[surgeon]
    return Hospitals(centre, surgeon, centre_scores[centre] + surgeon_scores[surgeon])


def draw_course(world: World, people: Population, hospitals: Hospitals, rng: np.random.Generator) -> Course:
    """Leaks, contact, lump, then the race of three refractures and death, then what imaging and visits find of it."""
    n, m = people.size, len(people.patient)
    leak, seen, modality = draw_leaks(world, people, hospitals, rng)
    image_day = _choice(rng, world.part("design", "leak_detected_days"), n).astype(np.int64)
    shares = world.part("design", "postop")
    contact, lump = (rng.random(m) < float(shares[name]) for name in ("endplate_contact_both", "solid_lump"))
    first, first_days, death_days = _race(world, people, leak, contact, lump, rng)
    admin, last_seen, died = _follow_up(world, death_days, rng)
    image_day = np.minimum(image_day, last_seen.astype(np.int64))  # nobody is imaged after death
    cause, days = _reported(world, first, first_days, last_seen, rng)
    return Course(
        leak, seen, modality, image_day, contact, lump, first, first_days, cause, days, last_seen, died, admin
    )


def draw_leaks(
    world: World, people: Population, hospitals: Hospitals, rng: np.random.Generator
) -> tuple[Flags, Flags, NDArray[np.object_]]:
    """What leaks (m, 4), what of it the patient's own imaging shows (m, 4), and that imaging (n,)."""
    n, m = people.size, len(people.patient)
    patient_effect = rng.standard_normal(n) * world.number("leakage_routes", "random_sd", "patient")
    effect = (hospitals.effect + patient_effect)[people.patient]
    leak = rng.random((m, 4)) < expit(leak_log_odds(world, people) + effect[:, None])
    modality = _choice(rng, world.part("design", "leak_modality"), n)
    by_ct = np.isin(modality, ("CT", "CT+radiograph"))[people.patient]
    return leak, leak & (by_ct[:, None] | (rng.random((m, 4)) < seen_on_radiograph(world))), modality


def pattern_of(people: Population, disc_leak: Flags, contact: Flags, lump: Flags) -> Ints:
    """(n,) index into `postop_patterns`: a finding of any vertebra (m,) counts for the patient."""
    happened = np.stack([people.any_by_patient(found) for found in (disc_leak, contact, lump)], axis=1)
    return np.asarray(happened @ np.array([4, 2, 1]), dtype=np.int64)  # the order in which `postop_patterns` counts


def _race(
    world: World, people: Population, leak: Flags, contact: Flags, lump: Flags, rng: np.random.Generator
) -> tuple[Ints, Floats, Floats]:
    """The first of the four events and its day, and the day of death, each (n,)."""
    solved = solve(world)
    pattern = pattern_of(people, leak[:, ROUTES.index("D")], contact, lump)
    frailty = rng.standard_normal(people.size) * world.number("refracture", "frailty_sd", "patient")
    log_hazard = np.column_stack([
        refracture_predictor(world, people) + solved.log_scales + postop_patterns(world)[1][pattern] + frailty[:, None],
        death_predictor(world, people) + solved.death_log_scale,
    ])  # fmt: skip
    months = (rng.exponential(size=(people.size, 4)) / np.exp(log_hazard)) ** (1 / shapes(world))
    # A day counts to its end: an event in the 91st day is one within 91 days.
    days = np.maximum(np.ceil(months * DAYS_PER_MONTH), 1.0)
    first = months.argmin(axis=1)
    return first, days[np.arange(people.size), first], days[:, 3]


def _follow_up(world: World, death_days: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Flags]:
    """Day of the data lock, last day seen (death, loss or lock, the earliest), and whether that day is death."""
    table = world.part("censoring")
    low, high = (round(float(table[name]) * DAYS_PER_MONTH) for name in ("admin_min_months", "admin_max_months"))
    admin = rng.integers(low, high + 1, len(death_days))
    yearly = -np.log1p(-float(table["loss_per_year"]))
    lost = (
        np.ceil(rng.exponential(size=len(death_days)) * 365.0 / yearly)
        if yearly > 0
        else np.full(len(death_days), np.inf)
    )
    last_seen = np.minimum(np.minimum(death_days, np.maximum(lost, 1.0)), admin)
    return admin, last_seen, death_days <= last_seen


def _reported(
    world: World, first: Ints, days: Floats, last_seen: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """Cause and day of the refracture as the registry has it; some are found, and dated, only at the next visit."""
    visits = np.array(sorted(float(month) for month in world.part("censoring")["visit_grid_months"]))
    visits = np.floor(visits * DAYS_PER_MONTH + 0.5)
    at_visit = rng.random(len(days)) < world.number("design", "found_at_next_visit")
    following = np.searchsorted(visits, days)
    scheduled = following < len(visits)  # after the last visit there is only the own day
    found = np.where(at_visit & scheduled, visits[np.minimum(following, len(visits) - 1)], days)
    reported = (first < 3) & (found <= last_seen)
    return np.where(reported, first, -1), np.where(reported, found, np.nan)


def _choice(rng: np.random.Generator, shares: object, size: int) -> NDArray[np.object_]:
    assert isinstance(shares, dict)
    values = np.empty(len(shares), dtype=object)
    values[:] = sorted(shares, key=str)  # the order of a file must not decide who is drawn
    weights = np.array([shares[value] for value in values], dtype=float)
    return np.asarray(values[rng.choice(len(values), size=size, p=weights / weights.sum())], dtype=object)
