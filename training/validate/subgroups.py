"""Calibration and discrimination within groups of patients, from out-of-fold predictions.

Nothing is fitted again: each patient was predicted by models that had not seen him. A group below the floor is named
with the reason and no numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from training.cohort import Cohort
from training.validate.judging import counts, judge, plain, shown, too_small

Floats = NDArray[np.float64]


def subgroups(people: Cohort, risk: Floats) -> list[dict[str, Any]]:
    """One entry for each group of each kind, unknown ones left out; ``risk`` (n,) at the judged horizon."""
    return [
        {"by": by, "group": str(name)} | judged_group(people, risk, labels == name)
        for by, labels in people.groups.items()
        for name in in_order(labels)
    ]


def in_order(labels: NDArray[np.str_]) -> list[str]:
    """Names of the groups that are known, "centre 10" after "centre 9"."""
    return sorted(np.unique(labels[labels != ""]).tolist(), key=lambda name: (len(name), name))


def judged_group(people: Cohort, risk: Floats, rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Counts and metrics of some rows (n,), or why they have none."""
    events, others = counts(people.target, rows)
    found: dict[str, Any] = {
        "rows": shown(int(rows.sum())),
        "patients": shown(len(np.unique(people.patient[rows]))),
        "events": shown(events),
        "reason": too_small(events, others),
        "metrics": {},
    }
    if not found["reason"]:
        try:
            found["metrics"] = plain(judge(people.target, risk, rows))
        except TooLittleData as error:
            found["reason"] = str(error)
    return found
