"""The simulated patients in the columns of the registry, complete and with the gaps that a registry has."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.registry.pseudonym import SIMULATED_PREFIX as SIMULATED_PREFIX
from training.simulate.course import Course, Hospitals
from training.simulate.first_images import first_images
from training.simulate.heights import draw_heights
from training.simulate.population import LEVELS, VISCOSITIES, Population, truncated_normal
from training.simulate.quadrature import Floats, normal_scores
from training.simulate.world import World
from training.simulate.world_format import CAUSES, ROUTES

Columns = dict[str, NDArray[Any]]
LOCK_DATE = date(2025, 6, 30)

#: Chosen where the world file says nothing; none of these acts on an outcome.
T_SCORE = {"mean": -2.9, "sd": 0.8, "lo": -6.0, "hi": -1.0}
T_SCORE_HU_CORRELATION = 0.45
VITAMIN_D = {"mean": 45.0, "sd": 18.0, "lo": 8.0, "hi": 130.0}
CANAL_COMPROMISE = {"mean": 8.0, "sd": 8.0, "lo": 1.0, "hi": 40.0}  # %, at grade 0; 3 points more by grade
NO_CANAL_COMPROMISE = 0.65
FORMER_AMONG_NON_SMOKERS = 0.15
DRUGS = {"zoledronate": 0.4, "bisphosphonate_oral": 0.3, "denosumab": 0.2, "teriparatide": 0.08, "romosozumab": 0.02}
#: Products whose class is undisputed, by the viscosity at injection.
PRODUCTS = {"low": ("spineplex", "eurofix-vtp"), "medium": ("alliment",), "high": ("vertaplex-hv", "kyphon-hv-r")}
PRODUCT_RECORDED = 0.6
SITES = ("anterior", "lateral_left", "lateral_right", "posterior", "superior_endplate", "inferior_endplate")
SITE_CHANCE = (0.35, 0.12, 0.12, 0.15, 0.4, 0.2)

#: Registry column -> its name under `missingness` of the world, and whether a patient or each vertebra lacks it.
GAPS = {
    "hu_l1": ("hu_l1", "patient"), "t_score": ("bmd", "patient"), "vitamin_d_nmol_l": ("vitamin_d", "patient"),
    "planned_viscosity": ("viscosity", "patient"), "canal_compromise_pct": ("canal_compromise", "vertebra"),
}  # fmt: skip
#: Missing at random given centre and year of the operation: log odds per standard deviation of centres, and per year.
CENTRE_GAP_SD, YEARLY_GAP = 0.7, -0.25


def complete_columns(
    people: Population, hospitals: Hospitals, course: Course, rng: np.random.Generator, later: np.random.Generator
) -> Columns:
    """Every column of the registry as it really is, one row per vertebra, typed as `features.records` does.

    ``later`` draws the first images after the operation, so that these leave all other draws alone.
    """
    per_patient = _identity(people, hospitals, course) | _patient_facts(people, rng) | _plan(people, rng)
    per_patient |= _follow_up(course)
    spread = {name: values[people.patient] for name, values in per_patient.items()}
    by_vertebra = _vertebra_facts(people, rng) | draw_heights(people, rng) | _operation(people, course, rng)
    columns = spread | by_vertebra | _leaks(people, course)
    columns |= first_images(columns, later)
    return {name: columns[name] for name in COLUMN_ORDER}


def with_gaps(
    world: World, people: Population, hospitals: Hospitals, complete: Columns, rng: np.random.Generator
) -> Columns:
    """``complete`` with the world's missingness: at random given centre and year, at the stated overall shares."""
    centre_scores = rng.permutation(normal_scores(int(world.number("design", "n_centres"))))
    first_row = np.searchsorted(people.patient, np.arange(people.size))
    years = np.array([int(day[:4]) for day in complete["procedure_date"][first_row]], dtype=float)
    pull = CENTRE_GAP_SD * centre_scores[hospitals.centre] + YEARLY_GAP * (years - years.mean())
    columns = dict(complete)
    for column, (name, unit) in GAPS.items():
        chance = expit(pull + _offset(pull, world.number("missingness", name)))[people.patient]
        chosen = rng.random(people.size)[people.patient] if unit == "patient" else rng.random(len(people.patient))
        values = complete[column].copy()
        values[chosen < chance] = None if values.dtype == object else np.nan
        columns[column] = values
    return columns


def _offset(pull: Floats, share: float) -> float:
    """The intercept for which the mean chance of a gap is ``share``."""
    if share <= 0 or share >= 1:
        return float(np.copysign(80.0, share - 0.5))
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(pull + middle).mean() < share else (low, middle)
    return (low + high) / 2


def _identity(people: Population, hospitals: Hospitals, course: Course) -> Columns:
    """Pseudonyms, centre, and the date that puts the data lock where the follow-up ends.

    Centres are in small letters, as the names of REDCap data access groups are.
    """
    days = [(LOCK_DATE - timedelta(days=int(gap))).isoformat() for gap in course.admin_days]
    order = np.lexsort((np.arange(people.size), -course.admin_days))
    before = np.empty(people.size)
    for surgeon in np.unique(hospitals.surgeon):
        own = order[hospitals.surgeon[order] == surgeon]
        before[own] = 40 + 35 * (surgeon % 11) + np.arange(len(own))
    return {
        "patient_id": _objects(f"{SIMULATED_PREFIX}{number:06d}" for number in range(1, people.size + 1)),
        "centre_id": _objects(f"c{centre + 1:02d}" for centre in hospitals.centre),
        "procedure_date": _objects(days),
        "surgeon_volume": before,
    }


def _patient_facts(people: Population, rng: np.random.Generator) -> Columns:
    former = rng.random(people.size) < FORMER_AMONG_NON_SMOKERS
    rho = T_SCORE_HU_CORRELATION
    t_table = {**T_SCORE, "sd": T_SCORE["sd"] * float(np.sqrt(1 - rho**2))}
    t_score = truncated_normal(rng, people.size, t_table, T_SCORE["sd"] * rho * people.hu_score)
    return {
        "age_years": people.age_years,
        "sex": _pick(people.female, ("male", "female")),
        "bmi_kg_m2": people.bmi_kg_m2,
        "smoking": _pick(np.where(people.smoking > 0, 2, former.astype(int)), ("never", "former", "current")),
        "steroid_use": people.steroids,
        "diabetes": people.diabetes,
        "malignancy": _pick(rng.random(people.size) < 0.06, ("none", "history")),
        "t_score": np.round(t_score, 1),
        "hu_l1": people.hu_l1,
        "vitamin_d_nmol_l": np.round(truncated_normal(rng, people.size, VITAMIN_D, 0.0)),
        "prior_vertebral_fracture": people.prior_vf,
        "treated_count": people.treated_count.astype(float),
    }


def _plan(people: Population, rng: np.random.Generator) -> Columns:
    """One operation for a patient: the same procedure, approach and cement on every level."""
    viscosity = _pick(people.viscosity, VISCOSITIES)
    product = [rng.choice(PRODUCTS[name]) if rng.random() < PRODUCT_RECORDED else None for name in viscosity]
    drug = rng.choice(list(DRUGS), size=people.size, p=list(DRUGS.values()))
    return {
        "procedure": _pick(people.pkp, ("PVP", "PKP")),
        "approach": _pick(rng.random(people.size) < np.where(people.pkp > 0, 0.75, 0.45), ("unilateral", "bilateral")),
        "cement_product_id": _objects(None if name is None else str(name) for name in product),
        "planned_viscosity": viscosity,
        "anti_osteoporosis_plan": _objects(
            str(name) if planned else "none" for name, planned in zip(drug, people.ao_plan > 0, strict=True)
        ),
    }


def _vertebra_facts(people: Population, rng: np.random.Generator) -> Columns:
    m = len(people.patient)
    canal = np.round(truncated_normal(rng, m, CANAL_COMPROMISE, np.asarray(3.0 * people.genant, dtype=float)))
    canal[rng.random(m) < NO_CANAL_COMPROMISE] = 0.0
    seen = rng.random(m) < 0.8
    return {
        "level": _pick(people.level, LEVELS),
        "cortical_disruption": people.cortical,
        "cortical_disruption_site": _sites(people.cortical, rng),
        "intravertebral_cleft": people.ivc,
        "basivertebral_foramen": _pick(np.where(people.bvf_enlarged > 0, 2, seen), ("not_seen", "normal", "enlarged")),
        "canal_compromise_pct": canal,
        "planned_volume_ml": people.volume_ml,
    }


def _sites(cortical: Floats, rng: np.random.Generator) -> NDArray[np.object_]:
    """At least one site where the cortex is broken, none (unknown) where it is not."""
    broken = rng.random((len(cortical), len(SITES))) < np.array(SITE_CHANCE)
    fallback = rng.integers(0, len(SITES), len(cortical))
    broken[np.arange(len(cortical)), fallback] |= ~broken.any(axis=1)
    return _objects(
        frozenset(site for site, hit in zip(SITES, row, strict=True) if hit) if flag else None
        for row, flag in zip(broken, cortical > 0, strict=True)
    )


def _operation(people: Population, course: Course, rng: np.random.Generator) -> Columns:
    m = len(people.patient)
    one_sided = rng.integers(0, 3, m)
    other = np.where((people.ivc > 0) & (rng.random(m) < 0.5), 3, np.where(rng.random(m) < 0.7, 0, 2))
    volume = np.round(people.volume_ml * np.exp(rng.normal(0, 0.12, m)), 1)
    return {
        "cement_volume_ml": np.clip(volume, 0.5, 12.0),
        "endplate_contact": _pick(np.where(course.contact_both, 3, one_sided), ("none", "upper", "lower", "both")),
        "cement_pattern": _pick(
            np.where(course.solid_lump, 1, other), ("interdigitated", "solid_lump", "mixed", "cleft_filling")
        ),
    }


def _leaks(people: Population, course: Course) -> Columns:
    none = frozenset({"none"})
    routes = _objects(
        frozenset(route for route, hit in zip(ROUTES, row, strict=True) if hit) if row.any() else none
        for row in course.seen
    )
    return {
        "leak_routes": routes,
        "leak_modality": course.modality[people.patient],
        "leak_detected_days": np.where(course.seen.any(axis=1), course.image_day[people.patient], np.nan),
    }


def _follow_up(course: Course) -> Columns:
    return {
        "refracture": _pick(course.reported_cause + 1, ("none", *CAUSES)),
        "refracture_days": course.reported_days,
        "last_seen_days": course.last_seen_days,
        "died": course.died.astype(float),
    }


def _pick(index: NDArray[Any], names: tuple[str, ...]) -> NDArray[np.object_]:
    return np.array(names, dtype=object)[index.astype(np.int64)]


def _objects(values: Any) -> NDArray[np.object_]:
    listed = list(values)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found


COLUMN_ORDER = (
    "patient_id", "centre_id", "procedure_date", "level", "age_years", "sex", "bmi_kg_m2", "smoking", "steroid_use",
    "diabetes", "malignancy", "t_score", "hu_l1", "vitamin_d_nmol_l", "prior_vertebral_fracture", "treated_count",
    "surgeon_volume", "fvah_mm", "mvh_mm", "pvh_mm", "adj_ah_above_mm", "adj_ah_below_mm", "lka_deg",
    "cortical_disruption",
    "cortical_disruption_site", "intravertebral_cleft", "basivertebral_foramen", "canal_compromise_pct",
    "procedure", "approach", "cement_product_id", "planned_viscosity", "planned_volume_ml",
    "anti_osteoporosis_plan", "cement_volume_ml", "distribution_abc", "distribution_cf_sp",
    "endplate_contact", "cement_pattern", "fvah_postop_mm", "lka_postop_deg", "leak_routes",
    "leak_modality", "leak_detected_days", "refracture", "refracture_days", "last_seen_days", "died",
)  # fmt: skip
