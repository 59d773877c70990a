"""The MLflow store: one experiment and one registered model per outcome, one run and one version per trained
learner.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.models.signature import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import DataType, ParamSchema, ParamSpec

from features.errors import NotReady, UsageError
from features.files import locked
from models.release import training_command

#: Written into the model folder by name, so that MLflow does not spend seconds to infer it.
_REQUIREMENTS = ["cemrisk", "numpy", "pandas"]
_PYFUNC = Path(__file__).with_name("pyfunc.py")
MODEL_ARTIFACT = "model"
#: Lets the UI open the experiment as one of model training.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True, slots=True)
class Logged:
    """What one trained learner leaves in MLflow.

    ``figures``: file name -> PNG bytes; ``documents``: file name -> text; ``folder``: the saved model.
    """

    learner: str
    role: str
    folder: Path
    sha256: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    figures: Mapping[str, bytes]
    tags: Mapping[str, str]
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version, as ``compare``, ``promote`` and the service need it."""

    outcome: str
    version: str
    learner: str
    role: str
    training_id: str
    sha256: str
    run_id: str
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    data_status: str
    #: How its metrics were made: ``cv`` or ``bootstrap``.
    validation: str = "cv"


@contextmanager
def _answering() -> Iterator[None]:
    """Say of a server that is silent what that means, not how the connection failed; the rest passes through."""
    try:
        yield
    except MlflowException as error:
        # MLflow has no class or code of its own for this. What requests raised below is an OSError.
        if not (str(error).startswith("API request to") and isinstance(error.__context__, OSError)):
            raise
        raise NotReady("the MLflow server does not answer: start it, or see to MLFLOW_TRACKING_URI") from error


class Store:
    """The store in ``home`` (SQLite and a folder of artifacts), or the server that ``tracking_uri`` names."""

    def __init__(self, home: Path, tracking_uri: str | None = None) -> None:
        _be_quiet()
        self.home = home
        self.uri = tracking_uri or f"sqlite:///{(home / 'mlflow.db').resolve()}"
        home.mkdir(parents=True, exist_ok=True)
        self._own_artifacts = tracking_uri is None
        with self._locked(), _answering():
            # Two processes that open an empty SQLite store at once both fail: the first one creates it under the lock.
            self.client = MlflowClient(self.uri, self.uri)
            self.client.search_experiments(max_results=1)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.home / "mlflow.lock")

    @_answering()
    def experiment(self, outcome: str) -> str:
        """Id of the outcome's experiment, made if it is not there."""
        with self._locked():
            found = self.client.get_experiment_by_name(outcome)
            if found is not None:
                return str(found.experiment_id)
            place = (self.home / "mlartifacts" / outcome).resolve().as_uri() if self._own_artifacts else None
            return str(self.client.create_experiment(outcome, artifact_location=place, tags=_KIND))

    @_answering()
    def reconcile(self, outcome: str) -> int:
        """Mark as killed the runs of this machine whose process is gone: MLflow leaves them RUNNING for ever."""
        running = self.client.search_runs([self.experiment(outcome)], "attributes.status = 'RUNNING'")
        gone = [run for run in running if not _alive(run.data.tags)]
        for run in gone:
            self.client.set_terminated(run.info.run_id, status="KILLED")
        return len(gone)

    @_answering()
    def log(self, outcome: str, logged: Logged) -> Version:
        """One run with its figures and model, and a registered version of it."""
        tags = dict(logged.tags) | {"learner": logged.learner, "role": logged.role, "sha256": logged.sha256}
        pid = os.getpid()
        marks = {"cemrisk.pid": str(pid), "cemrisk.host": os.uname().nodename, "cemrisk.pid_since": _since(pid)}
        run = self.client.create_run(self.experiment(outcome), run_name=logged.learner, tags=tags | marks)
        run_id = str(run.info.run_id)
        try:
            self._log_numbers(run_id, logged)
            self._log_figures(run_id, logged.figures)
            for name, text in logged.documents.items():
                self.client.log_text(run_id, text, name)
            version = self._register(outcome, run_id, logged, tags)
        except BaseException:
            self.client.set_terminated(run_id, status="FAILED")
            raise
        self.client.set_terminated(run_id)
        return self._version(outcome, version)

    def _log_numbers(self, run_id: str, logged: Logged) -> None:
        now = int(self.client.get_run(run_id).info.start_time)
        metrics = [Metric(name, float(value), now, 0) for name, value in logged.metrics.items() if math.isfinite(value)]
        params = [Param(name, str(value)) for name, value in logged.params.items()]
        for start in range(0, len(metrics), 500):
            self.client.log_batch(run_id, metrics=metrics[start : start + 500])
        self.client.log_batch(run_id, params=params)

    def _log_figures(self, run_id: str, figures: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in figures.items():
                path = Path(folder) / name
                path.write_bytes(content)
                self.client.log_artifact(run_id, str(path), "figures")

    def _register(self, outcome: str, run_id: str, logged: Logged, tags: Mapping[str, str]) -> Any:
        """Log our own folder behind a thin pyfunc, as code and not as a pickle, and register it."""
        name = f"cemrisk-{outcome}"
        with self._locked():
            _quietly(lambda: self.client.create_registered_model(name))
        mlflow.set_tracking_uri(self.uri)  # the fluent part of MLflow knows only one address for the whole process
        with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
            # An input example would store rows of patients: it is left out on purpose.
            warnings.filterwarnings("ignore", message="(?s).*input example")
            info = mlflow.pyfunc.log_model(
                name=MODEL_ARTIFACT,
                python_model=str(_PYFUNC),
                artifacts={MODEL_ARTIFACT: str(logged.folder)},
                pip_requirements=_REQUIREMENTS,
                signature=ModelSignature(params=ParamSchema([ParamSpec("detection", DataType.string, "CT")])),
            )
            made = self.client.create_model_version(
                name, source=info.model_uri, run_id=run_id, tags=dict(tags), model_id=info.model_id
            )
        return self.client.get_model_version(name, made.version)

    @_answering()
    def versions(self, outcome: str) -> list[Version]:
        """All registered versions of an outcome, the oldest first; empty if nothing was trained."""
        try:
            model = self.client.get_registered_model(f"cemrisk-{outcome}")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []
        found = self.client.search_model_versions(f"name='{model.name}'")
        return sorted((self._version(outcome, v, model.aliases) for v in found), key=lambda v: int(v.version))

    def _version(self, outcome: str, found: Any, aliases: Mapping[str, Any] | None = None) -> Version:
        tags = found.tags
        known = self.client.get_registered_model(found.name).aliases if aliases is None else aliases
        return Version(
            outcome=outcome,
            version=str(found.version),
            learner=tags.get("learner", ""),
            role=tags.get("role", ""),
            training_id=tags.get("training_id", ""),
            sha256=tags.get("sha256", ""),
            run_id=str(found.run_id),
            aliases=tuple(sorted(alias for alias, number in known.items() if str(number) == str(found.version))),
            metrics=dict(self.client.get_run(found.run_id).data.metrics),
            data_status=tags.get("data_status", "synthetic"),
            validation=tags.get("validation", "cv"),
        )

    def version(self, outcome: str, number: str) -> Version:
        """One version; raises ``UsageError`` if there is none of that number, ``NotReady`` if nothing was trained."""
        found = self.versions(outcome)
        if not found:
            raise NotReady(f"nothing is trained for {outcome} yet: run {training_command(outcome)}")
        for version in found:
            if version.version == str(number):
                return version
        raise UsageError(f"{outcome} has no version {number}; there are {', '.join(v.version for v in found)}")

    def by_alias(self, outcome: str, alias: str) -> Version | None:
        """The version that an alias names, if any."""
        return next((version for version in self.versions(outcome) if alias in version.aliases), None)

    @_answering()
    def set_alias(self, outcome: str, alias: str, version: str | None) -> None:
        """Move an alias to a version, or take it away."""
        if version is None:
            _quietly(lambda: self.client.delete_registered_model_alias(f"cemrisk-{outcome}", alias))
        else:
            self.client.set_registered_model_alias(f"cemrisk-{outcome}", alias, version)

    @_answering()
    def record(self, version: Version, decision: Mapping[str, Any]) -> None:
        """Keep a decision with the version that it is about."""
        text = json.dumps(decision, sort_keys=True)
        self.client.set_model_version_tag(f"cemrisk-{version.outcome}", version.version, "decision", text)
        self.client.log_text(version.run_id, text, "decision.json")

    @_answering()
    def attach(self, version: Version, name: str, text: str) -> None:
        """Put a document beside the model of a version."""
        self.client.log_text(version.run_id, text, name)

    @_answering()
    def document(self, version: Version, name: str) -> bytes | None:
        """A file of the version's run, such as ``evaluation.json`` or ``figures/shap_summary.png``; None if absent."""
        inside, _, _ = name.rpartition("/")
        if name not in {entry.path for entry in self.client.list_artifacts(version.run_id, inside or None)}:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(self.client.download_artifacts(version.run_id, name, folder)).read_bytes()

    @_answering()
    def run_facts(self, version: Version) -> tuple[dict[str, str], dict[str, str]]:
        """Parameters and tags of the version's run, those of MLflow itself left out."""
        data = self.client.get_run(version.run_id).data
        return dict(data.params), {name: value for name, value in data.tags.items() if not name.startswith("mlflow.")}

    @_answering()
    def folder(self, version: Version) -> Path:
        """The version's own model folder on this machine."""
        mlflow.set_tracking_uri(self.uri)
        found = self.client.get_model_version(f"cemrisk-{version.outcome}", version.version)
        local = mlflow.artifacts.download_artifacts(artifact_uri=found.source)
        inside = Path(local) / "artifacts"
        return next(path.parent for path in inside.rglob("manifest.json"))


def _be_quiet() -> None:
    """No word home, nothing on the terminal about tables and downloads, and no minute of waiting for a dead server."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds without a byte
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that made a run still lives.

    Of another machine nothing can be said, so it counts as alive. A process that has the number of a dead one (in a
    container the numbers come round soon) is told apart by when it began.
    """
    if tags.get("cemrisk.host") != os.uname().nodename:
        return True
    try:
        pid = int(tags.get("cemrisk.pid", ""))
        os.kill(pid, 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # it is there, and somebody else's
        pass
    return tags.get("cemrisk.pid_since", "") == _since(pid)


def _since(pid: int) -> str:
    """When a process began, in the clock ticks that Linux counts; empty where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[19]  # the name, in brackets, may hold blanks; field 22 of proc(5)


def _quietly(call: Any) -> None:
    """Do something that may have been done already."""
    try:
        call()
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            raise
