"""The model asked after surgery by the command line: trained, released, scored with, refused if there is none."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cemrisk
from features.build import build
from features.dictionary import Moment
from features.outcome import HORIZON_DAYS
from features.records import to_columns
from features.registry import read_export
from models.release import load_release
from tests.trained import at_home, trained


def run(home: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with at_home(home), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cemrisk.main([*words])
    return code, out.getvalue(), err.getvalue()


@cache
def after_surgery(home: Path) -> dict[str, object]:
    """Train and promote the Cox model on the shared export; what the training said."""
    code, said, err = run(
        home, "train", str(trained().export), "--moment", "postop", "--learner", "cox", "--seed", "1", "--json"
    )
    assert code == 0, err
    assert run(home, "promote", "refracture-postop", "1", "--force", "--why", "a test")[0] == 0
    report: dict[str, object] = json.loads(said)
    return report


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("after")


def test_without_a_release_nothing_is_scored(home: Path) -> None:
    code, _, err = run(home, "score", str(trained().export), "--out", str(home / "r.csv"), "--moment", "postop")
    assert code == 14 and "--moment postop" in err and not (home / "r.csv").exists()
    code, _, err = run(home, "promote", "refracture-postop")
    assert code == 14 and "cemrisk train EXPORT --moment postop" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--outcome", "leakage"), "no model after surgery"), (("--learner", "logistic"), "logistic does not exist")],
)
def test_what_has_no_model_after_surgery_is_wrong_usage(home: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = run(home, "train", str(trained().export), "--moment", "postop", *words)
    assert code == 2 and said in err


def test_a_training_says_who_did_not_reach_the_landmark(home: Path) -> None:
    (found,) = after_surgery(home)["trained"]  # type: ignore[misc]
    before = next(one for one in trained().report["trained"] if one["outcome"] == "refracture")
    early = {name: count for name, count in found["left_out"].items() if name.endswith("before_landmark")}
    assert set(early) == {"refracture_before_landmark", "died_before_landmark", "lost_before_landmark"}
    assert found["outcome"] == "refracture-postop" and before["rows"] == found["rows"] + sum(early.values())
    (version,) = found["versions"]
    assert {"auc_m12", "oe_same_m12", "calibration_slope_m12"} <= set(version["metrics"])


def test_scores_are_those_of_the_released_model(home: Path) -> None:
    after_surgery(home)
    out = home / "risks.csv"
    code, _, err = run(home, "score", str(trained().export), "--out", str(out), "--moment", "postop")
    assert code == 0
    assert "known only after the first images: died, last_seen_days, refracture, refracture_days" in err
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    export = read_export(trained().export)
    assert len(rows) == len(export.rows)
    release = load_release(home, "refracture-postop")
    assert release is not None
    alone = [place for place, row in enumerate(export.rows) if row.record.get("treated_count") == 1][:40]
    records = [dict(export.rows[place].record) for place in alone]
    matrix = build(to_columns(records), "refracture-postop", moment=Moment.POSTOP, patient=np.arange(40))
    for months, days in HORIZON_DAYS.items():
        found = [float(rows[place][f"refracture_risk_m{months}"]) for place in alone]
        assert found == pytest.approx(release.model.risk(matrix, days).tolist(), abs=1e-12)
    assert all(rows[place]["leak_risk"] == "" for place in alone)


def test_a_release_for_after_surgery_answers_no_question_before_it(home: Path) -> None:
    after_surgery(home)
    code, _, err = run(home, "score", str(trained().export), "--out", str(home / "no.csv"))
    assert code == 14 and "no model is released yet" in err


def test_versions_are_compared_apart(home: Path) -> None:
    after_surgery(home)
    code, out, _ = run(home, "compare", "--outcome", "refracture-postop")
    assert code == 0 and out.startswith("refracture-postop by 12 months after the landmark")
