"""From measures to the dictionary's variables, each with its provenance, and to a risk query that needs no editing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features import fracture_severity
from features.ct.density import Region
from features.ct.heights import plate_angle_deg
from features.ct.labels import Labels, neighbour
from features.ct.measure import METHOD_VERSION, Measured, coarse
from features.ct.raw import Header
from features.ct.schemes import LEVELS
from features.ct.shell import BREACH_WIDTH_MM, FORAMEN_WIDTH_MM
from features.ct.volume import Array
from features.ct.warn import scan_warnings, vertebra_warnings
from features.ct.warnings import entry
from features.dictionary import VARIABLES
from features.errors import UsageError
from features.records import to_columns

Json = dict[str, Any]
CLEFT_ML = 0.03
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


@dataclass(frozen=True, slots=True)
class Value:
    """One value under its dictionary name: ``method`` says how, ``voxels`` which voxels of which image."""

    value: Any
    method: str
    voxels: Json


def build(measured: Mapping[str, Measured], failed: Mapping[str, str], scan: Header, shown: Sequence[str],
          labels: tuple[Labels, Header], moment: str, known: Sequence[Json] = ()) -> Json:  # fmt: skip
    """The report (JSON types only) of the levels ``shown``; further ``measured`` levels serve as their neighbours.

    ``known`` are warnings that came up before anything was measured.
    """
    values = {level: _values(measured, level, scan, moment) for level in measured}
    derived = {level: _derived(values[level], level) for level in measured}
    patient = _patient(measured, values, derived, scan, moment)
    warnings = scan_warnings(scan) + [warning for warning in known if warning["level"] is None]
    vertebrae = []
    for level in (level for level in LEVELS if level in shown):
        if level in failed:
            warnings.append(entry("not_measured", level, failed[level]))
            continue
        kept, refused = _within_limits(values[level], level)
        found = [warning for warning in known if warning["level"] == level]
        found += vertebra_warnings(measured[level], scan, moment) + refused
        warnings += found
        vertebrae.append(_vertebra(measured[level], kept, derived[level], found))
    return {
        "schema": "cemrisk-ct/1",
        "moment": moment,
        "scan": _scan(scan, labels),
        "patient": {"values": {n: {**_json(v), "level": level} for n, (level, v) in patient.items()}},
        "vertebrae": vertebrae,
        "warnings": warnings,
    }


def query(report: Json, patient: Json, plan: Mapping[str, Json] | None = None) -> Json:
    """A body for ``POST /v1/risk``: the report's values, ``patient`` (age_years, sex, ...) and by level a ``plan``.

    Only levels named in ``plan`` (all, without one) are asked about. Every value a report holds is within the
    dictionary's limits and its warnings go along as ``ct``, so that nothing has to be edited.
    """
    levels = [v["level"] for v in report["vertebrae"]] if plan is None else list(plan)
    vertebrae = [{"level": level, **((plan or {}).get(level, {}))} for level in levels]
    return complete(report, {"moment": report["moment"], "patient": dict(patient), "vertebrae": vertebrae})


def complete(report: Json, question: Json) -> Json:
    """``question``, a body for ``POST /v1/risk``, with what the report measured; a value it states is kept.

    A null counts as unknown. Raises ``UsageError`` where a level is asked about that the report does not hold, or
    the question is no object with ``vertebrae``.
    """
    measured = {vertebra["level"]: vertebra["values"] for vertebra in report["vertebrae"]}
    asked = question.get("vertebrae") if isinstance(question, dict) else None
    facts = (question.get("patient") or {}) if isinstance(question, dict) else None
    if not isinstance(asked, list) or not isinstance(facts, dict) or not all(isinstance(v, dict) for v in asked):
        raise UsageError("The question must be an object with patient and vertebrae, a list of objects with a level.")
    if any(not isinstance(v.get("level"), str) or v["level"] not in measured for v in asked):
        raise UsageError(f"The question asks about a level that was not measured: {', '.join(measured)} were.")
    vertebrae = [_filled(vertebra, measured[vertebra["level"]]) for vertebra in asked]
    patient = _filled(facts, report["patient"]["values"])
    levels = {str(vertebra["level"]) for vertebra in asked}
    return {**question, "patient": patient, "vertebrae": vertebrae, "ct": _query_warnings(report, levels)}


def _filled(stated: Json, measured: Json) -> Json:
    known = {name: value for name, value in stated.items() if value is not None}
    return {**stated, **{name: found["value"] for name, found in measured.items()}, **known}


def _query_warnings(report: Json, levels: set[str]) -> list[Json]:
    """Codes of the warnings about the whole scan, about ``levels``, and about the level that gave the CT value."""
    used = levels | {found["level"] for found in report["patient"]["values"].values()}
    return [
        {"code": w["code"], "level": w["level"]} for w in report["warnings"] if w["level"] is None or w["level"] in used
    ]


def _vertebra(one: Measured, values: Mapping[str, Value], derived: Json, warnings: list[Json]) -> Json:
    return {
        "level": one.level,
        "values": {name: _json(value) for name, value in values.items()},
        "derived": derived,
        "details": _details(one),
        "warnings": warnings,
    }


def _json(value: Value) -> Json:
    found = value.value
    if isinstance(found, frozenset):
        found = sorted(found)
    return {"value": found, "method": value.method, **value.voxels}


def _values(measured: Mapping[str, Measured], level: str, scan: Header, moment: str) -> dict[str, Value]:
    one = measured[level]
    above, below = (measured.get(n) if (n := neighbour(level, step)) else None for step in (-1, 1))
    values: dict[str, Value] = {}
    values.update(_heights(one, above, below))
    values.update(_volumes(one, above, below))
    values.update(_densities(one, above, below))
    values.update(_shell(one))
    if moment == "postop":
        kept = {POSTOP_NAMES[name]: value for name, value in values.items() if name in POSTOP_NAMES}
        volume = {"vertebral_volume_ml": values["vertebral_volume_ml"]} if "vertebral_volume_ml" in values else {}
        return kept | volume | _cement(one)
    return values


def _heights(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    if one.heights is None:
        return {}
    method = f"mid-sagittal corners of the body, own axes{_refined(one)}; method {METHOD_VERSION}"
    h, where = one.heights, _label_voxels(one)
    pairs = {"fvah_mm": h.anterior_mm, "mvh_mm": h.middle_mm, "pvh_mm": h.posterior_mm, "wedge_angle_deg": h.wedge_deg}
    values = {name: Value(round(v, 2), method, where) for name, v in pairs.items()}
    for side, other in (("above", above), ("below", below)):
        if other is not None and other.heights is not None:
            near = _label_voxels(other)
            values[f"adj_ah_{side}_mm"] = Value(round(other.heights.anterior_mm, 2), f"{method}, {other.level}", near)
            values[f"adj_mh_{side}_mm"] = Value(round(other.heights.middle_mm, 2), f"{method}, {other.level}", near)
    if above is not None and below is not None and above.heights is not None and below.heights is not None:
        angle = plate_angle_deg((above.body.frame, above.heights), (below.body.frame, below.heights), one.body.frame)
        how = f"upper endplate of {above.level} to lower endplate of {below.level}; method {METHOD_VERSION}"
        values["rka_deg"] = Value(round(angle, 2), how, where)
    return values


def _refined(one: Measured) -> str:
    return ", endplates placed by grey values" if coarse(one.body, one.scan) else ""


def _volumes(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    if one.volume_ml is None:
        return {}
    how = f"voxels of the label in front of the posterior wall; method {METHOD_VERSION}"
    values = {"vertebral_volume_ml": Value(round(one.volume_ml, 2), how, _label_voxels(one))}
    near = [n for n in (above, below) if n is not None and n.volume_ml is not None]
    if near:
        expected = float(np.mean([n.volume_ml for n in near if n.volume_ml is not None]))
        lost = max(0.0, expected - one.volume_ml)
        names = " and ".join(n.level for n in near)
        how = f"mean body volume of {names} less the own; method {METHOD_VERSION}"
        values["lost_volume_ml"] = Value(round(lost, 2), how, _label_voxels(one))
    return values


def _densities(one: Measured, above: Measured | None, below: Measured | None) -> dict[str, Value]:
    values: dict[str, Value] = {}
    index = one.density.least_impacted_hu
    if math.isfinite(index):
        third = min(one.density.thirds, key=lambda r: r.mean_hu if math.isfinite(r.mean_hu) else math.inf)
        how = f"mean HU of the least impacted third of the eroded body; method {METHOD_VERSION}"
        values["hu_index_vertebra"] = Value(round(index, 1), how, _scan_voxels(one, third))
    near = [n for n in (above, below) if n is not None and _usable_hu(n)]
    if near:
        mean = float(np.mean([n.density.ellipse_region.mean_hu for n in near]))
        how = f"mean of the mid-body ellipses of {' and '.join(n.level for n in near)}; method {METHOD_VERSION}"
        places = _scan_voxels(near[0], *[n.density.ellipse_region for n in near[:1]])
        values["hu_adjacent_mean"] = Value(round(mean, 1), how, places)
    return values


def _usable_hu(one: Measured) -> bool:
    return math.isfinite(one.density.ellipse_region.mean_hu) and one.cement is None


def _shell(one: Measured) -> dict[str, Value]:
    where = _label_voxels(one)
    values = {}
    if float(one.scan.spacing_mm.max()) <= 2.0 or one.cleft_ml >= CLEFT_ML:
        how = f"gas inside the body, {CLEFT_ML} ml or more; method {METHOD_VERSION}"
        values["intravertebral_cleft"] = Value(one.cleft_ml >= CLEFT_ML, how, where)
    if not one.shell.assessable:
        return values
    sites = {name for name, site in one.shell.sites.items() if site.breached}
    how = f"gap in the shell {BREACH_WIDTH_MM} mm wide or more, by half its usual density; method {METHOD_VERSION}"
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
    how = f"proposal, to be confirmed by a reader: voxels above half of the cement's density; method {METHOD_VERSION}"
    return {name: Value(value, how, _label_voxels(one)) for name, value in found.items()}


def _derived(values: Mapping[str, Value], level: str) -> Json:
    """What follows from the raw values, by the formulas of ``features.fracture_severity``, each with its source."""
    record = {"level": level} | {name: value.value for name, value in values.items()}
    columns = to_columns([record])
    found = {}
    for formula in _DERIVED:
        derived = formula(columns)
        if math.isfinite(float(derived.value[0])):
            found[formula.__name__] = {"value": round(float(derived.value[0]), 2), "source": derived.source[0]}
    return found


def _patient(measured: Mapping[str, Measured], values: Mapping[str, Mapping[str, Value]], derived: Mapping[str, Json],
             scan: Header, moment: str) -> dict[str, tuple[str, Value]]:  # fmt: skip
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
    how = f"mean HU of the largest trabecular ellipse at mid-body of {level}; method {METHOD_VERSION}"
    return {"hu_l1": (level, Value(round(region.mean_hu, 1), how, _scan_voxels(measured[level], region)))}


def _unfractured(derived: Json) -> bool:
    grade = derived.get("genant_grade")
    return grade is not None and grade["value"] < 1


def _within_limits(values: Mapping[str, Value], level: str) -> tuple[dict[str, Value], list[Json]]:
    """Values that the dictionary allows; the others become warnings."""
    kept, refused = {}, []
    for name, value in values.items():
        variable = VARIABLES[name]
        number = isinstance(value.value, int | float) and not isinstance(value.value, bool)
        low = variable.lowest is not None and number and value.value < variable.lowest
        high = variable.highest is not None and number and value.value > variable.highest
        if low or high:
            detail = f"{name} was measured beyond its possible range and is left out: look at the overlay."
            refused.append(entry("beyond_limits", level, detail))
        else:
            kept[name] = value
    return kept, refused


def _details(one: Measured) -> Json:
    """Measures that the dictionary has no name for."""
    density, shell = one.density, one.shell
    sites = {
        name: {"below_share": _number(s.below_share), "gap_mm": _number(s.gap_mm),
               "gap_width_mm": _number(s.gap_width_mm),
               "breached": s.breached}
        for name, s in shell.sites.items()
    }  # fmt: skip
    cement = None
    if one.cement is not None:
        cement = {
            "volume_in_body_ml": one.cement.volume_in_body_ml,
            "leaks": [asdict(leak) for leak in one.cement.leaks],
        }
    return {
        "ct_value_ellipse": _region(density.ellipse_region),
        "ct_value_eroded": _region(density.eroded),
        "ct_value_thirds": [_region(third) for third in density.thirds],
        "shell": {"assessable": shell.assessable, "reason": shell.reason, "threshold_hu": _number(shell.threshold_hu),
                  "sites": sites, "basivertebral_gap_mm": _number(shell.foramen_width_mm)},
        "cleft_ml": round(one.cleft_ml, 3),
        "cement": cement,
    }  # fmt: skip


def _number(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def _region(region: Region) -> Json:
    return {"mean_hu": _number(region.mean_hu), "sd_hu": _number(region.sd_hu), "area_mm2": _number(region.area_mm2),
            "voxels": len(region.index), "sclerosis_share": _number(region.sclerosis_share),
            "gas_share": _number(region.gas_share), "foreign_share": _number(region.foreign_share)}  # fmt: skip


def _label_voxels(one: Measured) -> Json:
    return _place("labels", one.index)


def _scan_voxels(one: Measured, region: Region) -> Json:
    return _place("image", region.index + np.array(one.box_start))


def _place(image: str, index: Array) -> Json:
    """Range of voxels (axes right, anterior, superior; both ends included), the slices among them, and a digest."""
    if len(index) == 0:
        return {"image": image, "voxels": 0, "roi_sha256": None}
    low, high = index.min(axis=0), index.max(axis=0)
    span = high - low + 1
    keys = ((index[:, 2] - low[2]) * span[1] + index[:, 1] - low[1]) * span[0] + index[:, 0] - low[0]
    ordered = np.ascontiguousarray(index[np.argsort(keys, kind="stable")].astype("<i4"))
    digest = hashlib.sha256(ordered.tobytes()).hexdigest()[:16]
    ranges = [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
    return {"image": image, "voxels": len(index), "voxel_range": ranges, "slices": ranges[2], "roi_sha256": digest}


def _scan(scan: Header, labels: tuple[Labels, Header]) -> Json:
    affine = np.array(scan.affine)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    found, header = labels
    return {
        "series": scan.identity,
        "format": scan.source,
        **asdict(scan.acquisition),
        "spacing_mm": [round(float(s), 4) for s in spacing],
        "axes": "voxel ranges count along the axes nearest to right, anterior, superior",
        "labels": {
            "source": header.source,
            "series": header.identity,
            "scheme": found.scheme,
            "values": dict(found.values),
        },
        "method_version": METHOD_VERSION,
    }
