"""``validation.json``: all that is known of how a version does on patients whom it has not seen, in one document.

Its schema stands in docs/statistics.md; ``SCHEMA`` counts its changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.interface import Learner
from training.cohort import Cohort
from training.validate.bootstrap import Corrected
from training.validate.judging import JUDGED_AT
from training.validate.splits import nested

SCHEMA = 1
NAME = "validation.json"


def record_of(
    people: Cohort,
    learner: Learner,
    crossed: Mapping[str, float],
    corrected: Corrected | None,
    temporal: dict[str, Any],
    centres: dict[str, Any],
    subgroups: list[dict[str, Any]],
    contrasts: list[dict[str, Any]],
) -> dict[str, Any]:
    """The document of one learner; every entry that has no numbers says why in ``reason``."""
    return {
        "schema": SCHEMA,
        "outcome": people.outcome,
        "learner": learner,
        "rows": len(people.matrix),
        "patients": people.patients,
        "judged_at_months": None if people.outcome == "leakage" else JUDGED_AT,
        "headline": "bootstrap" if corrected else "cv",
        "cross_validation": {"reason": "", "metrics": nested(crossed)},
        "bootstrap": _bootstrap(corrected),
        "temporal": temporal,
        "centres": centres,
        "subgroups": subgroups,
        "contrasts": contrasts,
    }


def _bootstrap(corrected: Corrected | None) -> dict[str, Any]:
    if corrected is None:
        return {"reason": "not asked for: run cemrisk train with --bootstrap 200", "metrics": {}}
    apparent, shifted = nested(corrected.apparent), nested(corrected.metrics)
    rows = {
        name: {"apparent": apparent[name]["value"], "optimism": gap} | shifted[name]
        for name, gap in corrected.optimism.items()
    }
    return {"reason": "", "resamples": corrected.resamples, "failed": corrected.failed, "metrics": rows}


def as_text(record: Mapping[str, Any]) -> str:
    """The document as it is stored."""
    return json.dumps(record, indent=1, sort_keys=False, allow_nan=False)
