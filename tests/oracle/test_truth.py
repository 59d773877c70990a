"""The simulator against itself: what it says is true must be what it draws, and both must meet the world's margins."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest

from training import metrics
from training.simulate import Registry, World, simulate
from training.simulate.calibration import calibration_z, default_world_rates
from training.simulate.course import draw_course, draw_hospitals
from training.simulate.effects import solve
from training.simulate.population import Population, draw_population
from training.simulate.truth import cumulative_incidence, leak_truth

PATIENTS = 12_000
LEAKS = ("leak_any_ct", "leak_any_radiograph", "leak_B", "leak_S", "leak_C", "leak_D")
EVENTS = ("refracture_any", "refracture_same", "refracture_adjacent", "refracture_remote", "death")
COLUMNS = (*LEAKS, *(f"{event}_{horizon}" for event in EVENTS for horizon in ("m3", "m12", "m24")))


@cache
def registry() -> Registry:
    return simulate(PATIENTS, seed=5)


@pytest.mark.parametrize("column", COLUMNS)
def test_truth_is_calibrated_in_every_tenth_of_risk(column: str) -> None:
    z = calibration_z(registry(), column)
    assert len(z) == 10
    assert np.abs(z).max() <= 3.5, f"{column}: {np.round(z, 2)}"


def test_no_column_of_truth_is_left_out() -> None:
    assert tuple(registry().truth) == COLUMNS


def test_a_wrong_truth_is_noticed() -> None:
    """The test above can fail: risks a sixth too high are far outside its limits."""
    wrong = dict(registry().truth) | {"leak_any_ct": registry().truth["leak_any_ct"] * 1.17}
    other = Registry(**{name: getattr(registry(), name) for name in Registry.__dataclass_fields__} | {"truth": wrong})
    assert np.abs(calibration_z(other, "leak_any_ct")).max() > 3.5


def test_rates_of_the_default_world() -> None:
    """Within 0.01 of the world's own regression targets, but for the noise of this smaller registry."""
    rates = default_world_rates(registry())
    assert len(rates) >= 18
    for rate in rates:
        assert abs(rate.found - rate.target) <= 0.01 + 2.5 * rate.standard_error, rate


@pytest.mark.parametrize("profile", ["routine_report", "ct_strict"])
def test_route_margins_are_met(profile: str) -> None:
    world = World.load().with_design(profile=profile)
    people = draw_population(world, 60_000, np.random.default_rng(3))
    truth = leak_truth(world, people)
    for route, rate in world.part("leakage_routes", "profiles", profile).items():
        assert truth[f"leak_{route}"].mean() == pytest.approx(rate, abs=0.004)


def test_scales_agree_with_the_calibration_run_of_the_world() -> None:
    """The file's own scales were found by simulation without postoperative effects: remote and death have none."""
    solved = solve(World.load())
    printed = World.load().tree["calibrated"]["weibull_scale_lambda_H_equals_lambda_t_pow_k"]
    assert np.exp(solved.log_scales[2]) == pytest.approx(printed["remote"], rel=0.02)
    assert np.exp(solved.death_log_scale) == pytest.approx(printed["death_low"], rel=0.02)
    for k, cause in enumerate(("same", "adjacent")):  # lower here, since leaks and lumps add to the hazard
        assert 0.8 * printed[cause] < np.exp(solved.log_scales[k]) < printed[cause]


def test_cumulative_incidence_over_five_years_meets_the_calibration_run() -> None:
    world = World.load()
    people = draw_population(world, 20_000, np.random.default_rng(11))
    months = [1, 3, 6, 12, 24, 36, 60]
    found = cumulative_incidence(world, people, [month * 365 / 12 for month in months]).mean(axis=0)
    printed = world.tree["calibrated"]["cif_low_mortality"]
    for row, month in zip(found, months, strict=True):
        assert row[:3].sum() == pytest.approx(printed[f"m{month}"], abs=0.01)
    assert found[3, 3] == pytest.approx(printed["death_first_m12"], abs=0.01)
    assert found[6, 3] == pytest.approx(printed["death_first_m60"], abs=0.01)


def test_a_finer_time_grid_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.load()
    people = draw_population(world, 500, np.random.default_rng(2))
    coarse = cumulative_incidence(world, people, [91, 365, 730])
    monkeypatch.setattr("training.simulate.truth.STEPS", 2000)
    assert np.abs(cumulative_incidence(world, people, [91, 365, 730]) - coarse).max() < 2e-4


def test_truth_of_one_patient_is_the_share_in_many_copies() -> None:
    """The integral against brute force: one patient lived tens of thousands of times, everything unknown drawn anew."""
    world, copies = World.load(), 60_000
    people = draw_population(world, 400, np.random.default_rng(21))
    risks = cumulative_incidence(world, people, [365.0])[:, 0, :3].sum(axis=1)
    several = np.flatnonzero(people.treated_count == 2)
    for patient in (several[risks[several].argmax()], several[risks[several].argmin()]):
        many = copied(people, int(patient), copies)
        course = draw_course(
            world, many, draw_hospitals(world, copies, np.random.default_rng(1)), np.random.default_rng(2)
        )
        leaks = course.leak.reshape(copies, 2, 4)
        one = copied(people, int(patient), 1)
        truth = leak_truth(world, one)
        for vertebra in (0, 1):
            assert_share(leaks[:, vertebra].any(axis=1), truth["leak_any_ct"][vertebra])
            assert_share(leaks[:, vertebra, 3], truth["leak_D"][vertebra])
        true_incidence = cumulative_incidence(world, one, [91.0, 365.0, 730.0])[0]
        for horizon, row in zip((91, 365, 730), true_incidence, strict=True):
            for event in range(4):
                assert_share((course.first_event == event) & (course.first_event_days <= horizon), row[event])


def copied(people: Population, patient: int, copies: int) -> Population:
    """``copies`` of one patient with all the vertebrae."""
    rows = np.flatnonzero(people.patient == patient)
    of_vertebrae = {"patient", "level", "ivc", "genant", "cortical", "bvf_enlarged", "volume_ml"}
    arrays = {
        field.name: np.tile(getattr(people, field.name)[rows if field.name in of_vertebrae else [patient]], copies)
        for field in fields(Population)
    }
    return Population(**arrays | {"patient": np.repeat(np.arange(copies), len(rows))})


def assert_share(hits: np.ndarray, probability: float) -> None:
    assert abs(hits.mean() - probability) <= 4 * np.sqrt(probability * (1 - probability) / len(hits))


def test_findings_move_the_truth_as_the_world_says() -> None:
    world = World.load()
    people = draw_population(world, 500, np.random.default_rng(4))
    broken, whole = (replace(people, cortical=np.full(len(people.patient), value)) for value in (1.0, 0.0))
    with_break, without = leak_truth(world, broken), leak_truth(world, whole)
    assert (with_break["leak_C"] > without["leak_C"]).all() and (with_break["leak_D"] > without["leak_D"]).all()
    np.testing.assert_allclose(with_break["leak_B"], without["leak_B"])
    # A broken cortex has no coefficient for refracture: it acts through the disc leak that it makes likelier.
    adjacent = cumulative_incidence(world, broken, [365.0]) - cumulative_incidence(world, whole, [365.0])
    assert (adjacent[:, 0, 1] > 0).all() and (adjacent[:, 0, 0] < 0).all()


def test_follow_up_hides_events_without_distorting_their_incidence() -> None:
    """Aalen-Johansen on what is registered, with loss, the data lock and late finding, against the truth."""
    first = registry().first_rows
    columns = {name: values[first] for name, values in registry().columns.items()}
    code = np.select(
        [columns["refracture"] == cause for cause in ("same", "adjacent", "remote")], [1, 2, 3], 4 * columns["died"]
    )
    days = np.where(code % 4 > 0, columns["refracture_days"], columns["last_seen_days"])
    for event, name in enumerate(("refracture_same", "refracture_adjacent", "refracture_remote", "death"), start=1):
        found = metrics.aalen_johansen(code.astype(int), days, [91, 365, 730], event)
        truth = [registry().truth[f"{name}_{horizon}"][first].mean() for horizon in ("m3", "m12", "m24")]
        assert (np.abs(found.value - truth) <= 3.5 * found.se).all(), name
