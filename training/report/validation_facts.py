"""What ``validation.json`` says, as tables; where a part was not computed, how to compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.report import panels
from training.report.source import Source

Record = Mapping[str, Any]

#: Shown for subgroups, splits and contrasts: calibration first.
SHOWN = (
    ("oe", "O/E"),
    ("calibration_slope", "Slope"),
    ("ici", "ICI"),
    ("auc", "AUC"),
    ("scaled_brier", "Scaled Brier"),
    ("log_loss", "Log loss"),
)
_NOT_COMPUTED = "Not computed in this run: train again with this version of cemrisk."
_SIZES = (
    ("patients", "Patients"),
    ("needed", "Patients needed"),
    ("for_shrinkage", "for a shrinkage of at least 0.90"),
    ("for_optimism", "for an optimism of R² of at most 0.05"),
    ("for_mean_risk", "for the mean risk to within 0.05"),
    ("parameters", "Candidate parameters"),
    ("prevalence", "Prevalence"),
    ("anticipated_c", "Anticipated c statistic"),
)
_BY = {"sex": "Sex", "age": "Age band (years)", "procedure": "Procedure", "treated": "Vertebrae treated together",
       "detection": "Leaks looked for by", "centre": "Centre (numbered by size)"}  # fmt: skip


def validation_facts(source: Source) -> dict[str, Any]:
    """Tables of the record, each with the reason why it is empty where it is; ``computed`` names what there is."""
    record, end = source.validation, ("" if source.card.outcome == "leakage" else "_m12")
    subgroups, temporal, centres = record.get("subgroups", []), record.get("temporal", {}), record.get("centres", {})
    computed = {"subgroups"} if subgroups else set()
    computed |= {"splits"} if temporal.get("metrics") or centres.get("metrics") else set()
    computed |= {"centres"} if centres.get("each") else set()
    return {
        "how": {"cv": "cross-validated by patient", "bootstrap": "corrected for optimism by bootstrap of patients"}.get(
            source.tags.get("validation", "cv"), source.tags.get("validation", "")
        ),
        "heads": [label for _, label in SHOWN],
        "bootstrap": _bootstrap(record.get("bootstrap", {}), end),
        "subgroups": [
            {"by": _BY.get(one["by"], one["by"]), "group": one["group"]} | _counted(one, "") for one in subgroups
        ],
        "temporal": _temporal(temporal, end),
        "centres": {
            "reason": centres.get("reason") or ("" if centres else _NOT_COMPUTED),
            "each": [{"group": one["centre"]} | _counted(one, "") for one in centres.get("each", [])],
            "together": cells(centres.get("metrics", {}), "") if centres.get("metrics") else [],
        },
        "contrasts": [
            {"name": f"{one['first']} - {one['second']}", "cells": cells(one["metrics"], "")}
            for one in record.get("contrasts", [])
            if source.card.learner in (one["first"], one["second"])
        ],
        "missing": "" if record else _NOT_COMPUTED,
        "computed": frozenset(computed | ({"sample_size"} if record.get("sample_size") else set())),
        "sample_size": record.get("sample_size") or {},
        "sizes": [(label, _size(record["sample_size"].get(name))) for name, label in _SIZES]
        if record.get("sample_size")
        else [],
    }


def _size(value: float | None) -> str:
    """Counts with thousands apart, shares with three digits."""
    if value is None:
        return "cannot be computed"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def cells(metrics: Record, end: str, shown: Sequence[tuple[str, str]] = SHOWN) -> list[str]:
    """The shown metrics as texts; ``end`` closes their names in the record."""
    return [_text(metrics.get(name + end)) for name, _ in shown]


def _text(one: Record | None) -> str:
    return "-" if one is None else panels.interval(one.get("value"), one.get("lo"), one.get("hi"), 3)


def _counted(one: Record, end: str) -> dict[str, Any]:
    found = {"rows": one.get("rows"), "events": one.get("events"), "reason": one.get("reason", "")}
    return found | {"cells": cells(one.get("metrics", {}), end)}


def _temporal(one: Record, end: str) -> dict[str, Any]:
    reason = one.get("reason") or ("" if one else _NOT_COMPUTED)
    found = {name: one.get(name) for name in ("from_month", "trained_rows", "tested_rows")}
    return found | {"reason": reason, "cells": cells(one.get("metrics", {}), end) if one.get("metrics") else []}


def _bootstrap(one: Record, end: str) -> dict[str, Any]:
    """Apparent, optimism and corrected value of each shown metric at the judged horizon."""
    rows = []
    for name, label in SHOWN:
        found = one.get("metrics", {}).get(name + end)
        if found:
            rows.append((label, _plain(found.get("apparent")), _plain(found.get("optimism")), _text(found)))
    reason = one.get("reason") or ("" if one else _NOT_COMPUTED)
    return {"reason": reason, "resamples": one.get("resamples"), "rows": rows}


def _plain(value: float | None) -> str:
    return panels.interval(value, None, None, 3)
