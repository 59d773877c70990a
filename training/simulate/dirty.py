"""The defects of real exports, put into a clean table on a small share of its patients, each written down.

Each function alters cells as the hospital's program or typist would have, and says which. No patient gets two kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features.errors import Finding, InputRejected
from training.simulate.registry import Registry

Table = list[list[str]]
SHARE = 0.012  # of the patients, for each kind of defect; at least one patient if there are enough

NUMERIC_FOR_TEXT = ("bmi_kg_m2", "planned_volume_ml", "last_seen_days")


@dataclass(frozen=True, slots=True)
class Defect:
    """One altered cell: data row from 1 (0 for a column of the whole file), column, and the kind of defect."""

    row: int
    column: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """The table while it is being spoilt: rows without header, and the rows of the patients that a defect may touch."""

    names: list[str]
    rows: Table
    patients: list[list[int]]
    rng: np.random.Generator
    remaining_pct: list[float]  # front to back height of the clean table

    def at(self, row: int, column: str) -> str:
        return self.rows[row][self.names.index(column)]

    def put(self, row: int, column: str, text: str) -> tuple[int, str]:
        self.rows[row][self.names.index(column)] = text
        return row, column

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]


Altered = list[tuple[int, str]]


def make_dirty(registry: Registry, table: Table) -> tuple[list[Defect], Table, list[int]]:
    """The defects that the world lists, in a copy of ``table`` (header first).

    Returns the defects by final row, the altered table, and for each of its data rows the row of ``table`` (from 0,
    header not counted) that it came from. Raises `InputRejected` for a kind of defect that is not known.
    """
    wanted = registry.world.tree.get("dirty_export_features", [])
    if unknown := [name for name in wanted if name not in KINDS]:
        detail = f"unknown kinds of defect; known are {'; '.join(KINDS)}"
        raise InputRejected(f"dirty_export_features: {detail}", [Finding("world_field", "dirty_export_features", detail)
                                                                for _ in unknown])  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence(registry.seed, spawn_key=(99,)))
    names, rows = list(table[0]), [list(row) for row in table[1:]]
    groups = np.array_split(rng.permutation(registry.first_rows.size), max(1, len(wanted)))
    size = max(1, round(SHARE * registry.first_rows.size))
    remaining = (100 * registry.complete["fvah_mm"] / registry.complete["pvh_mm"]).tolist()
    defects: list[Defect] = []
    for name, group in zip(wanted, groups, strict=True):
        chosen = [np.flatnonzero(registry.patient == patient).tolist() for patient in group[: 3 * size]]
        draft = _Draft(names, rows, chosen, rng, remaining)
        defects += [Defect(row, column, name) for row, column in KINDS[name](draft, size)]
    return _settle(defects, names, rows)


def _settle(defects: list[Defect], names: list[str], rows: Table) -> tuple[list[Defect], Table, list[int]]:
    """Put the doubled rows behind their originals and renumber: defects speak of the rows as written, from 1."""
    doubled = {defect.row for defect in defects if defect.kind == DUPLICATE}
    origin = [row for row in range(len(rows)) for _ in range(2 if row in doubled else 1)]
    last_place = {row: place for place, row in enumerate(origin, start=1)}
    settled = [Defect(0 if d.row < 0 else last_place[d.row], d.column, d.kind) for d in defects]
    return sorted(settled, key=lambda d: (d.row, d.column)), [names, *(list(rows[row]) for row in origin)], origin


def _positive_t_score(draft: _Draft, size: int) -> Altered:
    """The minus left out, as in printed tables; only where the positive value is impossible and not merely odd."""
    fit = [rows for rows in draft.patients if draft.at(rows[0], "t_score") and float(draft.at(rows[0], "t_score")) < -1]
    return [draft.put(row, "t_score", draft.at(row, "t_score")[1:]) for rows in fit[:size] for row in rows]


def _height_in_cm(draft: _Draft, size: int) -> Altered:
    rows = [row for rows in draft.patients[:size] for row in rows]
    return [draft.put(row, "fvah_mm", f"{float(draft.at(row, 'fvah_mm')) / 10:.2f}") for row in rows]


def _compression_rate(draft: _Draft, size: int) -> Altered:
    """A column that holds the height remaining in some centres and the height lost in the others."""
    draft.names.append("compression_rate")
    for position, (row, remaining) in enumerate(zip(draft.rows, draft.remaining_pct, strict=True)):
        row.append(f"{remaining if int(draft.at(position, 'centre_id')[1:]) % 2 else 100 - remaining:.1f}")
    return [(-1, "compression_rate")]


def _impossible_age(draft: _Draft, size: int) -> Altered:
    return [draft.put(row, "age_years", "9.0") for rows in draft.patients[:size] for row in rows]


def _coded_sex(draft: _Draft, size: int) -> Altered:
    altered: Altered = []
    for rows in draft.patients[:size]:
        woman = draft.at(rows[0], "sex") == "female"
        text = draft.pick(("1", "2", "F") if woman else ("0", "1", "M"))
        altered += [draft.put(row, "sex", text) for row in rows]
    return altered


def _comma_in_leak(draft: _Draft, size: int) -> Altered:
    return [draft.put(rows[0], "leak_routes", "C,S") for rows in draft.patients[:size]]


def _date_order(draft: _Draft, size: int) -> Altered:
    altered: Altered = []
    for rows in draft.patients[:size]:
        year, month, day = draft.at(rows[0], "procedure_date").split("-")
        text = draft.pick((f"{day}/{month}/{year}", f"{month}/{day}/{year}"))
        altered += [draft.put(row, "procedure_date", text) for row in rows]
    return altered


def _p_value(draft: _Draft, size: int) -> Altered:
    altered: Altered = []
    for rows in draft.patients[:size]:
        column, text = draft.pick(NUMERIC_FOR_TEXT), draft.pick(("P<0.05", "<0.001", "p=0.03"))
        altered += [draft.put(row, column, text) for row in rows]
    return altered


def _duplicate(draft: _Draft, size: int) -> Altered:
    """Marked here; the second row is put in once all other defects have their place."""
    return [(rows[0], "level") for rows in draft.patients[:size]]


DUPLICATE = "duplicate rows per vertebra"
#: By their names in `dirty_export_features` of the world file.
KINDS: dict[str, Callable[[_Draft, int], Altered]] = {
    "T-score printed positive": _positive_t_score,
    "anterior height in cm": _height_in_cm,
    "compression rate as remaining OR lost": _compression_rate,
    "age 9.0": _impossible_age,
    "sex coded 0/1, 1/2, F/M": _coded_sex,
    "leak type 'C,S' in one cell": _comma_in_leak,
    "dates dd/mm v mm/dd": _date_order,
    "P-value-like text in numeric cells": _p_value,
    DUPLICATE: _duplicate,
}
