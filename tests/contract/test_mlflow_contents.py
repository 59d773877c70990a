"""What a training leaves in MLflow: numbers that can be compared, figures, and nothing of a single patient."""

from __future__ import annotations

import json
import struct
from itertools import chain
from pathlib import Path

import mlflow
import numpy as np
import pytest

from features.dictionary import fingerprint
from tests.trained import CANARIES, CANARY_CENTRE, CANARY_DATE, CANARY_PATIENT, trained
from training.tracking import Store, Version

LEARNERS = {"leakage": ["logistic", "cox", "boosted"], "refracture": ["cox", "boosted"]}
METRICS = (
    "auc",
    "concordance",
    "calibration_in_the_large",
    "calibration_slope",
    "ici",
    "e90",
    "brier",
    "scaled_brier",
    "log_loss",
    "net_benefit_10",
    "net_benefit_20",
    "net_benefit_30",
)


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(trained().home)


@pytest.fixture(params=LEARNERS)
def versions(request, store) -> list[Version]:
    return store.versions(request.param)


def test_two_experiments_with_a_finished_run_per_learner(store) -> None:
    named = {e.name: e for e in store.client.search_experiments() if e.name != "Default"}
    assert set(named) == set(LEARNERS)
    for name, learners in LEARNERS.items():
        runs = store.client.search_runs([named[name].experiment_id])
        assert sorted(run.data.tags["learner"] for run in runs) == sorted(learners)
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert {run.data.tags["validation"] for run in runs} == {"cv"}


def test_versions_carry_what_tells_them_apart(store, versions) -> None:
    outcome = versions[0].outcome
    assert [v.learner for v in versions] == LEARNERS[outcome]
    assert len({v.training_id for v in versions}) == 1
    for version in versions:
        kept = store.client.get_model_version(f"cemrisk-{outcome}", version.version).tags
        assert {"learner", "role", "training_id", "sha256", "data_status"} <= set(kept)
        assert kept["data_status"] == "synthetic"


def test_every_metric_of_the_contract_has_its_interval(versions) -> None:
    ends = [""] if versions[0].outcome == "leakage" else ["_m3", "_m12", "_m24"]
    for version in versions:
        for name in [metric + end for metric in METRICS for end in ends]:
            low, value, high = (version.metrics[name + end] for end in ("_lo", "", "_hi"))
            assert low <= value <= high, name
        base = [version.metrics[f"log_loss_base{end}"] for end in ends]
        assert np.isfinite(base).all()


def test_parameters_say_what_was_trained_from_what(store, versions) -> None:
    for version in versions:
        found = store.client.get_run(version.run_id).data.params
        assert found["dictionary_fingerprint"] == fingerprint()
        assert len(found["data_digest"]) == 64
        assert (found["seed"], found["moment"], found["learner"]) == ("1", "preop", version.learner)
        assert int(found["rows"]) >= int(found["patients"]) > 1_000


def test_figures_are_there_and_are_pictures(store, versions) -> None:
    ends = [""] if versions[0].outcome == "leakage" else ["_m3", "_m12", "_m24"]
    expected = {f"figures/{kind}{end}.png" for kind in ("calibration", "decision_curve") for end in ends}
    for version in versions:
        also = {"figures/summary.png"} | ({"figures/shap_summary.png"} if version.learner == "boosted" else set())
        found = {entry.path for entry in store.client.list_artifacts(version.run_id, "figures")}
        assert found == expected | also
        for name in found:
            path = mlflow.artifacts.download_artifacts(
                run_id=version.run_id, artifact_path=name, tracking_uri=store.uri
            )
            assert Path(path).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def held(trees: bool) -> list[tuple[str, str]]:
    """Canaries found in the home folder, as text or as the bytes of a 32 or 64 bit float, and the file that holds each.

    ``trees``: in the trees of boosted models alone, or in all other files.
    """
    home = trained().home
    wanted = {text: _spellings(text) for text in chain.from_iterable(CANARIES.values())}
    wanted |= {text: {text.encode()} for text in (CANARY_PATIENT, CANARY_CENTRE, CANARY_DATE, "SIM-0")}
    files = [path for path in home.rglob("*") if path.is_file() and (path.name == "trees.ubj") == trees]
    assert files
    return [
        (name, str(path.relative_to(home)))
        for path in files
        for content in [path.read_bytes()]
        for name, spellings in wanted.items()
        if any(spelling in content for spelling in spellings)
    ]


def test_no_value_of_a_patient_is_kept_in_any_file_but_trees() -> None:
    assert held(trees=False) == []


def test_no_value_of_a_patient_is_kept_in_trees() -> None:
    assert held(trees=True) == []


def test_the_search_would_find_them() -> None:
    content = trained().export.read_bytes()
    for text in chain.from_iterable(CANARIES.values()):
        assert content.count(text.encode()) == 1
    assert struct.pack(">f", 61.73519) in _spellings("61.73519")
    assert CANARY_PATIENT.encode() in content
    assert content.count(CANARY_DATE.encode()) == 1


def _spellings(text: str) -> set[bytes]:
    value = float(text)
    numbers = {struct.pack(order + kind, value) for order in "<>" for kind in "fd"}
    return numbers | {text.encode(), json.dumps(value).encode(), repr(float(np.float32(value))).encode()}
