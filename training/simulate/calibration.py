"""Does the simulator keep its promises: rates against the world's targets, truth against what was drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import auc
from training.simulate.registry import Registry
from training.simulate.world_format import CAUSES

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a registry beside its target; ``standard_error`` counts patients as the independent units."""

    name: str
    found: float
    target: float
    standard_error: float


def drawn(registry: Registry, column: str) -> tuple[Floats, Flags]:
    """What was drawn for a truth column, (m,) of 0/1, and the rows that count.

    Leaks by radiograph are what the registry reports of the vertebrae that were filmed only; any other leak is the
    real one; refracture and death are the real first event, once for each patient (on its first row).
    """
    rows = np.zeros(len(registry.patient), dtype=bool)
    if column == "leak_any_radiograph":
        seen = np.array([routes != frozenset({"none"}) for routes in registry.complete["leak_routes"]], dtype=float)
        return seen, np.isin(registry.complete["leak_modality"], ("radiograph",))
    if column.startswith("leak_"):
        routes = ("B", "S", "C", "D") if column == "leak_any_ct" else (column.removeprefix("leak_"),)
        hits = np.max([registry.happened[f"leak_{route}"] for route in routes], axis=0)
        return hits, ~rows
    rows[registry.first_rows] = True
    stem, horizon = column.rsplit("_", 1)
    cause = stem.removeprefix("refracture_")
    causes = CAUSES if cause == "any" else (cause,)
    hit = np.isin(registry.happened["first_event"], causes)
    in_time = registry.happened["first_event_days"] <= registry.world.horizons_days[horizon]
    return (hit & in_time).astype(float), rows


def calibration_z(registry: Registry, column: str, groups: int = 10) -> Floats:
    """(groups,) standardised difference drawn − truth in equal groups of rising truth, errors by patient.

    The variance is that between patients, but never less than the truth itself implies for independent rows: in a group
    with hardly an event the scatter that was seen says nothing.
    """
    hits, rows = drawn(registry, column)
    truth, hits, patient = registry.truth[column][rows], hits[rows], registry.patient[rows]
    group = np.empty(len(truth), dtype=np.int64)
    group[np.argsort(truth, kind="stable")] = np.arange(len(truth)) * groups // len(truth)
    z = np.empty(groups)
    for g in range(groups):
        mine = group == g
        by_patient = np.bincount(patient[mine], weights=(hits - truth)[mine])
        implied = float((truth[mine] * (1 - truth[mine])).sum())
        z[g] = by_patient.sum() / np.sqrt(max(float((by_patient**2).sum()), implied))
    return z


def default_world_rates(registry: Registry) -> list[Rate]:
    """Rates of a registry of the default world beside its regression targets (`calibrated` in the world file).

    Leakage on the vertebrae read by CT, in all strata that the file lists; first events by their real day, death as
    registered in its mortality setting.
    """
    targets = registry.world.tree["calibrated"]
    leak = targets["leakage_any"][registry.world.text("design", "profile")]
    by_ct = np.isin(registry.complete["leak_modality"], ("CT", "CT+radiograph"))
    found = np.array([routes != frozenset({"none"}) for routes in registry.complete["leak_routes"]], dtype=float)
    rates = [
        _rate(registry, f"leak {name}", found, by_ct & stratum, float(leak[name]))
        for name, stratum in _strata(registry).items()
    ]
    profile = registry.world.part("leakage_routes", "profiles", registry.world.text("design", "profile"))
    for route, target in profile.items():
        hits = np.array([route in routes for routes in registry.complete["leak_routes"]], dtype=float)
        rates.append(_rate(registry, f"leak route {route}", hits, by_ct, float(target)))
    return [*rates, _oracle_auc(registry, found, by_ct), *_event_rates(registry)]


def _oracle_auc(registry: Registry, found: Floats, by_ct: Flags) -> Rate:
    """How well the truth itself separates leaks: no preoperative model can do better in this world."""
    targets = registry.world.tree["calibrated"]["oracle_auc_any_leak_without_centre_or_surgeon_effects"]
    estimate = auc(registry.truth["leak_any_ct"][by_ct], found[by_ct], registry.patient[by_ct])
    return Rate(
        "oracle AUC, any leak", estimate.value, float(targets[registry.world.text("design", "profile")]), estimate.se
    )


def _strata(registry: Registry) -> dict[str, Flags]:
    complete = registry.complete
    viscosity = {name: complete["planned_viscosity"] == name.removeprefix("viscosity_")
                 for name in ("viscosity_low", "medium", "high")}  # fmt: skip
    return {
        "all": np.ones(len(registry.patient), dtype=bool),
        "PVP": complete["procedure"] == "PVP",
        "PKP": complete["procedure"] == "PKP",
        **viscosity,
        "ivc_no": complete["intravertebral_cleft"] == 0,
        "ivc_yes": complete["intravertebral_cleft"] == 1,
        "cortical_no": complete["cortical_disruption"] == 0,
        "cortical_yes": complete["cortical_disruption"] == 1,
    }


def _event_rates(registry: Registry) -> list[Rate]:
    world, first = registry.world, np.zeros(len(registry.patient), dtype=bool)
    first[registry.first_rows] = True
    level = "low" if world.text("design", "mortality") == "china_like_age72" else "high"
    targets = world.tree["calibrated"][f"cif_{level}_mortality"]
    event, days = registry.happened["first_event"], registry.happened["first_event_days"]
    rates = []
    for name, target in targets.items():
        causes = ("death",) if name.startswith("death_first") else CAUSES
        by = np.floor(float(name.rsplit("m", 1)[1]) * 365 / 12 + 0.5)
        hits = (np.isin(event, causes) & (days <= by)).astype(float)
        label = name if name.startswith("death_first") else f"refracture {name}"
        rates.append(_rate(registry, label, hits, first, float(target)))
    early = (np.isin(event, CAUSES) & (days <= 91)).astype(float)
    share = float(world.tree["calibrated"]["share_of_first_year_events_within_3_months"][level])
    in_year = first & np.isin(event, CAUSES) & (days <= 365)
    return [*rates, _rate(registry, "first-year events within 3 months", early, in_year, share)]


def _rate(registry: Registry, name: str, hits: Floats, rows: Flags, target: float) -> Rate:
    rate = float(hits[rows].mean())
    by_patient = np.bincount(registry.patient[rows], weights=hits[rows] - rate)
    return Rate(name, rate, target, float(np.sqrt((by_patient**2).sum()) / rows.sum()))
