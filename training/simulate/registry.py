"""A simulated registry: the patients as they are, as they are recorded, and what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import UsageError
from training.simulate.columns import complete_columns, with_gaps
from training.simulate.course import FIRST_EVENTS, Course, draw_course, draw_hospitals
from training.simulate.population import Population, draw_population
from training.simulate.truth import leak_truth, postop_truth, refracture_truth
from training.simulate.world import World
from training.simulate.world_format import ROUTES

Frame = Mapping[str, NDArray[Any]]
MOST_PATIENTS = 999_999  # pseudonyms have six digits


@dataclass(frozen=True, slots=True)
class Registry:
    """Simulated patients, one row per treated vertebra in every mapping (m rows).

    ``complete``: the registry without a gap; ``columns``: the same with missing values, as `write` writes it; both
    typed as `features.records.to_columns` (flags 0/1, unknown NaN or None, multi-valued cells frozensets). ``truth``:
    the true probabilities of the contract's truth.csv, a patient's repeated on its rows; ``postop_truth``: those of
    refracture and death from the landmark on, given what the operation did as well. ``happened``: what was drawn
    before imaging, censoring and visits hid part of it: ``leak_B`` ... (0/1), ``first_event`` (same / adjacent /
    remote / death) and ``first_event_days``. ``patient``: 0-based patient of each row.
    """

    columns: Frame
    complete: Frame
    truth: Mapping[str, NDArray[np.float64]]
    postop_truth: Mapping[str, NDArray[np.float64]]
    happened: Frame
    patient: NDArray[np.int64]
    world: World
    seed: int

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """The row of each patient's first vertebra: where what belongs to patients is counted once."""
        return np.searchsorted(self.patient, np.arange(self.patient[-1] + 1))


def simulate(n_patients: int, seed: int, world: World | None = None) -> Registry:
    """Draw a registry of ``n_patients``; the same arguments give the same registry.

    Covariates, hospitals, course, recording, gaps and first images have random streams of their own, so that a change
    of one part of the world leaves the others' draws alone. Raises `UsageError` for a count or a seed that is out of
    range.
    """
    if not 1 <= n_patients <= MOST_PATIENTS:
        raise UsageError(f"the number of patients must be from 1 to {MOST_PATIENTS}")
    if seed < 0:
        raise UsageError("the seed must not be negative")
    world = World.load() if world is None else world
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
    people = draw_population(world, n_patients, streams[0])
    hospitals = draw_hospitals(world, n_patients, streams[1])
    course = draw_course(world, people, hospitals, streams[2])
    complete = complete_columns(people, hospitals, course, streams[3], streams[5])
    columns = with_gaps(world, people, hospitals, complete, streams[4])
    truth = leak_truth(world, people) | refracture_truth(world, people)
    postop = postop_truth(world, people, course.pattern(people))
    return Registry(columns, complete, truth, postop, _happened(people, course), people.patient, world, seed)


def _happened(people: Population, course: Course) -> Frame:
    leaks: dict[str, NDArray[Any]] = {f"leak_{route}": course.leak[:, k] * 1.0 for k, route in enumerate(ROUTES)}
    return leaks | {
        "first_event": FIRST_EVENTS[course.first_event][people.patient],
        "first_event_days": course.first_event_days[people.patient],
    }
