"""The format of a world file: what it must hold, what it may hold, and what contradicts itself.

The default world is the template; a table that is open (profiles, counts, horizons) may have other names inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import yaml

from features.errors import Finding

ROUTES = ("B", "S", "C", "D")
CAUSES = ("same", "adjacent", "remote")

#: Tables whose keys belong to the world, not to the format: their values are checked, their names are not.
OPEN_TABLES = {
    "design.treated_count", "design.leak_modality", "design.leak_detected_days", "design.horizons_days",
    "leakage_routes.profiles", "death.net_risk12",
}  # fmt: skip
#: Parts that explain or test a world and draw nothing.
SILENT_PARTS = {
    "calibrated", "dictionary_names", "dirty_export_features", "refracture.any_targets",
    "design.centre_and_surgeon_effects", "covariates.multiple",
}  # fmt: skip
SILENT_KEYS = {"from", "anchor", "note", "mechanism", "dist"}
MODALITIES = ("CT", "radiograph", "CT+radiograph", "fluoroscopy", "not_stated")


def default_text() -> str:
    """The default world as text."""
    return (resources.files("training") / "worlds" / "default.yaml").read_text(encoding="utf-8")


def drawing_part(tree: Any) -> Any:
    """The tree without remarks and without what only explains or tests it: what decides the draws."""
    return _without_remarks(tree, "")


def _without_remarks(node: Any, path: str) -> Any:
    if not isinstance(node, Mapping):
        return node
    kept = {
        key: value for key, value in node.items() if key not in SILENT_KEYS and _join(path, key) not in SILENT_PARTS
    }
    return {str(key): _without_remarks(value, _join(path, key)) for key, value in kept.items()}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def faults(tree: Any) -> Iterable[Finding]:
    """What keeps ``tree`` from being a world: compared with the default world, then the rules between its fields."""
    template = yaml.safe_load(default_text())
    structural = [
        *_differences(drawing_part(template), drawing_part(tree), ""),
        *_unknown_distributions(template, tree, ""),
    ]
    return structural or [*_contradictions(tree), *_impossible_numbers(drawing_part(tree), "")]


def _differences(template: Any, given: Any, path: str) -> Iterable[Finding]:
    if isinstance(template, Mapping):
        if not isinstance(given, Mapping) or not given:
            yield Finding("world_field", path or "the file", "expected a table of named values")
        elif path in OPEN_TABLES:
            sample = next(iter(template.values()))
            for key, value in given.items():
                yield from _differences(sample, value, _join(path, key))
        else:
            yield from _key_differences(template, given, path)
    elif isinstance(template, list):
        if not isinstance(given, list) or not all(_is_number(item) for item in given):
            yield Finding("world_field", path, "expected a list of numbers")
    elif _is_number(template) and not _is_number(given):
        yield Finding("world_field", path, "expected a number")
    elif isinstance(template, str) and not isinstance(given, str):
        yield Finding("world_field", path, "expected a word")


def _key_differences(template: Mapping[str, Any], given: Mapping[str, Any], path: str) -> Iterable[Finding]:
    for key in template.keys() - given.keys():
        if not (_optional(path)):
            yield Finding("world_field", _join(path, key), "is missing")
    for key in given.keys() - template.keys():
        # A coefficient row may name routes or causes that the default leaves at 0.
        if not (_optional(path) and key in CAUSES):
            yield Finding("world_field", _join(path, key), "is not part of the format; check its spelling")
    for key in template.keys() & given.keys():
        yield from _differences(template[key], given[key], _join(path, key))


def _optional(path: str) -> bool:
    return path.startswith("refracture.postop_only_coef.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _contradictions(tree: Mapping[str, Any]) -> Iterable[Finding]:
    """Fields that do not go together or hold impossible numbers."""
    design = tree["design"]
    for name in ("treated_count", "leak_modality", "leak_detected_days"):
        yield from _share_faults(f"design.{name}", list(design[name].values()))
    yield from _share_faults("covariates.genant.p", tree["covariates"]["genant"]["p"])
    yield from _share_faults(
        "covariates.viscosity", [tree["covariates"]["viscosity"][k] for k in ("low", "medium", "high")]
    )
    if design["profile"] not in tree["leakage_routes"]["profiles"]:
        yield Finding("world_field", "design.profile", "names no table of leakage_routes.profiles")
    if design["mortality"] not in tree["death"]["net_risk12"]:
        yield Finding("world_field", "design.mortality", "names no entry of death.net_risk12")
    if set(design["leak_modality"]) - set(MODALITIES):
        yield Finding("world_field", "design.leak_modality", f"expected names out of {', '.join(MODALITIES)}")
    if not set(map(str, design["treated_count"])) <= {"1", "2", "3", "4", "5", "6"}:
        yield Finding("world_field", "design.treated_count", "expected whole numbers from 1 to 6")
    if design["n_centres"] < 1 or design["n_surgeons"] < design["n_centres"]:
        yield Finding("world_field", "design.n_surgeons", "expected at least one surgeon for each centre")
    if design["n_centres"] != int(design["n_centres"]) or design["n_surgeons"] != int(design["n_surgeons"]):
        yield Finding("world_field", "design.n_centres", "expected whole numbers of centres and surgeons")
    if tree["refracture"]["time_unit"] != "months":
        yield Finding("world_field", "refracture.time_unit", "only months are known")
    censoring = tree["censoring"]
    if not 0 < censoring["admin_min_months"] <= censoring["admin_max_months"]:
        yield Finding("world_field", "censoring.admin_min_months", "expected more than 0 and at most admin_max_months")
    if min(design["horizons_days"].values()) < 1:
        yield Finding("world_field", "design.horizons_days", "expected days from 1")
    for path, risk in _risks(tree):
        if not 0 < risk < 1:
            yield Finding("world_field", path, "expected a risk between 0 and 1, neither of them")


#: Numbers that are shares wherever they stand, by the end of their path or by their table.
SHARE_KEYS = ("p", "p_if_genant3", "loss_per_year", "found_at_next_visit", "endplate_contact_both", "solid_lump")
SHARE_TABLES = ("missingness.", "leakage_routes.detection_radiograph_given_ct.", "design.postop.")
NOT_NEGATIVE = ("leakage_routes.random_sd.", "refracture.frailty_sd.")


def _impossible_numbers(node: Any, path: str) -> Iterable[Finding]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _impossible_numbers(value, _join(path, key))
    elif _is_number(node):
        key = path.rsplit(".", 1)[-1]
        coefficient = ".coef." in path or "_coef." in path
        if not coefficient and (key in SHARE_KEYS or path.startswith(SHARE_TABLES)) and not 0 <= node <= 1:
            yield Finding("world_field", path, "expected a share from 0 to 1")
        if key in ("sd", "shape") and not node > 0:
            yield Finding("world_field", path, "expected more than 0")
        if path.startswith(NOT_NEGATIVE) and node < 0:
            yield Finding("world_field", path, "expected 0 or more")


def _unknown_distributions(template: Any, given: Any, path: str) -> Iterable[Finding]:
    """A distribution that is named must be the one that is drawn."""
    if not (isinstance(template, Mapping) and isinstance(given, Mapping)):
        return
    if "dist" in given and given["dist"] != template.get("dist"):
        yield Finding("world_field", _join(path, "dist"), f"only {template.get('dist')} is known here")
    for key in template.keys() & given.keys():
        yield from _unknown_distributions(template[key], given[key], _join(path, key))


def _share_faults(path: str, shares: list[float]) -> Iterable[Finding]:
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        yield Finding("world_field", path, "expected shares that are not negative and add up to 1")


def _risks(tree: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, profile in tree["leakage_routes"]["profiles"].items():
        yield from ((f"leakage_routes.profiles.{name}.{route}", profile[route]) for route in ROUTES)
    yield from (
        (f"refracture.causes.{cause}.net_risk12", tree["refracture"]["causes"][cause]["net_risk12"]) for cause in CAUSES
    )
    yield from ((f"death.net_risk12.{name}", risk) for name, risk in tree["death"]["net_risk12"].items())
