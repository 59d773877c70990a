"""``cemrisk log`` as an administrator runs it, on a log that the application wrote."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cemrisk
from features.build import Outcome
from models.release import load_release, write_release
from serving.app import create_app
from serving.query_log import LogSettings, QueryLog
from serving.served import Served
from tests.service.client import Client
from tests.service.questions import EXAMPLE, patient, question
from tests.trained import at_home


@dataclass(frozen=True)
class Asked:
    """``home`` of a service that answered EXAMPLE twice; ``kept``: the one whose question was kept."""

    home: Path
    kept: dict[str, Any]
    other: dict[str, Any]


@pytest.fixture
def asked(home: Path, served: Mapping[Outcome, Served], tmp_path: Path) -> Asked:
    own = Path(shutil.copytree(home, tmp_path / "home"))
    answers = []
    for keep in ("1", "0"):
        place = LogSettings.of(own, {"CEMRISK_LOG_INPUTS": keep})
        client = Client(create_app(lambda: served, log=QueryLog("test", place)))
        answers.append(client.post("/v1/risk", json=EXAMPLE).json())
    return Asked(own, *answers)


def _run(asked: Asked, *arguments: str) -> int:
    with at_home(asked.home):
        return cemrisk.main(["log", *arguments])


def test_a_whole_log_is_said_to_be_whole(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(asked, "verify", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["whole"], found["records"], found["anchored"], found["faults"]) == (True, 2, 2, [])
    assert _run(asked, "verify", "--head", found["head"]) == 0
    assert _run(asked, "verify", "--public-key", str(asked.home / "query_log.pub")) == 0
    assert "the log is whole: 2 records" in capsys.readouterr().out


def test_a_log_set_back_together_with_its_anchor_is_found_by_a_noted_head(
    asked: Asked, capsys: pytest.CaptureFixture[str], served: Mapping[Outcome, Served]
) -> None:
    """The one thing that nobody finds without a note: an older state of everything."""
    before = asked.home.with_name("before")
    shutil.copytree(asked.home, before)
    client = Client(create_app(lambda: served, log=QueryLog("test", LogSettings.of(asked.home, {}))))
    client.post("/v1/risk", json=EXAMPLE)
    assert _run(asked, "verify", "--json") == 0
    noted = json.loads(capsys.readouterr().out)["head"]
    older = Asked(before, asked.kept, asked.other)
    assert _run(older, "verify") == 0
    assert _run(older, "verify", "--head", noted) == 18
    assert "records were cut off" in capsys.readouterr().out


def test_a_tampered_log_and_a_damaged_file(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    file = asked.home / "query_log" / "log.db"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE entries SET content = replace(content, 'preop', 'postop') WHERE seq = 1")
    database.close()
    assert _run(asked, "verify") == 18
    assert "FAULT record 1: is not what was written" in capsys.readouterr().out
    file.write_bytes(b"x" * 8192)
    (file.parent / "log.db-wal").unlink(missing_ok=True)
    assert _run(asked, "verify") == 18
    assert "damaged" in capsys.readouterr().err


def test_a_kept_question_is_answered_again_bit_for_bit(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(asked, "show", asked.kept["request_id"], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["replay"]["result"] == "same"
    assert found["replay"]["answer"] == asked.kept and found["question"] == EXAMPLE
    assert _run(asked, "show", asked.kept["request_id"]) == 0
    assert "bit for bit" in capsys.readouterr().out


def test_models_that_are_no_longer_in_force_are_asked(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    _promote(asked.home, "leakage", "boosted")
    assert _run(asked, "show", asked.kept["request_id"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["replay"]["result"] == "same"
    for folder in (asked.home / "released" / "leakage").glob("v*"):
        if json.loads((folder / "release.json").read_text())["champion"] != "boosted":
            shutil.rmtree(folder)
    assert _run(asked, "show", asked.kept["request_id"], "--json") == 0
    found = json.loads(capsys.readouterr().out)["replay"]
    assert found["result"] == "not_possible" and "no longer" in found["why"]


def test_a_question_that_was_not_kept_can_be_brought(
    asked: Asked, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert _run(asked, "show", asked.other["request_id"]) == 0
    assert "--input FILE" in capsys.readouterr().out
    file = tmp_path / "question.json"
    file.write_text(json.dumps(dict(reversed(EXAMPLE.items())), indent=3))  # another order, other blanks
    assert _run(asked, "show", asked.other["request_id"], "--input", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["replay"]["answer"] == asked.other
    file.write_text(json.dumps(question(patient(age_years=74))))
    assert _run(asked, "show", asked.other["request_id"], "--input", str(file)) == 10


def test_what_a_model_touched(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    champion = asked.kept["models"]["leakage"]
    fellow = champion["by_learner"]["boosted"]["sha256"]
    for digest, role in ((champion["sha256"], "champion"), (fellow[:12].upper(), "fellow")):
        assert _run(asked, "affected", "--model", digest, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert [one["id"] for one in found["answers"]] == [asked.kept["request_id"], asked.other["request_id"]]
        assert {one["role"] for one in found["answers"]} == {role}
    assert _run(asked, "affected", "--model", "0" * 64) == 0
    assert capsys.readouterr().out == "0 answers\n"


@pytest.mark.parametrize(
    "arguments", [("show", "0" * 32), ("affected", "--model", "xyz"), ("verify", "--head", "first")]
)
def test_what_cannot_be_meant(asked: Asked, arguments: tuple[str, ...]) -> None:
    assert _run(asked, *arguments) == 2


def test_without_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with at_home(tmp_path):
        assert cemrisk.main(["log", "verify"]) == 17
    assert "no query log yet" in capsys.readouterr().err


def _promote(home: Path, outcome: Outcome, champion: str) -> None:
    before = load_release(home, outcome)
    assert before is not None
    folders = {learner: home / "models" / outcome / learner for learner in before.models}
    write_release(home, outcome, champion, folders, dict.fromkeys(folders, "9"), "training-2")
