"""A measured scan as a question for ``POST /v1/risk`` that needs no editing."""

from __future__ import annotations

from collections.abc import Mapping

from features.ct.provenance import Json, levels_read
from features.dictionary import VARIABLES, Moment
from features.errors import UsageError

#: The latest moment whose knowledge a question may hold, as the service reads it.
_LATEST = {"preop": Moment.PLANNED, "postop": Moment.POSTOP}


def query(report: Json, patient: Json, plan: Mapping[str, Json] | None = None) -> Json:
    """A body for ``POST /v1/risk``: the report's values, ``patient`` (age_years, sex, ...) and by level a ``plan``.

    Only levels named in ``plan`` (all, without one) are asked about. Every value a report holds is within the
    dictionary's limits and its warnings go along as ``ct``, so that nothing has to be edited.
    """
    levels = [v["level"] for v in report["vertebrae"]] if plan is None else list(plan)
    vertebrae = [{"level": level, **((plan or {}).get(level, {}))} for level in levels]
    return complete(report, {"moment": report["moment"], "patient": dict(patient), "vertebrae": vertebrae})


def complete(report: Json, question: Json) -> Json:
    """``question``, a body for ``POST /v1/risk``, with what the report measured; a value it states is kept.

    A null counts as unknown, no moment as ``preop``. Nothing enters that is known later than the question is asked.
    Proposals (cement) enter with the warning ``cement_proposed``, which the answer repeats. Raises ``UsageError`` where
    the moments differ, a level is asked about that the report does not hold, or the question is no object with
    ``vertebrae``.
    """
    check(question, report["moment"])
    moment, asked = report["moment"], question["vertebrae"]
    measured = {vertebra["level"]: vertebra["values"] for vertebra in report["vertebrae"]}
    if any(v["level"] not in measured for v in asked):
        raise UsageError(f"The question asks about a level that was not measured: {', '.join(measured)} were.")
    vertebrae = [_filled(vertebra, measured[vertebra["level"]], _LATEST[moment]) for vertebra in asked]
    patient = _filled(question.get("patient") or {}, report["patient"]["values"], _LATEST[moment])
    warnings = _query_warnings(report, {str(vertebra["level"]) for vertebra in asked})
    stated = question.get("ct")
    before: list[Json] = stated if isinstance(stated, list) else []
    ct = before + [warning for warning in warnings if warning not in before]
    return {**question, "patient": patient, "vertebrae": vertebrae, "ct": ct}


def check(question: Json, moment: str) -> None:
    """Raises ``UsageError`` unless a scan measured at ``moment`` could complete the question; before it is measured."""
    asked = question.get("vertebrae") if isinstance(question, dict) else None
    facts = (question.get("patient") or {}) if isinstance(question, dict) else None
    if not isinstance(asked, list) or not isinstance(facts, dict) or not all(isinstance(v, dict) for v in asked):
        raise UsageError("The question must be an object with patient and vertebrae, a list of objects with a level.")
    if not all(isinstance(v.get("level"), str) for v in asked):
        raise UsageError("Each of the question's vertebrae needs a level, such as L1.")
    stated = question.get("moment") or "preop"
    if stated != moment:
        raise UsageError(
            "Question and scan are of different moments: give the question its moment (preop without one) and measure "
            "with the same --moment."
        )


def _filled(stated: Json, measured: Json, latest: Moment) -> Json:
    known = {name: value for name, value in stated.items() if value is not None}
    found = {name: entry["value"] for name, entry in measured.items() if VARIABLES[name].known_at <= latest}
    return {**stated, **found, **known}


def _query_warnings(report: Json, levels: set[str]) -> list[Json]:
    """Codes of the warnings about the whole scan, ``levels``, and every level that their values were read from."""
    used = levels | levels_read(report["patient"]["values"])
    for vertebra in report["vertebrae"]:
        used |= levels_read(vertebra["values"]) if vertebra["level"] in levels else set()
    return [
        {"code": w["code"], "level": w["level"]} for w in report["warnings"] if w["level"] is None or w["level"] in used
    ]
