"""All rules on typed records, for exports and for questions alike: one vertebra, one patient, one whole export.

A record is a plain mapping from variable name to value for one treated vertebra; unknown is absent or None. Only the
standard library is used, since every request passes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from features.dictionary import VARIABLES, Moment
from features.errors import Finding
from features.rules import EXPORT_RULES, PATIENT_RULES, RULES, Record
from features.variable import OR_EMPTY

REQUIRED_IN_EXPORT = ("patient_id", "level")
REQUIRED_IN_QUESTION = ("age_years", "sex", "level")

_LATER = {
    Moment.PLANNED: "is known only during or after the operation; leave it out of a question asked before it, or ask "
    "with moment postop",
    Moment.INTRAOP: "is known only after the operation; leave it out",
    Moment.POSTOP: "is known only from the follow-up; leave it out of a question",
    Moment.FOLLOW_UP: "is not known yet",
}


def judge_record(
    record: Record, moment: Moment | None = None, *, unreadable: frozenset[str] = frozenset()
) -> list[Finding]:
    """All that is wrong or odd in one record, by the variables' own limits and by ``RULES``.

    ``moment`` is when a question is asked: PREOP or PLANNED before the operation (facts and plan), POSTOP after it;
    what is known later is refused. None means an export, in which everything may stand and other variables are
    required.
    ``unreadable`` names variables that had a value which could not be read: rules that look at them are left out, since
    the value is not unknown.
    """
    required = REQUIRED_IN_EXPORT if moment is None else REQUIRED_IN_QUESTION
    findings = _required(record, required, unreadable)
    latest = Moment.FOLLOW_UP if moment is None else max(moment, Moment.PLANNED)
    for name, value in record.items():
        if value is None:
            continue
        variable = VARIABLES.get(name)
        if variable is None:
            findings.append(Finding("unknown_variable", name, f"{name}: the dictionary has no such variable"))
        elif variable.derived:
            findings.append(Finding("not_an_input", name, f"{name}: is computed from others; leave it out"))
        elif variable.known_at > latest:
            findings.append(Finding("known_later", name, f"{name}: {_LATER[latest]}"))
        elif (found := variable.judge(value)) is not None:
            findings.append(_without_empty(found) if name in required else found)
    for rule in RULES:
        found = rule.judge(record)
        if found is not None and not (unreadable and unreadable.intersection(rule.variables)):
            findings.append(found)
    return findings


def judge_patient(records: Sequence[Record]) -> list[Finding]:
    """What is wrong across the vertebrae of one patient's operation; ``row`` is the place in ``records`` from 1."""
    return [found for rule in PATIENT_RULES for found in rule.judge(records)]


def judge_export(records: Sequence[Record]) -> list[Finding]:
    """What is wrong with an export as a whole; ``row`` is 0, and every row is meant."""
    return [found for rule in EXPORT_RULES if (found := rule.judge(records)) is not None]


def at_row(findings: Iterable[Finding], row: int) -> list[Finding]:
    """The same findings, said of the row at this position."""
    return [replace(found, row=row) for found in findings]


def _without_empty(found: Finding) -> Finding:
    """What is required cannot be left empty."""
    return replace(found, detail=found.detail.removesuffix(OR_EMPTY))


def _required(record: Record, names: Sequence[str], unreadable: frozenset[str]) -> list[Finding]:
    return [
        Finding("required", name, f"{name}: is required and empty")
        for name in names
        if record.get(name) is None and name not in unreadable
    ]
