"""The simulated registry: what it must look like, whatever the world."""

from __future__ import annotations

import copy
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from features import check, fracture_severity
from features.dictionary import VARIABLES
from features.errors import InputRejected, UsageError
from training.simulate import World, simulate
from training.simulate.columns import GAPS
from training.simulate.effects import hospital_scores, leak_effect_rule
from training.simulate.heights import draw_heights
from training.simulate.population import LEVELS, draw_population
from training.simulate.quadrature import normal_rule, normal_scores, sum_rule
from training.simulate.registry import Frame, Registry

PATIENTS = 1_500


@pytest.fixture(scope="module")
def registry() -> Registry:
    return simulate(PATIENTS, seed=3)


def records(columns: Frame) -> list[dict[str, Any]]:
    """The columns as typed records, unknown left out."""
    python = {"flag": bool, "integer": int, "number": float}
    made: list[dict[str, Any]] = [{} for _ in columns["level"]]
    for name, values in columns.items():
        kind = python.get(VARIABLES[name].kind, lambda value: value)
        for record, value in zip(made, values, strict=True):
            if value is not None and value == value:
                record[name] = kind(value)
    return made


def test_the_same_seed_gives_the_same_registry_and_another_seed_another() -> None:
    first, again, other = simulate(200, 1), simulate(200, 1), simulate(200, 2)
    for part in ("columns", "complete", "truth", "happened"):
        for name, values in getattr(first, part).items():
            np.testing.assert_array_equal(values, getattr(again, part)[name])
    assert not np.array_equal(first.complete["age_years"], other.complete["age_years"])


@pytest.mark.parametrize("complete", [True, False])
def test_no_row_is_rejected(registry: Registry, complete: bool) -> None:
    rows = records(registry.complete if complete else registry.columns)
    faults = [finding for record in rows for finding in check.judge_record(record) if finding.rejects]
    for _, group in groupby(range(len(rows)), key=lambda row: registry.patient[row]):
        faults += [f for f in check.judge_patient([rows[row] for row in group]) if f.rejects]
    assert faults + check.judge_export(rows) == []


def test_each_column_is_typed_as_its_kind_and_patient_facts_are_the_patients(registry: Registry) -> None:
    for name, values in registry.columns.items():
        variable = VARIABLES[name]
        assert (values.dtype == np.float64) == (variable.kind in ("number", "integer", "flag")), name
        assert not variable.derived, name
        if variable.scope == "patient":
            complete = registry.complete[name]
            first = complete[registry.first_rows][registry.patient]
            assert all(a == b or (a != a and b != b) for a, b in zip(complete, first, strict=True)), name


def test_levels_of_a_patient_are_adjacent_and_counted(registry: Registry) -> None:
    for patient in range(PATIENTS):
        rows = np.flatnonzero(registry.patient == patient)
        places = [LEVELS.index(level) for level in registry.complete["level"][rows]]
        assert places == list(range(places[0], places[0] + len(rows)))
        assert set(registry.complete["treated_count"][rows]) == {float(len(rows))}


def test_the_derived_grade_is_the_drawn_one() -> None:
    people = draw_population(World.load(), 4_000, np.random.default_rng(8))
    heights = draw_heights(people, np.random.default_rng(9))
    levels = np.array(LEVELS, dtype=object)[people.level]
    derived = fracture_severity.genant_grade({**heights, "level": levels})
    np.testing.assert_array_equal(derived.value, people.genant)
    assert set(derived.source) == {"heights"}
    for name, values in heights.items():
        known = values[~np.isnan(values)]
        assert (known >= VARIABLES[name].lowest).all() and (known <= VARIABLES[name].highest).all(), name


def test_sites_agree_with_the_flag(registry: Registry) -> None:
    broken = registry.complete["cortical_disruption"] == 1
    sites = registry.complete["cortical_disruption_site"]
    assert all((site is not None and len(site) > 0) == flag for site, flag in zip(sites, broken, strict=True))


def test_gaps_are_where_the_world_puts_them_and_nowhere_else() -> None:
    made = simulate(8_000, 4)
    for name, values in made.columns.items():
        gone = np.array([value is None or value != value for value in values])
        was_gone = np.array([value is None or value != value for value in made.complete[name]])
        assert (gone >= was_gone).all()
        if name not in GAPS:
            assert (gone == was_gone).all(), name
            continue
        share = made.world.number("missingness", GAPS[name][0])
        assert (gone & ~was_gone).mean() == pytest.approx(share, abs=0.02), name
    centres = [f"c{number:02d}" for number in range(1, 13)]
    shares = [np.isnan(made.columns["hu_l1"][made.columns["centre_id"] == centre]).mean() for centre in centres]
    assert np.ptp(shares) > 0.1  # at random given centre and year, not completely at random


def test_days_keep_their_order(registry: Registry) -> None:
    complete = registry.complete
    days, last = complete["refracture_days"], complete["last_seen_days"]
    seen = complete["refracture"] != "none"
    assert (np.isnan(days) == ~seen).all()
    assert (days[seen] >= 1).all() and (days[seen] <= last[seen]).all() and (last >= 1).all()
    leaked = np.array([routes != frozenset({"none"}) for routes in complete["leak_routes"]])
    assert (np.isnan(complete["leak_detected_days"]) == ~leaked).all()
    assert (complete["leak_detected_days"][leaked] <= last[leaked]).all()


def test_what_is_registered_is_part_of_what_happened(registry: Registry) -> None:
    complete, happened = registry.complete, registry.happened
    seen = complete["refracture"] != "none"
    assert (complete["refracture"][seen] == happened["first_event"][seen]).all()
    assert (complete["refracture_days"][seen] >= happened["first_event_days"][seen]).all()
    late = complete["refracture_days"][seen] > happened["first_event_days"][seen]
    assert set(complete["refracture_days"][seen][late]) <= {30.0, 91.0, 183.0, 365.0, 730.0}
    assert 0.1 < late.mean() < 0.35  # of 30 % found at a visit, those after the last one keep their day
    by_ct = np.isin(complete["leak_modality"], ("CT", "CT+radiograph"))
    for route in "BSCD":
        reported = np.array([route in routes for routes in complete["leak_routes"]])
        real = happened[f"leak_{route}"] == 1
        assert not (reported & ~real).any() and (reported == real)[by_ct].all()
        assert reported[~by_ct].sum() < real[~by_ct].sum()


def test_the_follow_up_ends_by_the_data_lock(registry: Registry) -> None:
    start = np.array([np.datetime64(day) for day in registry.complete["procedure_date"]])
    last = start + registry.complete["last_seen_days"].astype("timedelta64[D]")
    lock = np.datetime64("2025-06-30")
    assert (last <= lock).all() and (last == lock).mean() > 0.4


def test_truth_obeys_probability(registry: Registry) -> None:
    truth = registry.truth
    routes = [truth[f"leak_{route}"] for route in "BSCD"]
    assert (truth["leak_any_ct"] >= np.max(routes, axis=0)).all() and (
        truth["leak_any_ct"] <= np.sum(routes, axis=0)
    ).all()
    assert (truth["leak_any_radiograph"] < truth["leak_any_ct"]).all()
    for horizon in ("m3", "m12", "m24"):
        parts = sum(truth[f"refracture_{cause}_{horizon}"] for cause in ("same", "adjacent", "remote"))
        np.testing.assert_allclose(parts, truth[f"refracture_any_{horizon}"], rtol=1e-12)
        assert (truth[f"refracture_any_{horizon}"] + truth[f"death_{horizon}"] < 1).all()
    for stem in ("refracture_any", "refracture_same", "refracture_adjacent", "refracture_remote", "death"):
        assert (truth[f"{stem}_m3"] < truth[f"{stem}_m12"]).all() and (
            truth[f"{stem}_m12"] < truth[f"{stem}_m24"]
        ).all()


def test_centre_and_surgeon_effects_average_nought_and_are_only_shuffled() -> None:
    world = World.load()
    centre, surgeon = hospital_scores(world)
    assert (len(centre), len(surgeon)) == (12, 60)
    assert centre.mean() == pytest.approx(0, abs=1e-12) and surgeon.mean() == pytest.approx(0, abs=1e-12)
    assert (centre.std(), surgeon.std()) == (pytest.approx(0.40), pytest.approx(0.20))


def test_quadrature_has_the_moments_of_the_sum() -> None:
    scores = normal_scores(12) * 0.4
    nodes, weights = sum_rule((scores, np.full(12, 1 / 12)), normal_rule(0.35, 15))
    variance, third = 0.4**2 + 0.35**2, float(np.mean(scores**4)) + 6 * 0.16 * 0.35**2 + 3 * 0.35**4
    assert weights.sum() == pytest.approx(1) and weights @ nodes == pytest.approx(0, abs=1e-12)
    assert weights @ nodes**2 == pytest.approx(variance) and weights @ nodes**4 == pytest.approx(third)


def test_no_random_effects_leave_one_node() -> None:
    world = edited(lambda tree: tree["leakage_routes"]["random_sd"].update(centre=0.0, surgeon=0.0, patient=0.0))
    nodes, weights = leak_effect_rule(world)
    assert nodes == pytest.approx([0.0]) and weights == pytest.approx([1.0])


@pytest.mark.parametrize(("patients", "seed"), [(0, 1), (-3, 1), (1_000_000, 1), (10, -1)])
def test_impossible_requests_are_refused(patients: int, seed: int) -> None:
    with pytest.raises(UsageError):
        simulate(patients, seed)


def test_one_patient_is_enough() -> None:
    assert len(set(simulate(1, 1).columns["patient_id"])) == 1


def edited(change: Any) -> World:
    tree = copy.deepcopy(dict(World.load().tree))
    change(tree)
    return World.of(tree, "edited")


def test_the_world_decides(registry: Registry) -> None:
    """Fields far apart in the file are obeyed."""

    def change(tree: Any) -> None:
        tree["design"].update(
            treated_count={1: 0.5, 3: 0.5}, leak_modality={"fluoroscopy": 1.0}, found_at_next_visit=0.0
        )
        tree["design"]["horizons_days"] = {"m12": 365, "m1": 30}
        tree["covariates"]["female"]["p"] = 1.0
        tree["missingness"].update(hu_l1=0.0, bmd=1.0)
        tree["censoring"].update(loss_per_year=0.0, admin_min_months=24, admin_max_months=24)

    made = simulate(400, 1, edited(change))
    assert set(made.complete["treated_count"]) == {1.0, 3.0} and set(made.complete["sex"]) == {"female"}
    assert set(made.complete["leak_modality"]) == {"fluoroscopy"}
    assert not np.isnan(made.columns["hu_l1"]).any() and np.isnan(made.columns["t_score"]).all()
    assert [name for name in made.truth if name.startswith("death")] == ["death_m1", "death_m12"]
    assert set(made.complete["last_seen_days"][made.complete["died"] == 0]) == {730.0}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda tree: tree["design"].pop("profile"), "design.profile"),
        (lambda tree: tree["design"].update(profile="none such"), "design.profile"),
        (lambda tree: tree["design"].update(n_centres="twelve"), "design.n_centres"),
        (lambda tree: tree["design"].update(treated_count={1: 0.9}), "design.treated_count"),
        (lambda tree: tree["design"].update(treated_count={9: 1.0}), "design.treated_count"),
        (lambda tree: tree["covariates"].update(hu_l2={"mean": 3}), "covariates.hu_l2"),
        (lambda tree: tree["covariates"]["age_years"].update(dist="lognormal"), "covariates.age_years.dist"),
        (lambda tree: tree["covariates"]["age_years"].update(sd=0), "covariates.age_years.sd"),
        (lambda tree: tree["covariates"]["ivc"].update(p=1.2), "covariates.ivc.p"),
        (lambda tree: tree["leakage_routes"]["coef"]["ivc"].pop("S"), "leakage_routes.coef.ivc.S"),
        (lambda tree: tree["leakage_routes"]["profiles"]["routine_report"].update(B=0), "routine_report.B"),
        (lambda tree: tree["refracture"]["causes"]["same"].update(shape=float("nan")), "refracture.causes.same.shape"),
        (lambda tree: tree["refracture"].update(time_unit="years"), "refracture.time_unit"),
        (lambda tree: tree["censoring"].update(admin_min_months=60), "censoring.admin_min_months"),
    ],
)
def test_a_world_that_is_not_one_is_refused_by_field(change: Any, field: str) -> None:
    with pytest.raises(InputRejected) as caught:
        edited(change)
    assert any(finding.variable.endswith(field) for finding in caught.value.findings)


@pytest.mark.parametrize("text", [b"", b"[1, 2", b"\xff\xfe", b"just words"])
def test_a_file_that_is_not_a_world_is_refused(tmp_path: Any, text: bytes) -> None:
    (tmp_path / "world.yaml").write_bytes(text)
    with pytest.raises(InputRejected):
        World.load(tmp_path / "world.yaml")


def test_remarks_do_not_change_a_world_and_order_does_not_change_the_patients() -> None:
    def remark(tree: Any) -> None:
        tree["covariates"]["ivc"]["from"] = "another source"
        tree["design"]["leak_modality"] = dict(reversed(tree["design"]["leak_modality"].items()))

    other = edited(remark)
    assert other == World.load()
    np.testing.assert_array_equal(
        simulate(50, 1, other).complete["leak_modality"], simulate(50, 1).complete["leak_modality"]
    )


def test_halved_and_flipped_worlds() -> None:
    world = World.load()
    halved, flipped = world.halved(), world.flipped(["refracture.steroids"])
    assert halved.number("leakage_routes", "coef", "cortical_disruption", "C") == pytest.approx(0.65)
    assert halved.number("death", "coef", "male") == pytest.approx(0.225)
    assert halved.number("refracture", "postop_only_coef", "disc_leak", "adjacent") == pytest.approx(0.35)
    assert flipped.number("refracture", "coef", "steroids", "same") == pytest.approx(-0.50)
    assert flipped.number("refracture", "coef", "smoking", "same") == world.number(
        "refracture", "coef", "smoking", "same"
    )
    assert halved.route_rates == world.route_rates
    with pytest.raises(InputRejected):
        world.flipped(["refracture.no_such_thing"])


def test_half_the_coefficients_separate_less_at_the_same_rate() -> None:
    full, half = simulate(3_000, 1), simulate(3_000, 1, World.load().halved())
    assert half.truth["leak_any_ct"].std() < 0.7 * full.truth["leak_any_ct"].std()
    for route in "BSCD":
        assert half.truth[f"leak_{route}"].mean() == pytest.approx(full.truth[f"leak_{route}"].mean(), rel=0.05)
