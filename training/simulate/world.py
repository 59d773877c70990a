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
from pathlib import Path
from typing import Any

import yaml

from features.errors import InputRejected
from training.simulate.world_format import ROUTES, SILENT_KEYS, default_text, drawing_part, faults

DAYS_PER_MONTH = 365.0 / 12.0

#: Where coefficients stand: everything that `World.halved` halves and `World.flipped` can turn.
COEFFICIENT_TABLES = (
    ("leakage_routes", "coef"),
    ("refracture", "coef"),
    ("refracture", "postop_only_coef"),
    ("death", "coef"),
)


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
        try:
            tree = yaml.safe_load(default_text() if path is None else Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputRejected(f"the world file cannot be read as UTF-8 YAML ({type(error).__name__})") from error
        return cls.of(tree, "default" if path is None else Path(path).stem)

    @classmethod
    def of(cls, tree: Any, name: str) -> World:
        """A world from its tree of tables, checked against the format."""
        findings = list(faults(tree))
        if findings:
            listed = "; ".join(f"{finding.variable}: {finding.detail}" for finding in findings)
            raise InputRejected(f"the world file does not follow the format of the default world: {listed}", findings)
        drawn = json.dumps(drawing_part(tree), sort_keys=True)
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
        """Horizon name (``m3``) -> days, the nearest first."""
        table = self.part("design", "horizons_days")
        return {str(name): float(table[name]) for name in sorted(table, key=lambda name: float(table[name]))}

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

    def multiplied(self, factors: Mapping[str, float]) -> World:
        """The same world with the named coefficients, written as for `flipped`, times a factor each."""
        return self._scaled(f"{self.name}-multiplied", lambda name: factors.get(name, 1.0))

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
