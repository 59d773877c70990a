"""Batch risk: a file of cases in, a file of risks out, one output row per input row and in the same order."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import MOMENT_OF, Outcome, build, outcomes_at
from features.check import REQUIRED_IN_QUESTION
from features.dictionary import VARIABLES, Moment
from features.errors import Finding, NotReady, UsageError
from features.files import whole_file
from features.outcome import HORIZON_DAYS, ROUTES
from features.records import to_columns
from features.registry import Row, read_export
from features.registry.operations import in_whole_operation
from models.release import Release, load_releases

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAK_COLUMNS = ("leak_risk", "leak_risk_lo", "leak_risk_hi", *(f"leak_{route}" for route in ROUTES))
REFRACTURE_COLUMNS = tuple(f"refracture_risk_m{months}{end}" for months in HORIZON_DAYS for end in ("", "_lo", "_hi"))
HEADER = ("row", "patient_id", "level", *LEAK_COLUMNS, *REFRACTURE_COLUMNS, "warnings")
#: Stands in the warnings of every row that a model of simulated patients answers.
SIMULATED = "simulated_patients:not_for_clinical_use"
#: Rows scored at once; patients are kept together.
CHUNK_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Scored:
    """What was done: rows written, how many of them without a leakage risk, the input columns not looked at, and
    what every answer of these models must say.
    """

    rows: int
    without_risk: int
    ignored: tuple[str, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """An input row as it is scored: its record as known at the moment of the question, and what was found in it."""

    row: Row
    record: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing known at the moment rejects it; a faulty outcome does not matter here."""
        return not any(found.rejects for found in self.findings)


def score(
    cases: Path,
    out: Path,
    home: Path,
    *,
    detection: str = "CT",
    moment: Moment = Moment.PLANNED,
    dictionary: Path | None = None,
    mapping: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scored:
    """Write ``out``, whole or not at all. ``moment``: before surgery (PLANNED) or at the landmark after it (POSTOP).

    Raises ``UsageError`` if the folder of ``out`` is not there or ``out`` is one of the files read, ``NotReady`` if
    nothing is released.
    """
    if any(out.exists() and path is not None and out.samefile(path) for path in (cases, dictionary, mapping)):
        raise UsageError("--out: this is a file that is read: name another, or its content would be lost")
    if not out.parent.is_dir():
        raise UsageError("--out: the folder of the file is not there: make it first")
    releases = load_releases(home, outcomes_at(moment))
    if not releases:
        what, how = ("", "") if moment is Moment.PLANNED else (" for questions after surgery", " --moment postop")
        raise NotReady(f"no model{what} is released yet: run cemrisk train{how}, then cemrisk promote")
    export = read_export(cases, dictionary=dictionary, mapping=mapping)
    prepared = [_case(row, moment) for row in export.rows]
    ignored = sorted(name for name in export.column_of if not _known_at(name, moment))
    with whole_file(out) as draft:
        _write(draft, prepared, releases, detection, progress)
    cards = [release.model.card for release in releases.values() if release.model.card]
    notices = tuple(dict.fromkeys(text for card in cards for text in card.notices))
    return Scored(len(prepared), sum(not case.usable for case in prepared), tuple(ignored), notices)


def _write(
    path: Path,
    cases: Sequence[Case],
    releases: Mapping[Outcome, Release],
    detection: str,
    progress: Callable[[int, int], None],
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        done = 0
        for chunk in _chunks(cases):
            writer.writerows(_scored(chunk, releases, detection))
            done += len(chunk)
            progress(done, len(cases))


def _known_at(name: str, moment: Moment) -> bool:
    variable = VARIABLES.get(name)
    return variable is None or variable.known_at <= moment


def _case(row: Row, moment: Moment) -> Case:
    record = {name: value for name, value in row.record.items() if _known_at(name, moment)}
    found = [one for one in row.findings if _known_at(one.variable, moment)]
    spoken_of = {one.variable for one in found}
    found += [
        Finding("required", name, f"{name}: is required and empty")
        for name in REQUIRED_IN_QUESTION
        if record.get(name) is None and name not in spoken_of
    ]
    return Case(row, record, tuple(found))


def _chunks(cases: Sequence[Case]) -> list[list[Case]]:
    """Runs of cases, cut only where no patient stands on both sides; one chunk if patients are scattered."""
    last = {case.record.get("patient_id"): place for place, case in enumerate(cases)}
    chunks: list[list[Case]] = [[]]
    reach = -1
    for place, case in enumerate(cases):
        if len(chunks[-1]) >= CHUNK_ROWS and place > reach:
            chunks.append([])
        chunks[-1].append(case)
        reach = max(reach, last[case.record.get("patient_id")])
    return chunks


def _scored(cases: list[Case], releases: Mapping[Outcome, Release], detection: str) -> list[list[str]]:
    cells: list[dict[str, str]] = [_fixed(case) for case in cases]
    warnings = [[f"{found.code}:{found.variable}" for found in case.findings] for case in cases]
    usable = [place for place, case in enumerate(cases) if case.usable]
    if usable and "leakage" in releases:
        risks = _leakage(releases["leakage"], [cases[place].record for place in usable], detection)
        for place, row in zip(usable, risks, strict=True):
            cells[place] |= _cells(LEAK_COLUMNS, row)
    for outcome in ("refracture", "refracture-postop"):  # one of them: the releases are those of one moment
        if outcome in releases:
            _add_refracture(cases, releases[outcome], cells, warnings)
    if any(
        release.model.card is None or release.model.card.data_status == "synthetic" for release in releases.values()
    ):
        for place in usable:
            warnings[place].insert(0, SIMULATED)
    return [
        [row.get(name, "") for name in HEADER[:-1]] + [";".join(said)]
        for row, said in zip(cells, warnings, strict=True)
    ]


def _fixed(case: Case) -> dict[str, str]:
    record = case.row.record
    return {
        "row": str(case.row.position),
        "patient_id": str(record.get("patient_id") or ""),
        "level": str(record.get("level") or ""),
    }


def _cells(names: Sequence[str], values: Floats) -> dict[str, str]:
    return {name: repr(float(value)) for name, value in zip(names, values, strict=True) if np.isfinite(value)}


def _leakage(release: Release, records: list[Mapping[str, Any]], detection: str) -> Floats:
    """Risk, interval and routes of each record, shape (n, 7); routes come from the logistic version if need be."""
    patient = _codes(records)
    matrix = build(to_columns(records), "leakage", detection=detection, patient=patient)
    margins = release.model.margins(matrix)
    risk, interval = release.model.risk_of(margins), release.model.interval_of(margins)
    routes = release.routes(matrix, risk)
    return np.column_stack([risk, interval, np.full((len(risk), len(ROUTES)), np.nan) if routes is None else routes])


def _add_refracture(
    cases: list[Case], release: Release, cells: list[dict[str, str]], warnings: list[list[str]]
) -> None:
    """A patient's risk on each row of an operation; none if one of the operation's rows is rejected."""
    complete = in_whole_operation([case.record for case in cases], [case.findings for case in cases])
    whole = np.flatnonzero(complete).tolist()
    for place, case in enumerate(cases):
        if case.usable and not complete[place]:
            warnings[place].append("row_of_the_patient_rejected:refracture")
    if not whole:
        return
    records = [cases[place].record for place in whole]
    code = _codes(records)
    matrix = build(to_columns(records), release.outcome, moment=MOMENT_OF[release.outcome], patient=code)
    margins = release.model.margins(matrix)
    columns = []
    for days in HORIZON_DAYS.values():
        columns += [release.model.risk_of(margins, days)[:, None], release.model.interval_of(margins, days)]
    risks = np.hstack(columns)
    for place, who in zip(whole, code, strict=True):
        cells[place] |= _cells(REFRACTURE_COLUMNS, risks[who])


def _codes(records: Sequence[Mapping[str, Any]]) -> Ints:
    """0, 1, 2, … for each patient's operation in order of first appearance."""
    seen: dict[Any, int] = {}
    keys = [(record.get("patient_id"), record.get("procedure_date")) for record in records]
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.intp)
