"""Splits that a registry offers by itself: later operations, and one centre after the other.

Both ask what random folds cannot: whether a model holds next year, and elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from training.cohort import Cohort
from training.validate.fitting import Predicted
from training.validate.judging import bounds, judge, judged_risk, plain, shown
from training.validate.measuring import measure
from training.validate.subgroups import in_order, judged_group

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

#: Share of the patients, by date of operation, whom a model of the earlier ones is asked about.
LATER_SHARE = 0.30


@dataclass(frozen=True, slots=True)
class Cut:
    """A split in time: the model is trained on patients operated before ``month`` and tested on the others."""

    month: str
    later: Rows


def cut_in_time(people: Cohort) -> Cut | str:
    """The first day of a month after which ``LATER_SHARE`` of the patients, or somewhat more, had their operation.

    Text where there is no such month, because dates are missing or too close together. Patients without a date stand
    on neither side.
    """
    known = people.month[people.month != ""] if len(people.month) else people.month
    if not len(known):
        return "no dates of operation are known"
    months, count = np.unique(known, return_counts=True)
    after = np.cumsum(count[::-1])[::-1] / count.sum()
    place = int(np.flatnonzero(after >= LATER_SHARE)[-1])
    if place == 0:
        return "all operations lie too close together in time"
    return Cut(str(months[place]), people.month >= months[place])


def earlier(people: Cohort, cut: Cut) -> Rows:
    """The rows that train."""
    return np.asarray((people.month != "") & ~cut.later)


def temporal(people: Cohort, cut: Cut | str, found: Predicted | str | None) -> dict[str, Any]:
    """The entry ``temporal`` of the record."""
    reason = cut if isinstance(cut, str) else found if isinstance(found, str) else ""
    if reason or isinstance(cut, str) or not isinstance(found, Predicted):
        return {"reason": reason or "not asked for", "metrics": {}}
    try:
        flat = measure(people.target.take(cut.later), found.risk, found.detail)
        reason = "" if flat else "follow-up of the later patients reaches no horizon, or all had the same course"
    except TooLittleData as error:
        # The later patients may be too few to judge by; the version is trained and judged all the same.
        flat, reason = {}, str(error)
    return {
        "reason": reason,
        "from_month": cut.month,
        "trained_rows": shown(int(earlier(people, cut).sum())),
        "tested_rows": shown(int(cut.later.sum())),
        "metrics": nested(flat),
    }


def centres_of(people: Cohort) -> list[str]:
    """The centres of a cohort, the largest first; empty where there is one only."""
    labels = people.groups.get("centre", np.zeros(0, dtype=str))
    names = in_order(labels)
    return names if len(names) > 1 else []


def elsewhere(people: Cohort, name: str) -> Rows:
    """The rows that train where a centre is left out: of patients who were never operated on there."""
    inside = people.groups["centre"] == name
    return ~np.isin(people.patient, people.patient[inside])


def leave_one_centre_out(people: Cohort, found: Mapping[str, Predicted | str], reason: str = "") -> dict[str, Any]:
    """The entry ``centres`` of the record: each centre predicted by a model of the others, and all of them together.

    ``found``: by centre, what the model without it says of its rows.
    """
    if not found:
        return {"reason": reason or "all patients are of one centre, or no centre is known", "each": [], "metrics": {}}
    labels = people.groups["centre"]
    risk, told = np.full(len(labels), np.nan), np.zeros(len(labels), dtype=bool)
    each: list[dict[str, Any]] = []
    for name, one in found.items():
        rows = labels == name
        if isinstance(one, str):
            each.append({"centre": name, "rows": shown(int(rows.sum())), "reason": one, "metrics": {}})
            continue
        risk[rows], told = judged_risk(one.risk), told | rows
        each.append({"centre": name} | judged_group(people, risk, rows))
    try:
        together = judge(people.target, risk, told) if told.any() else {}
    except TooLittleData as error:
        return {"reason": str(error), "each": each, "metrics": {}}
    return {"reason": "", "each": each, "metrics": plain(together)}


def nested(flat: Mapping[str, float]) -> dict[str, dict[str, float | None]]:
    """Flat metrics as ``{"value", "lo", "hi"}``; null bounds where a number has none."""
    nan = float("nan")
    names = [name for name in flat if not name.endswith(("_lo", "_hi"))]
    return {name: bounds(flat[name], flat.get(f"{name}_lo", nan), flat.get(f"{name}_hi", nan)) for name in names}
