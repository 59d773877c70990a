"""The retraining job: from an export to registered versions, with everything needed to judge them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from features.build import PREDICTORS, Outcome, Predictor, outcomes_at
from features.derived import Floats
from features.dictionary import Moment, fingerprint
from features.errors import InputRejected, TooLittleData, UsageError
from features.registry import Export, read_export
from models import Card, save
from models.calibrated import CalibratedRisk
from models.interface import Learner
from models.prior import Prior, asked_for
from training.cohort import Cohort, cohort
from training.draw import show
from training.engine import Engine
from training.promote import best_candidate
from training.report import command as report
from training.report.evaluation import Flow, flow_of
from training.scratch import scratch, sweep
from training.tracking import Logged, Store, Version
from training.validate import CLASSES, FOLDS, LEARNERS, Validated, record, validate
from training.validate.bootstrap import FEWEST

PACKAGES = ("numpy", "xgboost-cpu", "lifelines", "shap", "mlflow", "scikit-learn")
_STATED_QUANTILES = (0.01, 0.99)
#: Seeds that every learner takes.
_SEEDS = range(2**31)
_RESAMPLES = range(FEWEST, 10_001)
#: The columns that an outcome is read from.
_COURSE = ("refracture", "refracture_days", "last_seen_days", "died")
_OUTCOME_COLUMNS: dict[Outcome, tuple[str, ...]] = {
    "leakage": ("leak_routes", "leak_modality"),
    "refracture": _COURSE,
    "refracture-postop": _COURSE,
}
#: Said at each step: what is being done, and how much of how much.
Progress = Callable[[str, int, int], None]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Job:
    """What to train and from what. ``learner`` "all": every learner that the outcome has.

    ``prior``: a file of published effects to start from, or "published" for the one that comes with the package.
    ``bootstrap``: how many resamples correct the metrics for optimism; 0: cross-validation alone. Raises
    ``UsageError`` for a seed that no generator takes, and for so few resamples that their mean means little.
    """

    export: Path
    outcomes: tuple[Outcome, ...] = outcomes_at(Moment.PLANNED)
    learner: str = "all"
    seed: int = 0
    dictionary: Path | None = None
    mapping: Path | None = None
    engine: Engine = "local"
    prior: str | None = None
    bootstrap: int = 0

    def __post_init__(self) -> None:
        if self.bootstrap and self.bootstrap not in _RESAMPLES:
            raise UsageError(f"--bootstrap: from {_RESAMPLES[0]} to {_RESAMPLES[-1]} resamples are expected")
        if self.seed not in _SEEDS:
            raise UsageError(f"--seed: a whole number from 0 to {_SEEDS[-1]} is expected")

    def learners(self, outcome: Outcome) -> tuple[Learner, ...]:
        """Raises ``UsageError`` for a learner that no outcome asked for has."""
        if self.learner == "all":
            return LEARNERS[outcome]
        if self.learner not in LEARNERS[outcome] and len(self.outcomes) == 1:
            has = " or ".join(LEARNERS[outcome])
            raise UsageError(f"{self.learner} does not exist for {outcome}, whose events have times: choose {has}")
        return tuple(name for name in LEARNERS[outcome] if name == self.learner)

    @property
    def no_such_learner(self) -> dict[Outcome, tuple[Learner, ...]]:
        """For each outcome the learners asked for that do not exist for it."""
        asked = {outcome: [name for name in CLASSES if self.learner in ("all", name)] for outcome in self.outcomes}
        lacking = {outcome: tuple(n for n in names if n not in LEARNERS[outcome]) for outcome, names in asked.items()}
        return {outcome: names for outcome, names in lacking.items() if names}


@dataclass(frozen=True, slots=True)
class Trained:
    """The result for one outcome: versions, those who trained them, and the challenger if one passes the gate."""

    outcome: Outcome
    training_id: str
    rows: int
    patients: int
    events: dict[str, int]
    left_out: dict[str, int]
    versions: list[Version]
    challenger: Version | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the whole job did. accepted + rejected = read.

    ``untrained``: the reason for each outcome that had too little data while another one was trained.
    ``no_such_learner``: for each outcome the learners asked for that do not exist for it.
    """

    read: int
    accepted: int
    rejected: int
    trained: list[Trained]
    untrained: dict[Outcome, str] = field(default_factory=dict)
    no_such_learner: dict[Outcome, tuple[Learner, ...]] = field(default_factory=dict)


def train(job: Job, store: Store, progress: Progress = lambda what, done, total: None) -> Report:
    """Check, features, fit, evaluate, log and register.

    Raises ``InputRejected`` if no row of the export is accepted, ``TooLittleData`` if there is too little for every
    outcome; an outcome that lacks data does not keep the others from being trained.
    """
    wanted = {outcome: job.learners(outcome) for outcome in job.outcomes}
    progress("reading the export", 0, 1)
    prior = asked_for(job.prior, job.outcomes)
    export = read_export(job.export, dictionary=job.dictionary, mapping=job.mapping)
    if not len(export.positions):
        raise InputRejected(
            f"none of the {len(export.rows)} rows can be used: run cemrisk check on the export", export.all_findings
        )
    digest = _digest(job)
    trained: list[Trained] = []
    untrained: dict[Outcome, str] = {}
    for outcome, learners in wanted.items():
        try:
            if learners:
                trained.append(_train_outcome(job, store, export, outcome, learners, prior, digest, progress))
        except TooLittleData as error:
            untrained[outcome] = str(error) + _absent_columns(export, outcome)
    if not trained:
        raise TooLittleData("; ".join(untrained.values()))
    read, accepted, rejected = len(export.rows), len(export.positions), len(export.rejected)
    return Report(read, accepted, rejected, trained, untrained, job.no_such_learner)


def people_of(export: Export, outcome: Outcome) -> Cohort:
    """Who trains a model of the outcome; synthetic if any patient of the export is simulated."""
    people = cohort(export.columns(), outcome, export.patient_complete)
    # The pseudonyms that came may have been dropped as identifiers, so the cohort cannot always tell.
    return replace(people, data_status="synthetic") if export.simulated else people


def _absent_columns(export: Export, outcome: Outcome) -> str:
    """Which columns of the outcome hold nothing in any accepted row, as the end of a message."""
    known = export.columns()
    absent = [name for name in _OUTCOME_COLUMNS[outcome] if name not in known]
    return f"; no accepted row has a value of {', '.join(absent)}" if absent else ""


def _train_outcome(
    job: Job,
    store: Store,
    export: Export,
    outcome: Outcome,
    learners: tuple[Learner, ...],
    prior: Prior | None,
    digest: str,
    progress: Progress,
) -> Trained:
    store.reconcile(outcome)
    sweep(store.home)
    people = people_of(export, outcome)
    training_id = f"{outcome}-{digest[:8]}-{os.urandom(4).hex()}"
    results = validate(
        people,
        learners,
        job.seed,
        job.engine,
        lambda done, total: progress(f"fitting {outcome}", done, total),
        prior=prior,
        resamples=job.bootstrap,
    )
    flow = flow_of(export)
    versions = [
        _log(job, store, people, result, flow, training_id, digest)
        for result in _told(results, f"logging {outcome}", progress)
    ]
    best = best_candidate(versions)
    store.set_alias(outcome, "challenger", best.version if best else None)
    # Read again, now that the alias is set.
    ours = [version for version in store.versions(outcome) if version.training_id == training_id]
    for version in _told(ours, f"reporting {outcome}", progress):
        store.attach(version, report.NAME, report.text(store, version))
    return Trained(
        outcome,
        training_id,
        len(people.matrix),
        people.patients,
        people.events,
        people.left_out,
        ours,
        # By number, not by alias: a training that ended meanwhile may have taken the alias.
        next((version for version in ours if best is not None and version.version == best.version), None),
    )


def _told(items: Sequence[_Item], what: str, progress: Progress) -> Iterator[_Item]:
    """Each of the items, said before each and after the last."""
    for place, item in enumerate(items):
        progress(what, place, len(items))
        yield item
    progress(what, len(items), len(items))


def _log(
    job: Job, store: Store, people: Cohort, result: Validated, flow: Flow, training_id: str, digest: str
) -> Version:
    card = card_of(job, people, result, training_id, digest)
    shown = show(people, result, flow)
    with scratch(store.home) as folder:
        sha256 = save(result.model, folder / "model", card)
        logged = Logged(
            learner=result.learner,
            role=card.role,
            folder=folder / "model",
            sha256=sha256,
            params=_params(card),
            metrics=result.metrics,
            figures=shown.figures,
            documents=shown.documents | {record.NAME: record.as_text(result.record)},
            tags={
                "training_id": training_id,
                "outcome": people.outcome,
                "validation": result.how,
                "data_status": people.data_status,
                "git_commit": _git_commit(),
                "release": card.release,
            },
        )
        return store.log(people.outcome, logged)


def card_of(job: Job, people: Cohort, result: Validated, training_id: str, digest: str) -> Card:
    """The model card: aggregates of the cohort, the settings and the out-of-sample metrics."""
    return Card(
        outcome=people.outcome,
        learner=result.learner,
        training_id=training_id,
        role="comparator" if (people.outcome, result.learner) == ("leakage", "cox") else "model",
        data_status=people.data_status,
        data_digest=digest,
        rows=len(people.matrix),
        patients=people.patients,
        events=people.events,
        left_out=people.left_out,
        training_range={
            predictor.name: _stated_range(predictor, known)
            for predictor in PREDICTORS[people.outcome]
            if len(known := _known(people.matrix[predictor.name]))
        },
        missing_share={
            name: float(share)
            for name, share in zip(people.matrix.columns, np.isnan(people.matrix.values).mean(axis=0), strict=True)
        },
        metrics=result.metrics,
        settings=result.model.settings.described() | {"validation_folds": FOLDS, "bootstrap": job.bootstrap},
        packages={name: package_version(name) for name in PACKAGES},
        prior=_prior_of(result.model),
        release=result.standing.state if result.standing else "",
        release_reason=result.standing.reason if result.standing else "",
    )


def _prior_of(model: CalibratedRisk) -> dict[str, Any]:
    """What the card says of the prior that the model started from, with how much of it each part kept."""
    prior = model.settings.prior
    return prior.described(model.outcome) | {"weight": model.prior_weight} if prior and model.prior_weight else {}


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _stated_range(predictor: Predictor, known: Floats) -> tuple[float, float]:
    """What the card says a column held: all levels; of a measurement where nearly all lie, out to its grid.

    A quantile can be the value of one patient, a point of the grid tells of nobody.
    """
    step = predictor.resolution
    if not step:
        return float(known.min()), float(known.max())
    low, high = np.quantile(known, _STATED_QUANTILES)
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def _params(card: Card) -> dict[str, Any]:
    """Parameters for MLflow: how it was fitted and to how many, never a patient's value."""
    return {
        "learner": card.learner,
        "moment": card.moment,
        "rows": card.rows,
        "patients": card.patients,
        "data_digest": card.data_digest,
        "dictionary_fingerprint": fingerprint(),
        **{f"events_{name}": count for name, count in card.events.items()},
        **{f"left_out_{reason}": count for reason, count in card.left_out.items()},
        **card.settings,
    }


def _digest(job: Job) -> str:
    """sha256 of the export with its dictionary and mapping: the same data give the same digest."""
    parts = [path.read_bytes() for path in (job.export, job.dictionary, job.mapping) if path is not None]
    return hashlib.sha256(b"\x00".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _git_commit() -> str:
    """The commit of the code in use, if it stands in a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
