"""One scan with its labels to a report: the whole of ``features.ct`` in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.ct.agreement import check_bone, check_origin
from features.ct.labels import Labels, check_grid, neighbour, understand
from features.ct.limits import Limits, refuse
from features.ct.measure import Measured, measure_pieces
from features.ct.pieces import pieces
from features.ct.provenance import Json
from features.ct.raw import Header
from features.ct.report import build
from features.ct.sandbox import opened_together
from features.ct.schemes import LEVELS
from features.ct.warnings import CT_WARNINGS, entry
from features.errors import UsageError

#: No vertebra, however crushed, is thinner.
LEAST_MM, LEAST_VOXELS = 4.0, 2


def _quiet(level: str) -> None:
    """No progress."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """A measured scan, from which the report of either moment is made. ``date`` is in no report."""

    measured: Mapping[str, Measured]
    failed: Mapping[str, str]
    header: Header
    shown: tuple[str, ...]
    labels: tuple[Labels, Header]
    warnings: tuple[Json, ...]

    def report(self, moment: str) -> Json:
        return build(self.measured, self.failed, self.header, self.shown, self.labels, moment, self.warnings)

    @property
    def levels(self) -> frozenset[str]:
        """The levels that a report holds."""
        return frozenset(self.shown) & frozenset(self.measured)

    @property
    def cemented(self) -> frozenset[str]:
        return frozenset(level for level, one in self.measured.items() if one.cement is not None)

    @property
    def date(self) -> str | None:
        return self.header.date


def measure_scan(
    image: Path,
    labels: Path,
    *,
    level: str | None = None,
    told: Mapping[str, int] | None = None,
    scheme: str = "auto",
    moment: str = "preop",
    overlay: Path | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], None] = _quiet,
) -> Json:
    """The report of one or (``level`` None) all labelled vertebrae of a DICOM series, a zip of one, or NIfTI.

    ``overlay`` is a PNG to write; the rest as in ``measure``, which says what is refused.
    """
    scanned = measure(image, labels, level=level, told=told, scheme=scheme, limits=limits, progress=progress)
    report = scanned.report(moment)
    if overlay is not None:
        from features.ct.overlay import draw  # matplotlib is slow to import, and most scans are not drawn

        drawn = _drawn(report, scanned.shown)
        notes = {found["level"]: f"{name} is read here" for name, found in report["patient"]["values"].items()}
        draw({name: scanned.measured[name] for name in drawn if name in scanned.measured}, overlay, notes)
    return report


def measure(
    image: Path,
    labels: Path,
    *,
    level: str | None = None,
    told: Mapping[str, int] | None = None,
    scheme: str = "auto",
    limits: Limits | None = None,
    progress: Callable[[str], None] = _quiet,
) -> Scanned:
    """All measures of a scan. ``told`` maps levels to label values where the file and the schemes do not say.

    Raises ``ImageRejected`` where image or labels cannot be used, do not belong together, or nothing of what was asked
    can be measured; a single vertebra that cannot be measured among several becomes a warning.
    """
    with opened_together(image, labels, limits or Limits()) as ((scan, header), (marked, marked_header)):
        warnings = [entry(code, None, CT_WARNINGS[code].detail) for code in check_origin(header, marked_header)]
        found = understand(marked, marked_header.names, scheme, told or {})
        check_grid(scan, found)
        shown = _shown(found, level)
        usable, failed = _usable(found)
        thickness = header.acquisition.slice_thickness_mm or 0.0
        wanted = _with_neighbours(shown, tuple(usable.boxes))
        # before anything looks at a label: a stray voxel would make its box as large as the scan
        usable, parts = pieces(usable)
        for beside in check_bone(scan, usable, wanted):
            warnings.append(
                entry("labels_beside_bone", beside, "The label does not lie well on bone: see the overlay.")
            )
        measured, also_failed = measure_pieces(scan, (usable, parts), wanted, progress, thickness)
    failed |= also_failed
    _refuse_nothing(shown, measured, failed)
    return Scanned(measured, failed, header, shown, (found, marked_header), tuple(warnings))


def _shown(found: Labels, level: str | None) -> tuple[str, ...]:
    if level is not None and level not in found.boxes:
        raise UsageError(f"Level {level} is not among the labels: {', '.join(found.boxes)} are.")
    return tuple(found.boxes) if level is None else (level,)


def _usable(found: Labels) -> tuple[Labels, dict[str, str]]:
    """The labels that could be a vertebra by their size, and why the others cannot."""
    spacing = found.volume.spacing_mm
    small = {}
    for level, box in found.boxes.items():
        size = np.array([part.stop - part.start for part in box])
        if size.min() < LEAST_VOXELS or np.sort(size * spacing)[0] < LEAST_MM:
            small[level] = f"Its label is less than {LEAST_MM:.0f} mm or {LEAST_VOXELS} voxels thick: label it again."
    boxes = {level: box for level, box in found.boxes.items() if level not in small}
    return replace(found, boxes=boxes), small


def _refuse_nothing(shown: Sequence[str], measured: Mapping[str, Measured], failed: Mapping[str, str]) -> None:
    if any(level in measured for level in shown):
        return
    reasons = " ".join(f"{level}: {failed[level]}" for level in shown if level in failed)
    raise refuse("not_measured", f"Nothing could be measured. {reasons}", "labels")


def _drawn(report: Json, shown: Sequence[str]) -> tuple[str, ...]:
    """The levels shown, and the one that gave the patient's CT value: its region has to be looked at too."""
    used = {found["level"] for found in report["patient"]["values"].values()}
    return tuple(level for level in LEVELS if level in used | set(shown))


def _with_neighbours(shown: tuple[str, ...], labelled: tuple[str, ...]) -> tuple[str, ...]:
    """The levels asked for, those beside them, and L1 for the patient's CT value (with its own neighbours)."""
    wanted = set(shown) | ({"L1"} & set(labelled))
    wanted |= {n for name in tuple(wanted) for step in (-1, 1) if (n := neighbour(name, step)) in labelled and n}
    return tuple(level for level in LEVELS if level in wanted and level in labelled)


__all__ = ["Measured", "Scanned", "measure", "measure_scan"]
