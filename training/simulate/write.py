"""A simulated registry as files: what a hospital would export, and beside it what nobody could export."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.dictionary import VARIABLES
from features.files import write_whole
from training.simulate.dirty import Defect, make_dirty
from training.simulate.redcap import dictionary_rows, record_rows
from training.simulate.registry import Frame, Registry, simulate
from training.simulate.world import World

Progress = Callable[[str], None]


def write(registry: Registry, folder: Path | str, dirty: bool = False) -> list[Path]:
    """Write the registry into ``folder`` (made if needed) and return the files written.

    ``registry.csv`` and ``truth.csv`` row for row beside it; ``redcap.csv`` and ``redcap_dictionary.csv``, the same
    patients as REDCap exports them; ``world.yaml``. With ``dirty`` registry.csv has the defects of real exports and
    ``defects.csv`` says where: data row from 1 (0 for a whole column), column, defect. REDCap's own validation would
    have stopped most of them, so redcap.csv stays clean.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = [list(registry.columns), *flat_rows(registry.columns)]
    truth = [["patient_id", "level", *registry.truth], *_truth_rows(registry)]
    files: dict[str, Iterable[Sequence[str]]] = {}
    if dirty:
        defects, table, origin = make_dirty(registry, table)
        truth = [truth[0], *(truth[row + 1] for row in origin)]
        files["defects.csv"] = [["row", "column", "defect"], *map(_defect_row, defects)]
    files |= {
        "registry.csv": table,
        "truth.csv": truth,
        "redcap.csv": record_rows(registry),
        "redcap_dictionary.csv": dictionary_rows(registry),
    }
    texts = {name: _csv_text(rows) for name, rows in files.items()} | {"world.yaml": registry.world.as_yaml()}
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def command(
    n_patients: int,
    seed: int,
    out: Path | str,
    world: Path | str | None = None,
    dirty: bool = False,
    progress: Progress = lambda message: None,
) -> list[Path]:
    """What ``cemrisk simulate`` does: draw, write, and say so; returns the files written.

    Raises `UsageError` for counts out of range and `InputRejected` for a world file that is not one.
    """
    progress("reading the world and solving its intercepts and scales")
    chosen = World.load(world)
    progress(f"drawing {n_patients} patients")
    registry = simulate(n_patients, seed, chosen)
    progress(f"writing {len(registry.patient)} treated vertebrae")
    return write(registry, out, dirty)


def flat_rows(columns: Frame) -> Iterable[list[str]]:
    """The columns as rows of cells in the flat format: unknown empty, several values joined by ``;``."""
    cells = [column_cells(name, values) for name, values in columns.items()]
    return (list(row) for row in zip(*cells, strict=True))


def column_cells(name: str, values: NDArray[Any]) -> list[str]:
    """One column as text, the way the dictionary's kind of variable is written."""
    if VARIABLES[name].kind == "multi":
        order = VARIABLES[name].choices
        return ["" if v is None else ";".join(choice for choice in order if choice in v) for v in values]
    if values.dtype == object:
        return ["" if value is None else str(value) for value in values]
    return [number_text(value) for value in values.tolist()]


def number_text(value: float) -> str:
    """A number without needless zeros; empty for NaN."""
    if value != value:
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _truth_rows(registry: Registry) -> Iterable[list[str]]:
    risks = np.column_stack(list(registry.truth.values())).tolist()
    identity = zip(registry.columns["patient_id"], registry.columns["level"], strict=True)
    return ([*who, *(f"{risk:.10g}" for risk in row)] for who, row in zip(identity, risks, strict=True))


def _defect_row(defect: Defect) -> list[str]:
    return [str(defect.row), defect.column, defect.kind]


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
