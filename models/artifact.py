"""A fitted model on disk: JSON and xgboost's UBJ, never pickle; with its card, digests and records to check itself by.

``manifest.json`` names every file with its sha256; the sha256 of the manifest is the model's. ``load`` checks digests
before anything is parsed (a flipped bit in a UBJ file can crash xgboost or change risks silently), then structure,
then re-scores the synthetic records kept with their expected risks.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import MOMENT_OF, Outcome, build
from features.dictionary import Moment, fingerprint
from features.errors import ModelDamaged, NotReady
from features.outcome import CAUSES, HORIZON_DAYS
from features.records import to_columns
from models.boosted import BoostedRisk
from models.calibrate import BinaryHead
from models.calibrated import LEAKAGE_PARTS, CalibratedRisk
from models.competing import HazardHead
from models.cox import CoxRisk
from models.interface import Learner, predictor_columns
from models.linear import LinearBody
from models.logistic import LogisticRisk
from models.selfcheck import synthetic_records
from models.trees import TreeBody

FORMAT = 1
LEARNERS: dict[str, type[CalibratedRisk]] = {"logistic": LogisticRisk, "cox": CoxRisk, "boosted": BoostedRisk}
FILES = frozenset({"model.json", "card.json", "selfcheck.json"})
TREES = "trees.ubj"
#: May lie beside a model without being part of it: time, host and run of the training.
PROVENANCE = "provenance.json"
LARGEST_FILE_BYTES = 256 * 2**20
SELF_CHECK_TOLERANCE = 1e-9

SYNTHETIC_NOTICE = (
    "Trained on simulated patients. Not for clinical use: it shows how the service works, "
    "not what will happen to a patient."
)
REGISTRY_NOTICE = (
    "Trained on one registry export and validated inside it only. Not a medical device; "
    "check it on your own patients before you rely on it."
)


@dataclass(frozen=True, slots=True)
class Card:
    """What a model is, what it was made from and how good it is; aggregates only, nothing of a single patient.

    ``prior``: the documented prior that it started from (``models.prior.Prior.described`` and, under ``weight``, how
    much each part kept of it); empty without one.
    """

    outcome: Outcome
    learner: Learner
    training_id: str = ""
    role: str = "model"
    data_status: str = "synthetic"
    data_digest: str = ""
    rows: int = 0
    patients: int = 0
    events: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    training_range: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing_share: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    prior: dict[str, Any] = field(default_factory=dict)
    #: ``releasable``, ``releasable with prior`` or ``not releasable``, and why it is not simply the first.
    release: str = ""
    release_reason: str = ""

    @property
    def name(self) -> str:
        """Name of the registered model."""
        return f"cemrisk-{self.outcome}"

    @property
    def moment(self) -> str:
        """When the model is asked: ``preop`` or ``postop``."""
        return "postop" if MOMENT_OF[self.outcome] is Moment.POSTOP else "preop"

    @property
    def notices(self) -> tuple[str, ...]:
        """What every answer says about the model: of its data, then whether its patients were too few.

        Apart, so that an answer of two models says once what is true of both.
        """
        notice = SYNTHETIC_NOTICE if self.data_status == "synthetic" else REGISTRY_NOTICE
        if not self.release_reason:
            return (notice,)
        return notice, f"{self.release.capitalize()} ({self.outcome}): {self.release_reason}."

    @property
    def notice(self) -> str:
        """All of ``notices`` as one text."""
        return " ".join(self.notices)


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no blanks, shortest floats that round-trip, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def save(model: CalibratedRisk, folder: str | os.PathLike[str], card: Card | None = None) -> str:
    """Write the model to ``folder`` (made, or replaced if it holds a model) and return its sha256."""
    target = Path(folder)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, content in _files(model, card or model.card or Card(model.outcome, model.learner)).items():
        _write(partial / name, content)
    digests = {path.name: _sha256(path.read_bytes()) for path in sorted(partial.iterdir())}
    manifest = canonical({"format": FORMAT, "files": digests})
    _write(partial / "manifest.json", manifest)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    return _sha256(manifest)


def _files(model: CalibratedRisk, card: Card) -> dict[str, bytes]:
    described = asdict(card) | {"name": card.name, "notice": card.notice, "moment": card.moment}
    described["horizons_days"] = _horizons(model.outcome)
    described["columns"], described["fingerprint"] = list(model.columns), fingerprint()
    records = synthetic_records(model.outcome)
    check = {"records": [_plain(record) for record in records], "totals": _totals(model, records).tolist()}
    files = {
        "model.json": canonical(model.to_dict()),
        "card.json": canonical(_finite(described)),
        "selfcheck.json": canonical(check),
    }
    if isinstance(model, BoostedRisk):
        files[TREES] = model.trees
    return files


def load(folder: str | os.PathLike[str], expected_sha256: str | None = None) -> CalibratedRisk:
    """Read a model back, with its ``card`` and ``sha256``.

    Raises ``ModelDamaged`` if a digest, the structure or a self-check record does not hold, ``NotReady`` if the model
    was trained with another dictionary of variables.
    """
    files, digest = verify(Path(folder), expected_sha256)
    try:
        stored, described, check = (json.loads(files[name]) for name in ("model.json", "card.json", "selfcheck.json"))
        if described["fingerprint"] != fingerprint():
            raise NotReady("the model was trained with another dictionary of variables: train it again")
        model = _assemble(stored, files.get(TREES))
        model.card = Card(**{name: described[name] for name in Card.__slots__ if name in described})
        _check(model, check)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelDamaged("the model's files do not have the structure of a model") from error
    model.sha256 = digest
    return model


def verify(folder: Path, expected_sha256: str | None = None) -> tuple[dict[str, bytes], str]:
    """All files of the manifest after their digests were compared, and the manifest's own digest; nothing is parsed.

    Raises ``ModelDamaged``.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise ModelDamaged("no manifest.json: this is not a model, or it was only half copied")
    manifest = path.read_bytes()
    try:
        listed = dict(json.loads(manifest)["files"])
        whole = manifest == canonical({"format": FORMAT, "files": listed})
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamaged("manifest.json is damaged") from error
    if not whole or not FILES <= set(listed) <= FILES | {TREES}:
        raise ModelDamaged("manifest.json is not one that this version of cemrisk writes")
    surplus = {found.name for found in folder.iterdir()} - set(listed) - {path.name, PROVENANCE}
    if surplus:
        raise ModelDamaged(f"the model's folder holds {len(surplus)} files that are not the model's: remove them")
    files = {name: _part(folder / name) for name in listed}
    for name, digest in listed.items():
        if _sha256(files[name]) != digest:
            raise ModelDamaged(f"{name}: its content is not what was saved (sha256 differs)")
    found = _sha256(manifest)
    if expected_sha256 is not None and found != expected_sha256:
        raise ModelDamaged("the model's digest is not the one that was asked for")
    return files, found


def _part(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > LARGEST_FILE_BYTES:
        raise ModelDamaged(f"{path.name}: missing or too large")
    return path.read_bytes()


def _assemble(stored: Mapping[str, Any], trees: bytes | None) -> CalibratedRisk:
    model = LEARNERS[stored["learner"]]()
    outcome: Outcome = stored["outcome"]
    columns = predictor_columns(outcome)
    head = (BinaryHead if stored["head"]["kind"] == "binary" else HazardHead).from_dict(stored["head"])
    parts = head.parts
    if parts not in _possible_parts(outcome, model.learner):
        raise ModelDamaged("the recalibration of the model does not have the parts of its outcome")
    body: LinearBody | TreeBody
    if isinstance(model, BoostedRisk):
        if trees is None:
            raise ModelDamaged(f"{TREES} is missing")
        model.trees = trees
        body = TreeBody.read(trees, parts, head.explained, len(columns))
    else:
        body = LinearBody.from_dict(stored["body"])
        _check_linear(body, parts, head.explained)
    _check_head(head, parts, body.margins(np.full((1, len(columns)), np.nan)).refits.shape[2])
    model.set_fitted(outcome, body, head)
    return model


def _possible_parts(outcome: Outcome, learner: Learner) -> tuple[int, ...]:
    """Four causes; any leak alone under Cox; any leak with all its routes, or without any."""
    if outcome != "leakage":
        return (len(CAUSES),)
    return (1,) if learner == "cox" else (1, len(LEAKAGE_PARTS))


def _check_head(head: BinaryHead | HazardHead, parts: int, refits: int) -> None:
    fits = head.slope.shape == (parts,)
    if isinstance(head, HazardHead):
        fits = fits and len(head.refits) == refits
    else:
        fits = fits and head.intercept.shape == (parts,) and bool(np.isfinite([head.intercept, head.slope]).all())
    if not fits:
        raise ModelDamaged("the recalibration of the model does not fit its parts and refits")


def _check_linear(body: LinearBody, parts: int, explained: int) -> None:
    width = body.design.width
    shapes = body.coefficients.shape == (parts, width) and body.intercept.shape == (parts,)
    shapes = shapes and body.refits.ndim == 3 and body.refits.shape[::2] == (explained, width + 1)
    if not shapes or not all(np.isfinite(values).all() for values in (body.coefficients, body.intercept, body.refits)):
        raise ModelDamaged("the coefficients do not fit the design")


def _check(model: CalibratedRisk, check: Mapping[str, Any]) -> None:
    expected = np.asarray(check["totals"], dtype=float)
    found = _totals(model, [_rich(record) for record in check["records"]])
    if found.shape != expected.shape or not (np.abs(found - expected) <= SELF_CHECK_TOLERANCE).all():
        raise ModelDamaged("the model does not reproduce the risks of its own check records")


def _totals(model: CalibratedRisk, records: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Risks of the check records on the link scale, by CT for leakage, each record being one patient."""
    columns = to_columns(records)
    patients = np.arange(len(records))
    matrix = build(columns, model.outcome, moment=MOMENT_OF[model.outcome], detection="CT", patient=patients)
    return model.head.total(model.margins(matrix, with_refits=False).main[:, : model.head.explained])


def _horizons(outcome: Outcome) -> list[int]:
    return list(HORIZON_DAYS.values()) if outcome != "leakage" else []


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in record.items()}


def _rich(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: frozenset(value) if isinstance(value, list) else value for name, value in record.items()}


def _finite(value: Any) -> Any:
    """JSON has no NaN: a metric that could not be computed is absent as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
