"""Versions side by side: those of one training on the same held-out patients, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from features.errors import NotReady
from training.promote import SUFFIX, faults
from training.report import page, panels
from training.report.page import Picture
from training.report.source import read_evaluation, read_validation
from training.report.validation_facts import SHOWN, cells
from training.report.words import LEARNERS, horizon

if TYPE_CHECKING:
    from training.tracking import Store, Version

#: Metrics of the table of versions, calibration first.
COLUMNS = (*SHOWN[:3], ("e90", "E90"), *SHOWN[3:], ("net_benefit_20", "Net benefit at 20 %"))


@dataclass(frozen=True, slots=True)
class Training:
    """The versions of one training and ``contrasts`` between them, each first minus second with paired intervals.

    ``contrasts`` is empty where there is one learner only, or the training kept none.
    """

    outcome: str
    training_id: str
    versions: Sequence[Version]
    contrasts: Sequence[Mapping[str, Any]]


def trainings(store: Store, outcome: str) -> list[Training]:
    """The newest first; empty if nothing was trained."""
    groups: dict[str, list[Version]] = {}
    for version in store.versions(outcome):
        groups.setdefault(version.training_id, []).append(version)
    return [
        Training(outcome, training_id, versions, _contrasts(store, versions))
        for training_id, versions in reversed(groups.items())
    ]


def _contrasts(store: Store, versions: Sequence[Version]) -> list[Mapping[str, Any]]:
    """The pairs of all records, each once: the record of a version has those that it belongs to."""
    pairs = [pair for version in versions for pair in read_validation(store, version).get("contrasts", [])]
    return list({(pair["first"], pair["second"]): pair for pair in pairs}.values())


def contrast_rows(training: Training) -> list[list[str]]:
    """One row for each pair of learners: its name and the paired difference of each shown metric."""
    return [[f"{one['first']} - {one['second']}", *cells(one["metrics"], "", CONTRASTED)] for one in training.contrasts]


#: Of these paired differences exist: distances such as the ICI have no influence terms.
CONTRASTED = (*(one for one in SHOWN if one[0] != "ici"), ("net_benefit_20", "Net benefit at 20 %"))
#: Those that are drawn.
_DRAWN = {"log_loss": "log loss", "auc": "AUC", "scaled_brier": "scaled Brier", "net_benefit_20": "net benefit, 20 %"}


def text(store: Store, outcomes: Sequence[str]) -> str:
    """The whole page; raises ``NotReady`` if nothing is trained."""
    found = {outcome: trainings(store, outcome) for outcome in outcomes}
    if not any(found.values()):
        raise NotReady("nothing is trained yet: run cemrisk train EXPORT")
    versions = [version for groups in found.values() for one in groups for version in one.versions]
    facts = {
        "title": "Comparison of registered versions",
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "synthetic": any(version.data_status == "synthetic" for version in versions),
        "columns": [label for _, label in COLUMNS],
        "contrasted": [label for _, label in CONTRASTED],
        "outcomes": [
            (name, [_training_facts(store, one) for one in groups]) for name, groups in found.items() if groups
        ],
    }
    return page.filled("compare.html", facts)


def _training_facts(store: Store, training: Training) -> dict[str, Any]:
    evaluations = {_name(version): _evaluation(store, version) for version in training.versions}
    kept = {name: one for name, one in evaluations.items() if one}
    return {
        "id": training.training_id,
        "horizon": "" if training.outcome == "leakage" else f"by {horizon(training.outcome)}, ",
        "versions": [_version(version) for version in training.versions],
        "contrasts": contrast_rows(training),
        "differences": _differences(training),
        "figures": _figures(kept),
        "without": [name for name in evaluations if name not in kept],
    }


def _evaluation(store: Store, version: Version) -> dict[str, Any]:
    """Empty for a version of before evaluations were kept: the others are compared all the same."""
    try:
        return read_evaluation(store, version)
    except NotReady:
        return {}


def _name(version: Version) -> str:
    return f"version {version.version}, {LEARNERS[version.learner]}"


def _version(version: Version) -> dict[str, Any]:
    end = SUFFIX[version.outcome]
    return {
        "name": _name(version),
        "aliases": ", ".join(version.aliases) or "-",
        "faults": faults(version),
        "cells": [
            (name + end, version.metrics.get(name + end), panels.metric_text(version.metrics, name + end))
            for name, _ in COLUMNS
        ],
    }


def _differences(training: Training) -> Picture | None:
    """The paired differences as a picture; None without any."""
    if not training.contrasts:
        return None
    pairs = {f"{one['first']} - {one['second']}": one["metrics"] for one in training.contrasts}
    words = (
        f"Paired differences of {', '.join(_DRAWN.values())} between {'; '.join(pairs)}, each with its interval and "
        "the line of no difference. The numbers stand in the table."
    )
    return page.drawn(
        panels.contrast_figure(pairs, _DRAWN),
        words,
        "Paired differences, first minus second, with 95 % intervals; dotted: no difference.",
    )


def _figures(evaluations: Mapping[str, Mapping[str, Any]]) -> list[Picture]:
    """Curves of all learners over each other, one picture for each horizon that all have."""
    horizons = [{one["suffix"]: one for one in kept["horizons"]} for kept in evaluations.values()]
    shared = [suffix for suffix in horizons[0] if all(suffix in one for one in horizons)] if horizons else []
    pictures = []
    for suffix in shared:
        models = {name: one[suffix] for name, one in zip(evaluations, horizons, strict=True)}
        event = next(iter(models.values()))["event"]
        words = (
            f"Calibration curves and decision curves of {event} of {'; '.join(models)}, over each other. "
            "The numbers stand in the tables."
        )
        pictures.append(page.drawn(panels.overlay_figure(models), words, f"Calibration and net benefit of {event}."))
    return pictures
