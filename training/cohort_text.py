"""A cohort table as text, CSV, HTML and JSON. All but JSON are made from the same lines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from features.files import write_whole
from training.cohort_table import CohortTable, Course, Row, Summary, refuse_unknown_ending

_FORMS = {"mean": "mean ± SD", "median": "median [quartiles]", "counts": "n (%)"}
_FORMULA_STARTS = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``kind`` is section, variable or level; ``cells`` one for each group."""

    kind: str
    label: str
    cells: tuple[str, ...] = ()
    unknown: str = ""
    test: str = ""
    p: str = ""


def as_text(table: CohortTable) -> str:
    """The table for a terminal, with what was left out and how it was made below."""
    # Three short rows instead of one long one, for a terminal is narrow.
    header = ["", *table.groups, "unknown", "test", "P"]
    sizes = [["  patients", *map(str, table.patients)], ["  vertebrae", *map(str, table.vertebrae)]]
    body = [[_indented(line), *line.cells, line.unknown, line.test, line.p] for line in lines(table)]
    cells = [row + [""] * (len(header) - len(row)) for row in [header, *sizes, *body]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    rule = "-" * max(len(row) for row in rows)
    return "\n".join([f"Compared by: {table.label}", "", *rows[:3], rule, *rows[3:], rule, *_foot(table)])


def as_csv(table: CohortTable) -> str:
    """The same for a spreadsheet; below the table each note is a line of its own."""
    memory = io.StringIO()
    writer = csv.writer(memory, lineterminator="\n")
    writer.writerow(["variable", *map(_no_formula, _heads(table)), "unknown", "test", "P"])
    for line in lines(table):
        cells = line.cells or ("",) * len(table.groups)
        writer.writerow([_indented(line), *cells, line.unknown, line.test, line.p])
    for note in _foot(table):
        writer.writerow([note])
    return memory.getvalue()


def as_html(table: CohortTable) -> str:
    """The same as one page without anything from elsewhere."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("", *_heads(table), "unknown", "test", "P"))
    body = "\n".join(_html_line(line, len(table.groups)) for line in lines(table))
    foot = "\n".join(f"<p>{escape(note)}</p>" for note in _foot(table))
    title = escape(f"Compared by: {table.label}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n<style>{_STYLE}</style>'
        f"</head>\n<body><table><caption>{title}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table>\n{foot}\n</body></html>\n"
    )


_STYLE = (
    "body{font:14px/1.4 Helvetica,Arial,sans-serif;margin:2em;color:#000}table{border-collapse:collapse}"
    "caption{font-weight:bold;text-align:left;padding:.5em 0}th,td{text-align:left;padding:.15em .8em;"
    "border-bottom:1px solid #ddd}th[scope=rowgroup]{padding-top:1em;border-bottom:1px solid #000}"
    ".level{padding-left:2em;font-weight:normal}"
)


def as_json(table: CohortTable) -> dict[str, Any]:
    """Every number, unrounded; what does not exist is null."""
    found: dict[str, Any] = _without_nan(asdict(table))
    return found


def write(table: CohortTable, path: Path) -> None:
    """Write the table as the ending of ``path`` says: .csv, .html, .json or .txt; anything else is ``UsageError``."""
    refuse_unknown_ending(path)
    made = {
        ".csv": lambda: as_csv(table),
        ".html": lambda: as_html(table),
        ".json": lambda: json.dumps(as_json(table), ensure_ascii=False, indent=2) + "\n",
        ".txt": lambda: as_text(table) + "\n",
    }
    write_whole(path, made[path.suffix.lower()]())


def lines(table: CohortTable) -> Iterator[Line]:
    """Patients' variables, vertebrae's variables, courses."""
    for scope in ("patients", "vertebrae"):
        rows = [row for row in table.rows if row.scope == scope]
        if rows:
            yield Line("section", f"{scope.capitalize()}")
        for row in rows:
            yield from _row(row)
    for course in table.courses:
        yield from _course(course)


def _row(row: Row) -> Iterator[Line]:
    label = f"{row.label} ({row.unit})" if row.unit else row.label
    unknown = "/".join(str(one.unknown) for one in row.groups)
    test, p = row.comparison.test, p_text(row.comparison.p)
    if row.form != "counts":
        cells = tuple(_number(one, row.form) for one in row.groups)
        yield Line("variable", f"{label}, {_FORMS[row.form]}", cells, unknown, test, p)
        return
    counts = [one.counts or {} for one in row.groups]
    if set(counts[0]) == {"yes", "no"}:
        yield Line("variable", f"{label}, n (%)", tuple(_share(one, "yes") for one in row.groups), unknown, test, p)
        return
    yield Line("variable", f"{label}, n (%)", ("",) * len(row.groups), unknown, test, p)
    for level in counts[0]:
        if any(found[level] for found in counts):
            yield Line("level", level, tuple(_share(one, level) for one in row.groups))


def _course(course: Course) -> Iterator[Line]:
    yield Line("section", f"{course.label}, patients")
    for time, row in zip(course.times, course.rows, strict=True):
        yield _timed(time, row)
    for time, row in zip(course.times[1:], course.changes, strict=False):
        yield _timed(f"change from before to {time}", row)


def _timed(time: str, row: Row) -> Line:
    cells = tuple(f"{_number(one, row.form)} (n = {one.known})" for one in row.groups)
    unknown = "/".join(str(one.unknown) for one in row.groups)
    return Line(
        "variable", f"{time}, {_FORMS[row.form]}", cells, unknown, row.comparison.test, p_text(row.comparison.p)
    )


def _number(one: Summary, form: str) -> str:
    if not one.known:
        return "-"
    if form == "median":
        return f"{_digits(one.median)} [{_digits(one.q1)} to {_digits(one.q3)}]"
    return f"{_digits(one.mean)} ± {_digits(one.sd)}" if not math.isnan(one.sd) else _digits(one.mean)


def _digits(value: float) -> str:
    """Two decimals below 100, one above: as far as these measures carry."""
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def _share(one: Summary, level: str) -> str:
    count = (one.counts or {})[level]
    return f"{count} ({100 * count / one.known:.1f})" if one.known else "-"


def p_text(p: float) -> str:
    """``<0.001``, three decimals, or nothing where there is no P value."""
    if math.isnan(p):
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _heads(table: CohortTable) -> list[str]:
    counted = zip(table.groups, table.patients, table.vertebrae, strict=True)
    return [f"{name} ({patients} patients, {vertebrae} vertebrae)" for name, patients, vertebrae in counted]


def _foot(table: CohortTable) -> list[str]:
    left_out = [f"Left out: {reason}: {count}." for reason, count in table.left_out.items() if count]
    return [*left_out, *table.notes]


def _indented(line: Line) -> str:
    return f"  {line.label}" if line.kind == "level" else line.label


def _no_formula(text: str) -> str:
    """A group's name comes from the export; a spreadsheet must not run it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _html_line(line: Line, groups: int) -> str:
    if line.kind == "section":
        return f'<tr><th scope="rowgroup" colspan="{groups + 4}">{escape(line.label)}</th></tr>'
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (*line.cells, *([line.unknown, line.test, line.p])))
    kind = ' class="level"' if line.kind == "level" else ""
    return f'<tr><th scope="row"{kind}>{escape(line.label)}</th>{cells}</tr>'


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
