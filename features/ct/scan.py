"""One scan with its labels to a report: the whole of ``features.ct`` in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from features.ct.labels import Labels, check_grid, neighbour, understand
from features.ct.limits import Limits
from features.ct.measure import Measured, measure_all
from features.ct.raw import Header
from features.ct.report import Json, build
from features.ct.sandbox import opened_together
from features.ct.schemes import LEVELS
from features.ct.volume import Volume
from features.errors import UsageError


def _quiet(level: str) -> None:
    """No progress."""


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

    ``told`` maps levels to label values where the file and the schemes do not say. ``overlay`` is a PNG to write.
    Raises ``ImageRejected`` where image or labels cannot be used; a single vertebra that cannot be measured among
    several becomes a warning.
    """
    bounds = limits or Limits()
    with opened_together(image, labels, bounds) as ((scan, header), (marked, marked_header)):
        found = understand(marked, marked_header.names, scheme, told or {})
        check_grid(scan, found)
        return _report(scan, header, found, marked_header, level, moment, overlay, progress)


def _report(
    scan: Volume,
    header: Header,
    found: Labels,
    marked: Header,
    level: str | None,
    moment: str,
    overlay: Path | None,
    progress: Callable[[str], None],
) -> Json:
    shown = tuple(found.boxes) if level is None else (level,)
    if level is not None and level not in found.boxes:
        raise UsageError(f"Level {level} is not among the labels: {', '.join(found.boxes)} are.")
    wanted = _with_neighbours(shown, tuple(found.boxes))
    measured, failed = measure_all(scan, found, wanted, progress)
    if overlay is not None and measured:
        from features.ct.overlay import draw  # matplotlib is slow to import, and most scans are not drawn

        draw({name: measured[name] for name in shown if name in measured}, overlay)
    return build(measured, failed, header, shown, (found, marked), moment)


def _with_neighbours(shown: tuple[str, ...], labelled: tuple[str, ...]) -> tuple[str, ...]:
    """The levels asked for, those beside them, and L1 for the patient's CT value (with its own neighbours)."""
    wanted = set(shown) | ({"L1"} & set(labelled))
    wanted |= {n for name in tuple(wanted) for step in (-1, 1) if (n := neighbour(name, step)) in labelled and n}
    return tuple(level for level in LEVELS if level in wanted)


__all__ = ["Measured", "measure_scan"]
