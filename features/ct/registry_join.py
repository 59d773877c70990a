"""A folder of scans joined to a registry by pseudonym and level.

Below the folder stands one folder for each patient, named by the pseudonym; in it the scan (``image.nii.gz``,
``image.nii``, ``image.zip`` or a folder ``image`` of DICOM) and its labels (``labels.nii.gz``, ``labels.nii``,
``labels.dcm``). A stated value in the registry is never replaced: a measured one fills a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from features.ct.limits import Limits
from features.ct.provenance import Json
from features.ct.scan import measure_scan
from features.errors import ImageRejected, UsageError
from features.variable import Value

IMAGE_NAMES = ("image.nii.gz", "image.nii", "image.zip", "image")
LABEL_NAMES = ("labels.nii.gz", "labels.nii", "labels.dcm")


@dataclass(slots=True)
class Joined:
    """``records`` with the gaps filled, and what did not match, by position (rows and folders count from 1).

    ``filled`` counts values, ``kept`` those that the registry stated otherwise by more than 10 %.
    """

    records: list[dict[str, Value]]
    filled: int = 0
    kept: int = 0
    rows_without_scan: list[int] = field(default_factory=list)
    rows_without_level: list[int] = field(default_factory=list)
    folders_without_row: list[int] = field(default_factory=list)
    folders_rejected: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, Json]] = field(default_factory=list)

    def summary(self) -> Json:
        """The report without the records, for ``--json``."""
        return {
            "filled": self.filled,
            "kept": self.kept,
            "rows_without_scan": self.rows_without_scan,
            "rows_without_level": self.rows_without_level,
            "folders_without_row": self.folders_without_row,
            "folders_rejected": [{"folder": n, "reason": why} for n, why in self.folders_rejected],
            "warnings": [{"row": row, "code": w["code"], "detail": w["detail"]} for row, w in self.warnings],
        }


def join(
    folder: Path,
    records: Sequence[dict[str, Value]],
    positions: Sequence[int],
    progress: Callable[[int, int], None],
    limits: Limits | None = None,
    scheme: str = "auto",
) -> Joined:
    """Measures every scan below ``folder`` and fills the gaps of ``records``; ``progress`` gets (done, all)."""
    if not folder.is_dir():
        raise UsageError("With --registry, give the folder that holds one folder of images for each patient.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    joined = Joined([dict(record) for record in records])
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        rows.setdefault(str(record.get("patient_id")), []).append(row)
    for number, path in enumerate(folders, 1):
        progress(number - 1, len(folders))
        own = rows.pop(path.name, None)
        if own is None:
            joined.folders_without_row.append(number)
            continue
        _join_one(joined, path, number, own, positions, limits, scheme)
    progress(len(folders), len(folders))
    joined.rows_without_scan = sorted(positions[row] for left in rows.values() for row in left)
    return joined


def _join_one(joined: Joined, path: Path, number: int, own: Sequence[int], positions: Sequence[int],
              limits: Limits | None, scheme: str) -> None:  # fmt: skip
    try:
        report = measure_scan(_one_of(path, IMAGE_NAMES), _one_of(path, LABEL_NAMES), limits=limits, scheme=scheme)
    except (ImageRejected, UsageError) as error:
        joined.folders_rejected.append((number, str(error)))
        return
    measured = {vertebra["level"]: vertebra for vertebra in report["vertebrae"]}
    patient = report["patient"]["values"]
    for row in own:
        record = joined.records[row]
        vertebra = measured.get(str(record.get("level")))
        if vertebra is None:
            joined.rows_without_level.append(positions[row])
            continue
        _fill(joined, record, patient | vertebra["values"])
        concern = [w for w in report["warnings"] if w["level"] in (None, vertebra["level"])]
        joined.warnings += [(positions[row], warning) for warning in concern]


def _fill(joined: Joined, record: dict[str, Value], values: Json) -> None:
    for name, entry in values.items():
        value = frozenset(entry["value"]) if isinstance(entry["value"], list) else entry["value"]
        stated = record.get(name)
        if stated is None:
            record[name] = value
            joined.filled += 1
        elif _differ(stated, value):
            joined.kept += 1


def _differ(stated: Value, value: Value) -> bool:
    if isinstance(stated, int | float) and isinstance(value, int | float) and not isinstance(value, bool):
        return abs(float(stated) - float(value)) > 0.1 * max(1.0, abs(float(stated)))
    return stated != value


def _one_of(path: Path, names: Sequence[str]) -> Path:
    found = [path / name for name in names if (path / name).exists()]
    if len(found) != 1:
        raise UsageError(f"Expected exactly one of {', '.join(names)} in each patient's folder.")
    return found[0]
