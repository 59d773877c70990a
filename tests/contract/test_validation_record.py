"""``validation.json`` as a training leaves it: its schema, its numbers against those of the run, nobody's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cemrisk
from tests.trained import CANARY_CENTRE, at_home, trained, write_export
from training.tracking import Store, Version
from training.validate.record import NAME, SCHEMA

KEYS = {
    "schema", "outcome", "learner", "rows", "patients", "judged_at_months", "headline", "cross_validation", "bootstrap",
    "temporal", "centres", "subgroups", "contrasts",
}  # fmt: skip


def read(store: Store, version: Version) -> dict[str, Any]:
    text = Path(store.client.download_artifacts(version.run_id, NAME)).read_text(encoding="utf-8")
    assert CANARY_CENTRE not in text
    assert "NaN" not in text
    return json.loads(text)


@pytest.fixture(params=["leakage", "refracture"])
def records(request) -> list[tuple[Version, dict[str, Any]]]:
    store = Store(trained().home)
    return [(version, read(store, version)) for version in store.versions(request.param)]


def test_the_record_has_its_schema_and_the_numbers_of_the_run(records) -> None:
    for version, record in records:
        assert set(record) >= KEYS
        assert (record["schema"], record["learner"], record["headline"]) == (SCHEMA, version.learner, "cv")
        for name, one in record["cross_validation"]["metrics"].items():
            if one["value"] is not None:
                assert version.metrics[name] == one["value"]
                assert one["lo"] is None or one["lo"] <= one["hi"]
        assert "--bootstrap" in record["bootstrap"]["reason"]


def test_splits_in_time_and_by_centre_are_there_or_say_why_not(records) -> None:
    for version, record in records:
        assert record["temporal"]["reason"] == ""
        assert record["temporal"]["metrics"]
        if version.learner == "boosted":
            assert "run with --bootstrap" in record["centres"]["reason"]
        else:
            each = record["centres"]["each"]
            assert [one["centre"] for one in each] == [f"centre {n}" for n in range(1, len(each) + 1)]
            assert all(bool(one["metrics"]) != bool(one["reason"]) for one in each)
            assert {"oe", "calibration_slope", "auc"} <= set(record["centres"]["metrics"])


def test_subgroups_of_every_kind(records) -> None:
    for version, record in records:
        kinds = {"sex", "age", "procedure", "treated", "centre"}
        kinds |= {"detection"} if version.outcome == "leakage" else set()
        assert {one["by"] for one in record["subgroups"]} == kinds


def test_contrasts_are_the_differences_of_the_runs(records) -> None:
    metrics = {version.learner: version.metrics for version, _ in records}
    end = "" if records[0][0].outcome == "leakage" else "_m12"
    for version, record in records:
        assert len(record["contrasts"]) == len(records) - 1
        for pair in record["contrasts"]:
            assert version.learner in (pair["first"], pair["second"])
            difference = metrics[pair["first"]][f"auc{end}"] - metrics[pair["second"]][f"auc{end}"]
            assert pair["metrics"]["auc"]["value"] == pytest.approx(difference, abs=1e-12)


@pytest.mark.slow
def test_a_training_with_the_bootstrap_corrects_what_it_registers(tmp_path, capsys) -> None:
    export = write_export(tmp_path, 600)
    with at_home(tmp_path / "home"):
        command = ["train", str(export), "--outcome", "leakage", "--learner", "logistic", "--bootstrap", "20"]
        assert cemrisk.main(command) == 0
    said = capsys.readouterr()
    store = Store(tmp_path / "home")
    (version,) = store.versions("leakage")
    record = read(store, version)
    assert record["headline"] == "bootstrap"
    assert store.client.get_run(version.run_id).data.tags["validation"] == "bootstrap"
    rows = record["bootstrap"]["metrics"]
    assert (record["bootstrap"]["resamples"], set(rows)) == (20, set(record["cross_validation"]["metrics"]) & set(rows))
    for name in ("auc", "calibration_slope", "brier", "ici", "log_loss", "net_benefit_20"):
        assert version.metrics[name] == rows[name]["value"]
        assert (version.metrics[f"{name}_lo"], version.metrics[f"{name}_hi"]) == (rows[name]["lo"], rows[name]["hi"])
    assert rows["auc"]["value"] == pytest.approx(rows["auc"]["apparent"] - rows["auc"]["optimism"])
    assert rows["auc"]["optimism"] > 0
    assert "bootstrap" in said.out


def test_a_few_resamples_are_wrong_usage(tmp_path, capsys) -> None:
    with at_home(tmp_path / "home"):
        assert cemrisk.main(["train", "export.csv", "--bootstrap", "5"]) == 2
    assert "--bootstrap: from 20" in capsys.readouterr().err
