"""A folder of scans joined to a registry by pseudonym, level and date.

Below the folder stands one folder for each patient, named by the pseudonym; in it the scan (``image.nii.gz``,
``image.nii``, ``image.zip`` or a folder ``image`` of DICOM) and its labels (``labels.nii.gz``, ``labels.nii``,
``labels.dcm``), or one such folder for each of several scans. A stated value in the registry is never replaced: a
measured one fills a gap. What was measured after the operation never fills a variable of the time before it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from features.after_surgery import LANDMARK_DAY
from features.ct.limits import Limits
from features.ct.provenance import Json, levels_read
from features.ct.scan import Scanned, measure
from features.dictionary import VARIABLES, Moment
from features.errors import CemriskError, ImageRejected, UsageError
from features.variable import Value

IMAGE_NAMES = ("image.nii.gz", "image.nii", "image.zip", "image")
LABEL_NAMES = ("labels.nii.gz", "labels.nii", "labels.dcm")
#: Days. A scan from longer before may show the spine before it broke; one from after the landmark of the model asked
#: after surgery, what that model must not know.
MOST_DAYS_BEFORE, MOST_DAYS_AFTER = 90, LANDMARK_DAY

#: Why a scan gave a row nothing.
REASONS = {
    "no_procedure_date": "the row has no procedure date, so that before and after cannot be told",
    "no_scan_date": "the scan states no date: give --moment if all such scans are from before (or after) the operation",
    "scan_too_old": f"the scan was made more than {MOST_DAYS_BEFORE} days before the operation",
    "scan_too_late": f"the scan was made more than {MOST_DAYS_AFTER} days after the operation",
    "moment_unclear": "the scan is of the day of the operation, and other levels hold cement, this one none that is "
    "seen: it may be from before or after; --moment says which",
    "other_moment": "the scan's date says another moment than --moment",
    "cement_in_level": "the level holds cement although the scan is from before the operation: nothing of it is used",
    "level_not_labelled": "the level is not labelled in the scan, or could not be measured",
}


@dataclass(slots=True)
class Joined:
    """``records`` with the gaps filled, and what did not match, by position (rows and folders count from 1).

    ``filled`` counts values, ``kept`` those that the registry stated otherwise by more than 10 %. ``provenance`` holds
    an entry for each row and scan that was used.
    """

    records: list[dict[str, Value]]
    filled: int = 0
    kept: int = 0
    rows_without_scan: list[int] = field(default_factory=list)
    rows_withheld: list[tuple[int, str]] = field(default_factory=list)
    folders_without_row: list[int] = field(default_factory=list)
    folders_rejected: list[tuple[int, str, str]] = field(default_factory=list)
    warnings: list[tuple[int, Json]] = field(default_factory=list)
    provenance: list[Json] = field(default_factory=list)

    def summary(self) -> Json:
        """The report without records and provenance, for ``--json``: positions and reasons, never a value."""
        return {
            "filled": self.filled,
            "kept": self.kept,
            "rows_without_scan": self.rows_without_scan,
            "rows_withheld": [{"row": r, "code": c, "reason": REASONS[c]} for r, c in self.rows_withheld],
            "folders_without_row": self.folders_without_row,
            "folders_rejected": [{"folder": n, "code": c, "reason": why} for n, c, why in self.folders_rejected],
            "warnings": [{"row": row} | w for row, w in self.warnings],
        }


def join(
    folder: Path,
    records: Sequence[dict[str, Value]],
    positions: Sequence[int],
    progress: Callable[[int, int], None],
    limits: Limits | None = None,
    scheme: str = "auto",
    moment: str | None = None,
) -> Joined:
    """Measures every scan below ``folder`` and fills the gaps of ``records``; ``progress`` gets (done, all).

    The scan's date against the row's ``procedure_date`` says which moment it shows; ``moment`` is that of scans without
    a date, and scans of the other are left out.
    """
    if not folder.is_dir():
        raise UsageError("With --registry, give the folder that holds one folder of images for each patient.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
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
        scans = _measured(joined, path, number, limits, scheme)
        for row in own if scans else ():
            _join_row(joined, row, positions[row], scans, moment)
    progress(len(folders), len(folders))
    joined.rows_without_scan = sorted(positions[row] for left in rows.values() for row in left)
    return joined


def _measured(joined: Joined, path: Path, number: int, limits: Limits | None, scheme: str) -> list[Scanned]:
    """The scans of one patient. What goes wrong with one is noted, and must not lose the work on all the others."""
    single = any((path / name).exists() for name in IMAGE_NAMES)
    places = [path] if single else sorted(p for p in path.iterdir() if p.is_dir()) or [path]
    scans = []
    for place in places:
        try:
            image, labels = _one_of(place, IMAGE_NAMES), _one_of(place, LABEL_NAMES)
            scans.append(measure(image, labels, limits=limits, scheme=scheme))
        except ImageRejected as error:
            code = error.findings[0].code if error.findings else "rejected"
            joined.folders_rejected.append((number, code, str(error)))
        except CemriskError as error:
            joined.folders_rejected.append((number, "incomplete", str(error)))
        except Exception as error:  # a fault of ours or of the disc: its text may hold a path or a value, its kind not
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            joined.folders_rejected.append((number, "failed", f"Measuring failed ({where}): measure it by itself."))
    return scans


def _join_row(joined: Joined, row: int, position: int, scans: Sequence[Scanned], wanted: str | None) -> None:
    """Fills one row from the nearest scan of each moment; says why if none gave anything."""
    record = joined.records[row]
    level = str(record.get("level"))
    judged = [(*_moment(record.get("procedure_date"), scan, level, wanted), scan) for scan in scans]
    usable = [(abs(days or 0), moment, scan, days) for moment, reason, days, scan in judged if not reason]
    taken: set[str] = set()
    for _, moment, scan, days in sorted(usable, key=lambda one: one[0]):
        if moment not in taken:
            taken.add(moment)
            _use(joined, row, position, scan, moment, days)
    if not usable:
        joined.rows_withheld += [(position, reason) for reason in dict.fromkeys(reason for _, reason, _, _ in judged)]


def _moment(procedure: Value | None, scan: Scanned, level: str, wanted: str | None) -> tuple[str, str, int | None]:
    """(moment, reason, days from the operation to the scan); the reason is "" where the scan may be used."""
    cemented = level in scan.cemented
    days: int | None = None
    if scan.date is None and wanted is None:
        return "", "no_scan_date", None
    if procedure is None and scan.date is not None:
        return "", "no_procedure_date", None
    if scan.date is None:
        moment = str(wanted)
    else:
        days = (date.fromisoformat(scan.date) - date.fromisoformat(str(procedure))).days
        # on the day itself the cement tells: every operation of this registry leaves some
        moment = "postop" if days > 0 or (days == 0 and cemented) else "preop"
        if days == 0 and scan.cemented and not cemented and wanted is None:
            return moment, "moment_unclear", days
    if wanted is not None and moment != wanted:
        return moment, "other_moment", days
    if days is not None and not -MOST_DAYS_BEFORE <= days <= MOST_DAYS_AFTER:
        return moment, "scan_too_old" if days < 0 else "scan_too_late", days
    if level not in scan.levels:
        return moment, "level_not_labelled", days
    return moment, "cement_in_level" if moment == "preop" and cemented else "", days


def _use(joined: Joined, row: int, position: int, scan: Scanned, moment: str, days: int | None) -> None:
    report = scan.report(moment)
    record = joined.records[row]
    vertebra = next(v for v in report["vertebrae"] if v["level"] == record["level"])
    values = report["patient"]["values"] | vertebra["values"]
    latest = Moment.PLANNED if moment == "preop" else Moment.POSTOP
    proposals = {name: entry for name, entry in values.items() if entry.get("proposal")}
    facts = {n: e for n, e in values.items() if n not in proposals and VARIABLES[n].known_at <= latest}
    filled, kept = _fill(record, facts)
    joined.filled += len(filled)
    joined.kept += len(kept)
    read = {vertebra["level"], None} | levels_read(facts) | levels_read(proposals)
    concern = [w for w in report["warnings"] if w["level"] in read]
    joined.warnings += [(position, warning) for warning in concern]
    joined.provenance.append(
        {
            "row": position,
            "level": vertebra["level"],
            "moment": moment,
            "days_from_procedure": days,
            "filled": {n: {k: v for k, v in facts[n].items() if k != "value"} for n in filled},
            "stated_otherwise": kept,
            "to_be_confirmed_by_a_reader": proposals,
            "warnings": [{"code": w["code"], "level": w["level"]} for w in concern],
        }
    )


def _fill(record: dict[str, Value], values: Json) -> tuple[list[str], list[str]]:
    """Fills gaps; the names that were filled, and of those that the registry states otherwise."""
    filled, kept = [], []
    for name, entry in values.items():
        value = frozenset(entry["value"]) if isinstance(entry["value"], list) else entry["value"]
        stated = record.get(name)
        if stated is None:
            record[name] = value
            filled.append(name)
        elif _differ(stated, value):
            kept.append(name)
    return filled, kept


def _differ(stated: Value, value: Value) -> bool:
    if isinstance(stated, int | float) and isinstance(value, int | float) and not isinstance(value, bool):
        return abs(float(stated) - float(value)) > 0.1 * max(1.0, abs(float(stated)))
    return stated != value


def _one_of(path: Path, names: Sequence[str]) -> Path:
    found = [path / name for name in names if (path / name).exists()]
    if len(found) != 1:
        raise UsageError(f"Expected exactly one of {', '.join(names)} in each patient's folder.")
    return found[0]
