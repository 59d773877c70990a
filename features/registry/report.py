"""What a check says of a file, its columns and its rows: by position, column and reason code, never by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from features.dictionary import VARIABLES
from features.errors import Finding, InputRejected
from features.registry.codes import CELL_CODES, FILE_CODES, ROW_CODES, WARNING_CODES
from features.registry.export import Export
from features.rules import EXPORT_RULES, PATIENT_RULES, RULES, ExportRule, PatientRule, Rule

#: Up to how many defects each is printed beside the table of counts.
FEW = 20
_FIRST_ROWS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """All findings with one code on one column."""

    code: str
    column: str
    severity: str
    rows: tuple[int, ...]
    detail: str


def groups(findings: Iterable[Finding], column_of: dict[str, str]) -> list[Group]:
    """The findings by code and column, rejecting ones first, then by how many rows they touch."""
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.severity, one.code, column_of.get(one.variable, one.variable)), []).append(one)
    grouped = [
        Group(code, column, severity, tuple(dict.fromkeys(one.row for one in members)), members[0].detail)
        for (severity, code, column), members in found.items()
    ]
    return sorted(grouped, key=lambda group: (group.severity != "reject", -len(group.rows), group.code, group.column))


def as_json(export: Export) -> dict[str, Any]:
    """The whole result of a check as JSON values: counts, then every defect and warning."""
    found = [_finding_json(one, export) for one in export.all_findings]
    return {
        "read": len(export.rows),
        "accepted": len(export.accepted),
        "rejected": len(export.rejected),
        "joined": export.joined,
        "patients_incomplete": _incomplete(export),
        "unmapped_columns": list(export.unmapped),
        "defects": [one for one in found if one["severity"] == "reject"],
        "warnings": [one for one in found if one["severity"] != "reject"],
    }


def refusal_json(error: InputRejected) -> dict[str, Any]:
    """A file that could not be read at all, as JSON values."""
    defects = [
        {"row": one.row, "column": one.variable, "variable": one.variable, "code": one.code, "detail": one.detail}
        for one in error.findings
    ]
    return {"read": 0, "accepted": 0, "rejected": 0, "error": str(error), "defects": defects, "warnings": []}


def as_text(export: Export, *, every: bool = False) -> str:
    """The result of a check for a person: counts, a table, and each defect when they are few or ``every``."""
    lines = [f"{len(export.rows)} rows read, {len(export.accepted)} accepted, {len(export.rejected)} rejected"]
    if export.joined:
        lines.append(f"{export.joined} further rows were joined to these")
    if incomplete := _incomplete(export):
        lines.append(f"{incomplete} patients have operations that lost rows: these train no refracture model")
    found = export.all_findings
    column_of = dict(export.column_of)
    for severity, title in (("reject", "Defects"), ("warn", "Warnings")):
        chosen = [one for one in found if (one.severity == "reject") == (severity == "reject")]
        if chosen:
            lines += ["", f"{title}:", *_table(groups(chosen, column_of))]
            if every or (severity == "reject" and len(chosen) <= FEW):
                lines += ["", *(_line(one, column_of) for one in chosen)]
    if export.unmapped:
        lines += ["", f"Columns that feed no variable: {', '.join(export.unmapped)}"]
    return "\n".join(lines)


def codes_markdown() -> str:
    """Every reason code of the readers as a Markdown table, from the table of codes itself."""
    lines = ["| code | of a | what it says |", "| --- | --- | --- |"]
    tables = {"file": FILE_CODES, "row": ROW_CODES, "cell": CELL_CODES, "warning": WARNING_CODES}
    return "\n".join(
        [*lines, *(f"| `{code}` | {what} | {text} |" for what, codes in tables.items() for code, text in codes.items())]
    )


def rules_markdown() -> str:
    """Every rule across variables as a Markdown table, from the rules themselves."""
    lines = ["| code | variables | severity | what it says |", "| --- | --- | --- | --- |"]
    rules: tuple[Rule | PatientRule | ExportRule, ...] = (*RULES, *PATIENT_RULES, *EXPORT_RULES)
    for rule in rules:
        names = ", ".join(f"`{name}`" if name in VARIABLES else name for name in rule.variables)
        lines.append(f"| `{rule.code}` | {names} | {rule.severity} | {rule.text} |")
    return "\n".join(lines)


def _incomplete(export: Export) -> int:
    kept = zip(export.kept, export.patient_complete, strict=True)
    return len({row.record.get("patient_id") for row, complete in kept if not complete})


def _finding_json(found: Finding, export: Export) -> dict[str, Any]:
    return {
        "row": found.row,
        "column": export.column_of.get(found.variable, found.variable),
        "variable": found.variable,
        "code": found.code,
        "severity": found.severity,
        "detail": found.detail,
    }


def _table(found: Sequence[Group]) -> list[str]:
    """Code, column, count and the first rows, in columns; below, what each code says."""
    cells = [("code", "column", "rows", "first rows")]
    cells += [(group.code, group.column or "(row)", str(len(group.rows)), _first(group.rows)) for group in found]
    widths = [max(len(row[place]) for row in cells) for place in range(4)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells)
    lines = [f"  {'  '.join(row)}".rstrip() for row in padded]
    explained = dict.fromkeys(f"  {group.code}: {group.detail}" for group in found)
    return [*lines, "", *explained]


def _first(rows: Sequence[int]) -> str:
    if rows == (0,):
        return "whole file"
    shown = ", ".join(map(str, rows[:_FIRST_ROWS]))
    return f"{shown}, …" if len(rows) > _FIRST_ROWS else shown


def _line(found: Finding, column_of: dict[str, str]) -> str:
    place = f"row {found.row}" if found.row else "file"
    return f"  {place}: {column_of.get(found.variable, found.variable) or '(row)'}: {found.code}"
