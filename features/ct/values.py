"""From measures to the dictionary's variables, each with the places that it was read from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from features import fracture_severity
from features.ct.heights import plate_angle_deg
from features.ct.labels import neighbour
from features.ct.measure import Measured, coarse
from features.ct.provenance import Json, Value, label_place, region_place, scan_place
from features.ct.schemes import LEVELS
from features.ct.shell import BREACH_WIDTH_MM, FORAMEN_WIDTH_MM
from features.records import to_columns

#: A cleft is flagged from this volume on; its absence is stated where voxels and slices are no coarser, mm.
CLEFT_ML, CLEFT_SEEN_MM = 0.03, 2.0
#: Preoperative names and what the same measure is called in a scan after the operation.
POSTOP_NAMES = {
    "fvah_mm": "fvah_postop_mm",
    "mvh_mm": "mvh_postop_mm",
    "wedge_angle_deg": "wedge_angle_postop_deg",
    "rka_deg": "rka_postop_deg",
}
_DERIVED = (
    fracture_severity.avhr_pct,
    fracture_severity.mvhr_pct,
    fracture_severity.ap_ratio_pct,
    fracture_severity.height_loss_pct,
    fracture_severity.genant_grade,
    fracture_severity.compression_degree,
)


def values_of(measured: Mapping[str, Measured], level: str, moment: str) -> dict[str, Value]:
    """The dictionary's variables of one level at a moment.

    None before the operation where the level holds cement: what is measured there is the result of an operation.
    """
    one = measured[level]
    if moment == "preop" and one.cement is not None:
        return {}
    above, below = (measured.get(n) if (n := neighbour(level, step)) else None for step in (-1, 1))
    values: dict[str, Value] = {}
    values.update(_heights(one, above, below))
    values.update(_volumes(one, above, below))
    values.update(_densities(one, above, below))
    values.update(_shell(one))
    if moment == "postop":
        kept = {POSTOP_NAMES[name]: value for name, value in values.items() if name in POSTOP_NAMES}
        return kept | _cement(one)
    return values


def _heights(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    if one.heights is None:
        return {}
    method = f"mid-sagittal corners of the body, own axes{_refined(one)}"
    h, where = one.heights, (label_place(one),)
    pairs = {"fvah_mm": h.anterior_mm, "mvh_mm": h.middle_mm, "pvh_mm": h.posterior_mm, "wedge_angle_deg": h.wedge_deg}
    values = {name: Value(round(v, 2), method, where) for name, v in pairs.items()}
    for side, other in (("above", above), ("below", below)):
        if other is not None and other.heights is not None:
            near = (label_place(other),)
            values[f"adj_ah_{side}_mm"] = Value(round(other.heights.anterior_mm, 2), f"{method}, {other.level}", near)
            values[f"adj_mh_{side}_mm"] = Value(round(other.heights.middle_mm, 2), f"{method}, {other.level}", near)
    if above is not None and below is not None and above.heights is not None and below.heights is not None:
        angle = plate_angle_deg((above.body.frame, above.heights), (below.body.frame, below.heights), one.body.frame)
        how = f"upper endplate of {above.level} to lower endplate of {below.level}"
        values["rka_deg"] = Value(round(angle, 2), how, (label_place(above), label_place(below)))
    return values


def _refined(one: Measured) -> str:
    return ", endplates placed by grey values" if coarse(one.body, one.scan) else ""


def _volumes(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    if one.volume_ml is None:
        return {}
    how = "voxels of the label in front of the posterior wall"
    values = {"vertebral_volume_ml": Value(round(one.volume_ml, 2), how, (label_place(one),))}
    near = [n for n in (above, below) if n is not None and n.volume_ml is not None]
    if near:
        expected = float(np.mean([n.volume_ml for n in near if n.volume_ml is not None]))
        lost = max(0.0, expected - one.volume_ml)
        names = " and ".join(n.level for n in near)
        how = f"mean body volume of {names} less the own"
        values["lost_volume_ml"] = Value(round(lost, 2), how, tuple(label_place(n) for n in (one, *near)))
    return values


def _densities(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    values: dict[str, Value] = {}
    index = one.density.least_impacted_hu
    if math.isfinite(index) and one.cement is None:
        third = min(one.density.thirds, key=lambda r: r.mean_hu if math.isfinite(r.mean_hu) else math.inf)
        how = "mean HU of the least impacted third of the eroded body"
        values["hu_index_vertebra"] = Value(round(index, 1), how, (region_place(one, third),))
    near = [n for n in (above, below) if n is not None and _usable_hu(n)]
    if near:
        mean = float(np.mean([n.density.ellipse_region.mean_hu for n in near]))
        how = f"mean of the mid-body ellipses of {' and '.join(n.level for n in near)}"
        places = tuple(region_place(n, n.density.ellipse_region) for n in near)
        values["hu_adjacent_mean"] = Value(round(mean, 1), how, places)
    return values


def _usable_hu(one: Measured) -> bool:
    return math.isfinite(one.density.ellipse_region.mean_hu) and one.cement is None


def _shell(one: Measured) -> dict[str, Value]:
    where = (label_place(one),)
    values = {}
    if one.coarsest_mm <= CLEFT_SEEN_MM or one.cleft_ml >= CLEFT_ML:
        how = f"gas inside the body, {CLEFT_ML} ml or more"
        values["intravertebral_cleft"] = Value(one.cleft_ml >= CLEFT_ML, how, where)
    if not one.shell.assessable:
        return values
    sites = {name for name, site in one.shell.sites.items() if site.breached}
    how = f"gap in the shell {BREACH_WIDTH_MM} mm wide or more, by half its usual density"
    upper, lower = "superior_endplate" in sites, "inferior_endplate" in sites
    plates = ("none", "lower", "upper", "both")[2 * upper + lower]
    found: dict[str, Any] = {"cortical_disruption": bool(sites), "endplate_disruption": plates}
    if sites:
        found["cortical_disruption_site"] = frozenset(sites)
    if one.shell.sites["posterior"].breached is not None:
        # whether the fragment stands back into the canal is not seen from a gap
        found["posterior_wall_defect"] = "breached_no_retropulsion" if "posterior" in sites else "intact"
    width = one.shell.foramen_width_mm
    found["basivertebral_foramen"] = "enlarged" if width >= FORAMEN_WIDTH_MM else "normal" if width > 0 else "not_seen"
    return values | {name: Value(value, how, where) for name, value in found.items()}


def _cement(one: Measured) -> dict[str, Value]:
    """Proposals for a reader to confirm; nothing where no cement was found."""
    cement = one.cement
    if cement is None:
        return {}
    leaks = sum(leak.volume_ml for leak in cement.leaks)
    found: dict[str, Any] = {
        "cement_volume_ml": round(cement.volume_ml, 2),
        "distribution_abc": cement.abc,
        "distribution_cf_sp": "CF" if cement.confluent else "SP",
        "distribution_score": cement.score,
        "endplate_contact": cement.endplate_contact,
        "leak_routes": cement.routes or frozenset({"none"}),
        "leak_modality": "CT",
        "leak_volume_ml": round(leaks, 2),
    }
    if one.volume_ml:
        found["cement_fraction_pct"] = round(100 * cement.volume_in_body_ml / one.volume_ml, 1)
    how = "proposal, to be confirmed by a reader: voxels above half of the cement's density"
    places = (scan_place(one, cement.index), label_place(one))
    return {name: Value(value, how, places, proposal=True) for name, value in found.items()}


def derived_from(values: Mapping[str, Value], level: str) -> Json:
    """What follows from the raw values, by the formulas of ``features.fracture_severity``, each with its source."""
    record = {"level": level} | {name: value.value for name, value in values.items()}
    columns = to_columns([record])
    found = {}
    for formula in _DERIVED:
        derived = formula(columns)
        if math.isfinite(float(derived.value[0])):
            found[formula.__name__] = {
                "value": round(float(derived.value[0]), 2),
                "source": derived.source[0],
                "method": f"features.fracture_severity.{formula.__name__} of the values beside it",
            }
    return found


def patient_values(measured: Mapping[str, Measured], derived: Mapping[str, Json],
                   moment: str) -> dict[str, tuple[str, Value]]:  # fmt: skip
    """``hu_l1`` with the level it is of: the mid-body ellipse of L1, or of the unfractured level nearest to it."""
    if moment == "postop":
        return {}
    whole = [level for level, one in measured.items() if _usable_hu(one) and _unfractured(derived[level])]
    whole = [level for level in whole if measured[level].heights is not None]
    if not whole:
        return {}
    at = LEVELS.index("L1")
    level = min(whole, key=lambda name: (abs(LEVELS.index(name) - at), LEVELS.index(name)))
    region = measured[level].density.ellipse_region
    how = f"mean HU of the largest trabecular ellipse at mid-body of {level}"
    return {"hu_l1": (level, Value(round(region.mean_hu, 1), how, (region_place(measured[level], region),)))}


def _unfractured(derived: Json) -> bool:
    grade = derived.get("genant_grade")
    return grade is not None and grade["value"] < 1
