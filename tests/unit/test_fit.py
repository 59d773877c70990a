"""The retraining job around the models: what it refuses, what the card says, and its folders."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.build import PREDICTORS
from features.errors import TooLittleData, UsageError
from features.registry import read_export
from tests.exports import DICTIONARY_HEADER, FIELDS, base, field, row, vertebra, write_flat, write_redcap, write_table
from tests.fitted import fitted, training_cohort
from tests.versions import empty_store
from training.fit import Job, card_of, people_of, train
from training.scratch import scratch, sweep
from training.validate import Validated


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_no_generator_takes_is_wrong_usage(seed) -> None:
    with pytest.raises(UsageError, match="--seed"):
        Job(Path("export.csv"), seed=seed)


def card(people=None):
    people = people or training_cohort("refracture")
    empty = np.zeros(0)
    result = Validated("cox", fitted("refracture", "cox"), empty, None, empty, {})
    return card_of(Job(Path("export.csv")), people, result, "t", "d")


def test_ranges_of_the_card_are_levels_or_lie_on_the_grid_around_nearly_all_patients() -> None:
    people, found = training_cohort("refracture"), card().training_range
    assert set(found) == set(people.matrix.columns)
    for predictor in PREDICTORS["refracture"]:
        values = people.matrix[predictor.name]
        values = values[np.isfinite(values)]
        low, high = found[predictor.name]
        if predictor.resolution:
            assert (low / predictor.resolution).is_integer() and (high / predictor.resolution).is_integer()
            assert 0.98 <= np.mean((values >= low) & (values <= high)) <= 1
            assert low > values.min() - predictor.resolution and high < values.max() + predictor.resolution
        else:
            assert (low, high) == (values.min(), values.max())


def test_a_column_that_nobody_has_is_left_out_of_the_card_without_a_warning() -> None:
    people = training_cohort("refracture")
    values = people.matrix.values.copy()
    values[:, people.matrix.columns.index("t_score")] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = card(replace(people, matrix=replace(people.matrix, values=values)))
    assert "t_score" not in found.training_range
    assert found.missing_share["t_score"] == 1


@pytest.mark.parametrize(("name", "status"), [("SIM-000007", "synthetic"), ("Jane Canary", "registry")])
def test_simulated_patients_stay_synthetic_when_the_dictionary_hides_who_they_are(tmp_path, name, status) -> None:
    fields = [entry if entry[0] != "full_name" else field("patient_id", "patient", identifier="y") for entry in FIELDS]
    dictionary = write_table(tmp_path / "hidden.csv", [DICTIONARY_HEADER, *fields])
    records, _ = write_redcap(tmp_path, [base("7"), vertebra("7", 1, "12", leak_routes___0="1")])
    text = records.read_text(encoding="utf-8").replace("full_name", "patient_id").replace("Jane Canary", name)
    records.write_text(text, encoding="utf-8")
    export = read_export(records, dictionary=dictionary)
    assert name not in str(export.accepted)
    assert people_of(export, "leakage").data_status == status


def test_outcome_columns_that_are_not_there_are_named(tmp_path) -> None:
    rows = [{name: cell for name, cell in row().items() if name not in ("died", "refracture")}]
    job = Job(write_flat(tmp_path / "export.csv", rows), outcomes=("refracture",))
    with pytest.raises(TooLittleData, match=r"no accepted row has a value of refracture, refracture_days, died$"):
        train(job, empty_store(tmp_path / "home"))


def _hold(home: str, made, done) -> None:
    with scratch(Path(home)):
        made.set()
        done.wait(60)


def test_a_sweep_takes_the_folders_that_nobody_holds(tmp_path) -> None:
    (tmp_path / "fit-left").mkdir()
    context = multiprocessing.get_context("spawn")
    made, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), made, done))
    other.start()
    assert made.wait(60)
    sweep(tmp_path)
    (held,) = tmp_path.glob("fit-*")
    assert held.name != "fit-left"
    done.set()
    other.join(60)
    assert not list(tmp_path.glob("fit-*"))


def test_a_folder_that_vanishes_under_the_sweep_is_no_error(tmp_path, monkeypatch) -> None:
    vanished = tmp_path / "fit-gone"
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([vanished]))
    sweep(tmp_path)


def test_nobody_sweeps_between_the_making_of_a_folder_and_its_lock(tmp_path, monkeypatch) -> None:
    opened = os.open

    def opening(path, *more):
        if Path(path).name.startswith("fit-"):
            with (tmp_path / "scratch.lock").open("w") as second, pytest.raises(BlockingIOError):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return opened(path, *more)

    monkeypatch.setattr(os, "open", opening)
    with scratch(tmp_path) as folder:
        assert folder.is_dir()
