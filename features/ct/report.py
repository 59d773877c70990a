"""The report of a scan: each vertebra's values and details with their provenance, and what must be known about them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from features.ct.density import Region
from features.ct.labels import Labels
from features.ct.measure import Measured
from features.ct.provenance import Json, Value, label_place, place_json, region_place, scan_place, source_of
from features.ct.raw import Header
from features.ct.schemes import LEVELS
from features.ct.values import derived_from, patient_values, values_of
from features.ct.warn import scan_warnings, vertebra_warnings
from features.ct.warnings import entry
from features.dictionary import VARIABLES


def build(measured: Mapping[str, Measured], failed: Mapping[str, str], scan: Header, shown: Sequence[str],
          labels: tuple[Labels, Header], moment: str, known: Sequence[Json] = ()) -> Json:  # fmt: skip
    """The report (JSON types only) of the levels ``shown``; further ``measured`` levels serve as their neighbours.

    ``known`` are warnings that came up before anything was measured. Warnings are given of the whole scan, of the
    levels shown, and of every other level that one of their values was read from.
    """
    source = source_of(scan, labels)
    checked = {level: _within_limits(values_of(measured, level, moment), level) for level in measured}
    # from what was kept: nothing follows from a refused value
    derived = {level: derived_from(values, level) for level, (values, _) in checked.items()}
    patient = patient_values(measured, derived, moment)
    kept = {level: checked[level] for level in shown if level in measured}
    found = {level: _about(measured[level], known, scan, moment) for level in measured}
    for level, (_, refused) in kept.items():
        found[level] += refused
    for level in set(shown) & set(failed):
        found[level] = [entry("not_measured", level, failed[level])]
    used = _levels_read(patient, (one for one, _ in kept.values())) | set(shown)
    vertebrae = [
        _vertebra(measured[level], kept[level][0], derived[level], found[level], source)
        for level in LEVELS
        if level in kept
    ]
    return {
        "schema": "cemrisk-ct/1",
        "moment": moment,
        "scan": _scan(scan, labels, source),
        "patient": {"values": {n: {**v.as_json(source), "level": level} for n, (level, v) in patient.items()}},
        "vertebrae": vertebrae,
        "warnings": scan_warnings(scan)
        + [warning for warning in known if warning["level"] is None]
        + [warning for level in LEVELS if level in used for warning in found.get(level, [])],
    }


def _about(one: Measured, known: Sequence[Json], scan: Header, moment: str) -> list[Json]:
    return [warning for warning in known if warning["level"] == one.level] + vertebra_warnings(one, scan, moment)


def _levels_read(patient: Mapping[str, tuple[str, Value]], kept: Iterable[Mapping[str, Value]]) -> set[str]:
    """The levels that the values were read from, neighbours among them."""
    values = [value for own in kept for value in own.values()] + [value for _, value in patient.values()]
    return {place.level for value in values for place in value.places}


def _vertebra(one: Measured, values: Mapping[str, Value], derived: Json, warnings: list[Json], source: Json) -> Json:
    return {
        "level": one.level,
        "values": {name: value.as_json(source) for name, value in values.items()},
        "derived": derived,
        "details": _details(one, source),
        "warnings": warnings,
    }


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


def _details(one: Measured, source: Json) -> Json:
    """Measures that the dictionary has no name for, each with its place."""
    density, body = one.density, place_json([label_place(one)])
    found = {
        "ct_value_ellipse": _region(one, density.ellipse_region),
        "ct_value_eroded": _region(one, density.eroded),
        "body_volume": {"volume_ml": None if one.volume_ml is None else _number(one.volume_ml), **body},
        "shell": _shell(one) | body,
        "cleft": {"volume_ml": _number(one.cleft_ml), **body},
    }
    if one.cement is not None:
        found["cement"] = _cement(one)
    return {name: {**measure, "source": source} for name, measure in found.items()} | {
        "ct_value_thirds": [{**_region(one, third), "source": source} for third in density.thirds]
    }


def _shell(one: Measured) -> Json:
    shell = one.shell
    sites = {
        name: {
            "below_share": _number(site.below_share),
            "gap_mm": _number(site.gap_mm),
            "gap_width_mm": _number(site.gap_width_mm),
            "breached": site.breached,
        }
        for name, site in shell.sites.items()
    }
    return {
        "assessable": shell.assessable,
        "reason": shell.reason,
        "threshold_hu": _number(shell.threshold_hu),
        "sites": sites,
        "basivertebral_gap_mm": _number(shell.foramen_width_mm),
    }


def _cement(one: Measured) -> Json:
    """Cement in and around one body; a proposal for a reader to confirm."""
    cement = one.cement
    if cement is None:
        return {}
    leaks = [
        {
            "compartment": leak.compartment,
            "route": leak.route,
            "vein_like": leak.vein_like,
            "volume_ml": _number(leak.volume_ml),
            "centre_mm": [_number(part) for part in leak.centre_mm],
            **place_json([scan_place(one, leak.index)]),
        }
        for leak in cement.leaks
    ]
    inside = {"volume_in_body_ml": _number(cement.volume_in_body_ml), "quadrants": list(cement.quadrants)}
    return {"proposal": True, **inside, "leaks": leaks, **place_json([scan_place(one, cement.index)])}


def _number(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def _region(one: Measured, region: Region) -> Json:
    return {
        "mean_hu": _number(region.mean_hu),
        "sd_hu": _number(region.sd_hu),
        "area_mm2": _number(region.area_mm2),
        "sclerosis_share": _number(region.sclerosis_share),
        "gas_share": _number(region.gas_share),
        "foreign_share": _number(region.foreign_share),
        **place_json([region_place(one, region)]),
    }


def _scan(scan: Header, labels: tuple[Labels, Header], source: Json) -> Json:
    found, header = labels
    return {
        "series": scan.identity,
        "format": scan.source,
        **asdict(scan.acquisition),
        "spacing_mm": source["spacing_mm"],
        "axes": "voxel ranges count along the axes nearest to right, anterior, superior",
        "labels": {
            "source": header.source,
            "series": header.identity,
            "scheme": found.scheme,
            "values": dict(found.values),
        },
        "method_version": source["method_version"],
    }
