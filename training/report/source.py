"""All that a report is made of, read from one version and its run in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.errors import NotReady
from models.artifact import Card, load
from models.calibrated import CalibratedRisk
from training import competing_risks
from training.report import evaluation

if TYPE_CHECKING:
    from training.tracking import Store, Version

VALIDATION = "validation.json"
SHAP = "figures/shap_summary.png"


@dataclass(frozen=True, slots=True)
class Source:
    """One version with its model, its run's parameters and tags, and the documents of the run that there are.

    ``validation`` and ``competing`` are empty, ``shap`` is None where the run has none.
    """

    version: Version
    model: CalibratedRisk
    params: Mapping[str, str]
    tags: Mapping[str, str]
    evaluation: Mapping[str, Any]
    validation: Mapping[str, Any]
    competing: Mapping[str, Any]
    shap: bytes | None

    @property
    def card(self) -> Card:
        """The card of the model; ``load`` always gives one."""
        assert self.model.card is not None
        return self.model.card

    @property
    def characteristics(self) -> dict[str, Any]:
        """What the evaluation tells of each predictor, by column."""
        return {one["name"]: one for one in self.evaluation["characteristics"]}


def read(store: Store, version: Version) -> Source:
    """Raises ``NotReady`` for a version that was trained before evaluations were kept."""
    params, tags = store.run_facts(version)
    return Source(
        version=version,
        model=load(store.folder(version), version.sha256),
        params=params,
        tags=tags,
        evaluation=read_evaluation(store, version),
        validation=read_validation(store, version),
        competing=_document(store, version, competing_risks.NAME),
        shap=store.document(version, SHAP),
    )


def read_evaluation(store: Store, version: Version) -> dict[str, Any]:
    """The evaluation that the version's run keeps; raises ``NotReady`` if it has none of the form that is read here."""
    found = _document(store, version, evaluation.NAME)
    if found.get("format") != evaluation.FORMAT:
        raise NotReady(
            f"{version.outcome} version {version.version} was trained by another version of cemrisk, which kept no "
            f"{evaluation.NAME} of this form: train it again"
        )
    return found


def read_validation(store: Store, version: Version) -> dict[str, Any]:
    """The record of the version's validation; empty if its run has none."""
    return _document(store, version, VALIDATION)


def _document(store: Store, version: Version, name: str) -> dict[str, Any]:
    content = store.document(version, name)
    return {} if content is None else dict(json.loads(content))


def chosen(store: Store, outcome: str, number: str | None) -> Version:
    """The version of that number; without one the champion, else the challenger, else the newest.

    Raises ``UsageError`` if there is none of that number, ``NotReady`` if nothing was trained.
    """
    if number is not None:
        return store.version(outcome, number)
    versions = store.versions(outcome)
    for alias in ("champion", "challenger"):
        for version in versions:
            if alias in version.aliases:
                return version
    return versions[-1] if versions else store.version(outcome, "newest")
