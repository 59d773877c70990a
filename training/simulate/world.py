"""The generating model of the simulated registry, read from a world file.

A world file is YAML in the format of ``training/worlds/default.yaml``: every coefficient with its unit, its value and
where it comes from. Margins are given (route rates, 12-month net risks); intercepts and scales are never given but
solved from them, by `training.simulate.solve`, so that any world in this format meets its own margins.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from features.errors import Finding, InputRejected

ROUTES = ("B", "S", "C", "D")
CAUSES = ("same", "adjacent", "remote")
DAYS_PER_MONTH = 365.0 / 12.0

#: Where coefficients stand: everything that `World.halved` halves and `World.flipped` can turn.
COEFFICIENT_TABLES = (
    ("leakage_routes", "coef"),
    ("refracture", "coef"),
    ("refracture", "postop_only_coef"),
    ("death", "coef"),
)
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


@dataclass(frozen=True)
class World:
    """One generating model. ``digest`` (of what draws, not of the remarks) is its identity: equal worlds, equal
    patients.

    ``tree`` is the file as it was read and must not be altered; `halved` and `flipped` make new worlds.
    """

    digest: str
    name: str = field(compare=False)
    tree: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def load(cls, path: Path | str | None = None) -> World:
        """Read a world file; None gives the default world that comes with the package.

        Raises `InputRejected` naming every field that is missing, unknown or of the wrong kind.
        """
        source = resources.files("training") / "worlds" / "default.yaml" if path is None else Path(path)
        try:
            tree = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputRejected(f"the world file cannot be read as UTF-8 YAML ({type(error).__name__})") from error
        return cls.of(tree, "default" if path is None else Path(path).stem)

    @classmethod
    def of(cls, tree: Any, name: str) -> World:
        """A world from its tree of tables, checked against the format."""
        findings = list(_faults(tree))
        if findings:
            listed = "; ".join(f"{finding.variable}: {finding.detail}" for finding in findings)
            raise InputRejected(f"the world file does not follow the format of the default world: {listed}", findings)
        drawn = json.dumps(_without_remarks(tree, ""), sort_keys=True)
        return cls(hashlib.sha256(drawn.encode()).hexdigest(), name, tree)

    def part(self, *path: str) -> Mapping[Any, Any]:
        """A table of the world without its remarks."""
        found = self._at(path)
        return {key: value for key, value in found.items() if key not in SILENT_KEYS}

    def number(self, *path: str) -> float:
        """One number of the world."""
        return float(self._at(path))

    def text(self, *path: str) -> str:
        """One word of the world."""
        return str(self._at(path))

    def coefficients(self, *path: str, over: tuple[str, ...]) -> dict[str, list[float]]:
        """A coefficient table as name -> values in the order of ``over``; a cause that is not named has 0."""
        rows = self.part(*path)
        return {
            name: [float(row.get(key, 0.0)) for key in over] for name, row in rows.items() if isinstance(row, Mapping)
        }

    @property
    def route_rates(self) -> list[float]:
        """Share of treated vertebrae with a leak by each of `ROUTES`, as CT shows it, in the profile of this world."""
        profile = self.part("leakage_routes", "profiles", self.text("design", "profile"))
        return [float(profile[route]) for route in ROUTES]

    @property
    def death_risk12(self) -> float:
        """The 12-month risk of death in the mortality setting of this world."""
        return self.number("death", "net_risk12", self.text("design", "mortality"))

    @property
    def horizons_days(self) -> dict[str, float]:
        """Horizon name (``m3``) -> days."""
        return {str(name): float(days) for name, days in self.part("design", "horizons_days").items()}

    def halved(self) -> World:
        """The same world with every coefficient halved; the margins stay, so intercepts and scales move."""
        return self._scaled(f"{self.name}-halved", lambda name: 0.5)

    def flipped(self, names: Iterable[str]) -> World:
        """The same world with the sign of the named coefficients turned; ``leakage_routes.hu_per_minus20`` and the
        like.

        Raises `InputRejected` for a name that no coefficient table has.
        """
        wanted = set(names)
        known = {f"{table}.{name}" for table, _, name in self._coefficient_names()}
        if unknown := sorted(wanted - known):
            raise InputRejected(f"no such coefficient: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return self._scaled(f"{self.name}-flipped", lambda name: -1.0 if name in wanted else 1.0)

    def with_design(self, **changes: Any) -> World:
        """The same world with other values in its ``design`` table, such as ``profile`` or ``mortality``."""
        tree = copy.deepcopy(dict(self.tree))
        tree["design"].update(changes)
        return World.of(tree, self.name)

    def as_yaml(self) -> str:
        """The world as a file that `load` reads back."""
        return str(yaml.safe_dump(dict(self.tree), sort_keys=False, allow_unicode=True, width=120))

    def _scaled(self, name: str, factor: Any) -> World:
        tree = copy.deepcopy(dict(self.tree))
        tree.pop("calibrated", None)  # it describes the world that this one was made from
        for table, key, coefficient in self._coefficient_names():
            entry, by = tree[table][key][coefficient], factor(f"{table}.{coefficient}")
            if isinstance(entry, dict):
                entry.update({k: v * by for k, v in entry.items() if k not in SILENT_KEYS})
            else:
                tree[table][key][coefficient] = entry * by
        return World.of(tree, name)

    def _coefficient_names(self) -> list[tuple[str, str, str]]:
        return [(table, key, name) for table, key in COEFFICIENT_TABLES for name in self.part(table, key)]

    def _at(self, path: tuple[str, ...]) -> Any:
        found: Any = self.tree
        for key in path:
            found = found[key]
        return found


#: The two coefficients of each outcome that the benchmark's second world turns: one strong finding and the CT value.
FLIPPED_FOR_BENCHMARK = (
    "leakage_routes.cortical_disruption", "leakage_routes.hu_per_minus20",
    "refracture.hu_per_minus10", "refracture.prior_vf",
)  # fmt: skip


def _without_remarks(node: Any, path: str) -> Any:
    if not isinstance(node, Mapping):
        return node
    kept = {
        key: value for key, value in node.items() if key not in SILENT_KEYS and _join(path, key) not in SILENT_PARTS
    }
    return {str(key): _without_remarks(value, _join(path, key)) for key, value in kept.items()}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _faults(tree: Any) -> Iterable[Finding]:
    """What keeps ``tree`` from being a world: compared with the default world, then the rules between its fields."""
    template = yaml.safe_load((resources.files("training") / "worlds" / "default.yaml").read_text(encoding="utf-8"))
    structural = list(_differences(_without_remarks(template, ""), _without_remarks(tree, ""), ""))
    return structural or list(_contradictions(tree))


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
    for path, risk in _risks(tree):
        if not 0 < risk < 1:
            yield Finding("world_field", path, "expected a share between 0 and 1")


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
