"""What the service answers from: for each outcome a champion, and beside it the other learners of the same training.

A bundle is a folder ``<home>/released/<outcome>/<bundle>/`` that holds ``release.json`` and one model folder for each
learner. The file ``<home>/released/<outcome>/current`` names the bundle in force; it is replaced in one step, so that
a killed job leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from features.errors import ModelDamaged
from models.artifact import canonical, load
from models.calibrate import BinaryHead, coherent_routes
from models.calibrated import CalibratedRisk
from models.interface import Table

Floats = NDArray[np.float64]

OUTCOMES: tuple[Outcome, ...] = ("leakage", "refracture")


@dataclass(frozen=True, slots=True)
class Release:
    """A champion with its fellows. ``versions``: registry version of each learner."""

    outcome: Outcome
    champion: str
    models: Mapping[str, CalibratedRisk]
    versions: Mapping[str, str]
    training_id: str

    @property
    def model(self) -> CalibratedRisk:
        """The champion itself."""
        return self.models[self.champion]

    def routes(self, X: Table, risk: Floats) -> Floats:
        """Routes (n, 4) beside the champion's risk of any leak (n,).

        A Cox champion has none of its own: those of the logistic version of its training are moved to its risk.
        """
        if isinstance(self.model.head, BinaryHead):
            return self.model.routes(X)
        return coherent_routes(risk, self.models["logistic"].routes(X))


def write_release(
    home: Path,
    outcome: Outcome,
    champion: str,
    folders: Mapping[str, Path],
    versions: Mapping[str, str],
    training_id: str,
) -> str:
    """Copy the models into a new bundle, prove that it loads, put it in force; returns the name of the bundle."""
    name = f"v{versions[champion]}-{load(folders[champion]).sha256[:12]}"
    root = home / "released" / outcome
    if not (root / name).exists():
        _copy_bundle(root, name, outcome, champion, folders, versions, training_id)
    put_in_force(home, outcome, name)
    return name


def _copy_bundle(
    root: Path,
    name: str,
    outcome: Outcome,
    champion: str,
    folders: Mapping[str, Path],
    versions: Mapping[str, str],
    training_id: str,
) -> None:
    partial = root / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    digests = {}
    for learner, folder in folders.items():
        shutil.copytree(folder, partial / learner)
        digests[learner] = load(partial / learner).sha256
    described = {
        "outcome": outcome,
        "champion": champion,
        "training_id": training_id,
        "versions": dict(versions),
        "sha256": digests,
    }
    (partial / "release.json").write_bytes(canonical(described))
    partial.rename(root / name)


def put_in_force(home: Path, outcome: Outcome, bundle: str) -> None:
    """Let the service answer from a bundle that is already there."""
    pointer = home / "released" / outcome / "current"
    fresh = pointer.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(bundle + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(pointer)


def load_release(home: Path, outcome: Outcome) -> Release | None:
    """The bundle in force, or None if none was ever promoted; raises ``ModelDamaged``."""
    root = home / "released" / outcome
    pointer = root / "current"
    if not pointer.is_file():
        return None
    bundle = root / Path(pointer.read_text().strip()).name
    try:
        described = json.loads((bundle / "release.json").read_bytes())
        models = {learner: load(bundle / learner, digest) for learner, digest in described["sha256"].items()}
        release = Release(outcome, described["champion"], models, described["versions"], described["training_id"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelDamaged(f"the released bundle of {outcome} is incomplete: promote a version again") from error
    if release.champion not in models or described["outcome"] != outcome:
        raise ModelDamaged(f"the released bundle of {outcome} does not hold its champion: promote a version again")
    return release


def load_releases(home: Path) -> dict[Outcome, Release]:
    """All bundles in force, by outcome."""
    found = {outcome: load_release(home, outcome) for outcome in OUTCOMES}
    return {outcome: release for outcome, release in found.items() if release is not None}
