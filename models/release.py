"""What the service answers from: for each outcome a champion, and beside it the other learners of the same training.

A bundle is a folder ``<home>/released/<outcome>/<bundle>/`` that holds ``release.json`` and one model folder for each
learner. The file ``<home>/released/<outcome>/current`` names the bundle in force; it is replaced in one step, so that
a killed job leaves either the old state or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.build import MOMENT_OF, Outcome, outcomes_at
from features.dictionary import Moment
from features.errors import ModelDamaged, NotReady
from features.files import sync, write_private
from models.artifact import canonical, load, verify
from models.calibrate import coherent_routes
from models.calibrated import CalibratedRisk
from models.interface import Table

Floats = NDArray[np.float64]

OUTCOMES: tuple[Outcome, ...] = tuple(MOMENT_OF)


def training_command(outcome: str) -> str:
    """What to run so that there is a model of the outcome."""
    if outcome in outcomes_at(Moment.POSTOP):
        return "cemrisk train EXPORT --moment postop"
    return f"cemrisk train EXPORT --outcome {outcome}"


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

    @property
    def teller_of_routes(self) -> str | None:
        """Who tells the routes: the champion, or for a Cox champion the logistic version of its training; or nobody."""
        wanted = "logistic" if self.champion == "cox" else self.champion
        return wanted if wanted in self.models and self.models[wanted].has_routes else None

    def routes(self, X: Table, risk: Floats) -> Floats | None:
        """Routes (n, 4) moved to the champion's risk of any leak (n,), or None if the training could not tell them."""
        teller = self.teller_of_routes
        return None if teller is None else coherent_routes(risk, self.models[teller].routes(X))


def write_release(
    home: Path,
    outcome: Outcome,
    champion: str,
    folders: Mapping[str, Path],
    versions: Mapping[str, str],
    training_id: str,
) -> str:
    """Copy the models into a new bundle, prove that it loads, put it in force; returns the name of the bundle.

    A bundle of the same models that is already there is used if it still loads, and replaced if it is damaged.
    """
    name = f"v{versions[champion]}-{load(folders[champion]).sha256[:12]}"
    root = home / "released" / outcome
    root.mkdir(parents=True, exist_ok=True)
    if not _is_whole(root / name, outcome):
        _copy_bundle(root, name, outcome, champion, folders, versions, training_id)
    put_in_force(home, outcome, name)
    return name


def _is_whole(bundle: Path, outcome: Outcome) -> bool:
    try:
        _read_bundle(bundle, outcome)
    except ModelDamaged:
        return False
    return True


def _copy_bundle(
    root: Path,
    name: str,
    outcome: Outcome,
    champion: str,
    folders: Mapping[str, Path],
    versions: Mapping[str, str],
    training_id: str,
) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
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
    for part in partial.rglob("*"):  # the pointer must never be on disk before what it points to
        sync(part)
    sync(partial)
    if (root / name).exists():
        (root / name).rename(partial.with_suffix(".damaged"))
    partial.rename(root / name)
    sync(root)
    shutil.rmtree(partial.with_suffix(".damaged"), ignore_errors=True)


def put_in_force(home: Path, outcome: Outcome, bundle: str) -> None:
    """Let the service answer from a bundle that is already there.

    The pointer holds its name and the sha256 of its description, which in turn holds those of all else.
    """
    pointer = home / "released" / outcome / "current"
    try:
        digest = hashlib.sha256((pointer.parent / bundle / "release.json").read_bytes()).hexdigest()
    except OSError as error:
        raise ModelDamaged(f"the released bundle of {outcome} is incomplete: promote a version again") from error
    write_private(pointer, f"{bundle} {digest}\n")


def in_force(home: Path, outcome: Outcome) -> str | None:
    """What the pointer says: the bundle in force and its sha256; None if none was ever promoted."""
    pointer = home / "released" / outcome / "current"
    try:
        return pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelDamaged(
            f"the pointer to the release of {outcome} cannot be read: promote a version again"
        ) from error


def load_release(home: Path, outcome: Outcome) -> Release | None:
    """The bundle in force, or None if none was ever promoted; raises ``ModelDamaged``."""
    pointed = in_force(home, outcome)
    return None if pointed is None else read_bundle(home, outcome, pointed)


def read_bundle(home: Path, outcome: Outcome, pointed: str) -> Release:
    """The bundle that a pointer names; raises ``ModelDamaged``."""
    return _read_bundle(_pointed(home, outcome, pointed), outcome)


def verify_bundle(home: Path, outcome: Outcome, pointed: str) -> str:
    """Compare the digest of every file with the list that names it, and parse nothing else.

    Gives the sha256 of the bundle's description. Raises ``ModelDamaged``.
    """
    bundle = _pointed(home, outcome, pointed)
    described = (bundle / "release.json").read_bytes()
    try:
        for learner, digest in json.loads(described)["sha256"].items():
            verify(bundle / learner, digest)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelDamaged(f"the released bundle of {outcome} is incomplete: promote a version again") from error
    return hashlib.sha256(described).hexdigest()


def _pointed(home: Path, outcome: Outcome, pointed: str) -> Path:
    """The folder, once its description was found to be the one that was put in force."""
    name, _, digest = pointed.partition(" ")
    bundle = home / "released" / outcome / Path(name).name
    try:
        found = hashlib.sha256((bundle / "release.json").read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"the released bundle of {outcome} is incomplete: promote a version again") from error
    if digest and digest != found:  # pointers of before had the name alone
        raise ModelDamaged(f"the released bundle of {outcome} is not the one promoted: promote a version again")
    return bundle


def _read_bundle(bundle: Path, outcome: Outcome) -> Release:
    try:
        described = json.loads((bundle / "release.json").read_bytes())
        models = {learner: load(bundle / learner, digest) for learner, digest in described["sha256"].items()}
        release = Release(outcome, described["champion"], models, described["versions"], described["training_id"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelDamaged(f"the released bundle of {outcome} is incomplete: promote a version again") from error
    if release.champion not in models or described["outcome"] != outcome:
        raise ModelDamaged(f"the released bundle of {outcome} does not hold its champion: promote a version again")
    return release


def find_release(home: Path, outcome: Outcome, champion: str, version: str, by_learner: Mapping[str, str]) -> Release:
    """The bundle of this version, in force or not, whose champion and fellows have these sha256.

    Raises ``NotReady`` if there is none any more, ``ModelDamaged`` if it is not whole.
    """
    for described in sorted((home / "released" / outcome).glob("[!.]*/release.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(described.read_bytes())
            named = (found["sha256"][found["champion"]], found["versions"][found["champion"]])
            if found["sha256"] == dict(by_learner) and named == (champion, version):
                return _read_bundle(described.parent, outcome)
    raise NotReady(f"the models of {outcome} that answered are no longer among the released ones")


def load_releases(home: Path, outcomes: tuple[Outcome, ...] = OUTCOMES) -> dict[Outcome, Release]:
    """The bundles in force, by outcome."""
    found = {outcome: load_release(home, outcome) for outcome in outcomes}
    return {outcome: release for outcome, release in found.items() if release is not None}
