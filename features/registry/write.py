"""The two files that a check leaves: what was accepted, in the flat format, and what was rejected, as it came."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from features.dictionary import VARIABLES
from features.files import OWNER_ONLY, sync, whole_file
from features.registry.cells import write
from features.registry.export import Export

#: Columns of every accepted file, so that one without rows still has a header.
_ALWAYS = ("patient_id", "level")
REJECTED_HEAD = ("row", "reasons")


def write_split(export: Export, folder: Path) -> tuple[Path, Path]:
    """Write ``accepted.csv`` and ``rejected.csv`` into the folder, for their owner only; each is whole or not there.

    Both are written beside their place, and moved there only when both are complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accepted, rejected = folder / "accepted.csv", folder / "rejected.csv"
    with whole_file(rejected, OWNER_ONLY) as second, whole_file(accepted, OWNER_ONLY) as first:
        _write(_accepted_lines(export), first)
        _write(_rejected_lines(export), second)
    return accepted, rejected


def _accepted_lines(export: Export) -> Iterable[Sequence[str]]:
    mentioned = {name for record in export.accepted for name in record}.union(_ALWAYS)
    variables = [variable for name, variable in VARIABLES.items() if name in mentioned]
    yield [variable.name for variable in variables]
    for record in export.accepted:
        yield [write(variable, record.get(variable.name)) for variable in variables]


def _rejected_lines(export: Export) -> Iterable[Sequence[str]]:
    """The row's place and reasons first: what follows is as it came, with as many cells as it had."""
    yield [*REJECTED_HEAD, *export.source_columns]
    for row in export.rejected:
        yield [str(row.position), ";".join(row.reasons), *row.cells]


def _write(lines: Iterable[Sequence[str]], draft: Path) -> None:
    with draft.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
    sync(draft)
