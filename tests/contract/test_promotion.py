"""Promotion and rollback as a user meets them: exit codes, aliases, what the service answers from, and the record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import cemrisk
from models.release import load_release
from tests.versions import empty_store, register
from training.tracking import Store


@dataclass
class Desk:
    """A store with three versions of leakage: two that may be champion, and a Cox model of the first training."""

    home: Path
    store: Store

    def aliases(self) -> dict[str, str]:
        return {alias: version.version for version in self.store.versions("leakage") for alias in version.aliases}

    def served(self) -> tuple[str, str] | None:
        release = load_release(self.home, "leakage")
        return release and (release.champion, release.versions[release.champion])

    def decisions(self) -> list[dict]:
        path = self.home / "decisions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Desk:
    home = tmp_path / "home"
    monkeypatch.setenv("CEMRISK_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = empty_store(home)
    register(store, tmp_path / "1", training_id="first", log_loss=0.45)
    register(store, tmp_path / "2", learner="cox", training_id="first", log_loss=0.44)
    register(store, tmp_path / "3", training_id="second", calibration_slope=1.6)
    store.set_alias("leakage", "challenger", "1")
    return Desk(home, store)


def run(*arguments: str) -> int:
    return cemrisk.main([*arguments])


def test_without_a_number_the_challenger_is_promoted(desk, capsys) -> None:
    assert run("promote", "leakage") == 0
    assert "version 1 (logistic) is champion" in capsys.readouterr().out
    assert desk.aliases() == {"challenger": "1", "champion": "1"}
    assert desk.served() == ("logistic", "1")
    (decision,) = desk.decisions()
    assert (decision["action"], decision["version"], decision["forced"], decision["before"]) == (
        "promote",
        "1",
        False,
        None,
    )
    assert all(check["passed"] for check in decision["checks"])


def test_the_gate_refuses_by_its_own_exit_code_and_changes_nothing(desk, capsys) -> None:
    assert run("promote", "leakage", "3") == 15
    said = capsys.readouterr().err
    assert "calibration slope is 1.6, asked 0.8 to 1.25" in said
    assert desk.aliases() == {"challenger": "1"}
    assert (desk.served(), desk.decisions()) == (None, [])


def test_force_without_a_reason_is_wrong_usage(desk, capsys) -> None:
    assert run("promote", "leakage", "2", "--force") == 2
    assert run("promote", "leakage", "2", "--force", "--why", "  ") == 2
    assert "--why" in capsys.readouterr().err
    assert desk.decisions() == []


def test_a_forced_promotion_is_on_record_with_its_reason_and_what_failed(desk, capsys) -> None:
    assert run("promote", "leakage", "2", "--force", "--why", "as the paper did", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [printed] == desk.decisions()
    assert (printed["forced"], printed["why"]) == (True, "as the paper did")
    assert [check["name"] for check in printed["checks"] if not check["passed"]] == ["not a comparator"]
    release = load_release(desk.home, "leakage")
    assert release is not None
    assert release.champion == "cox"
    assert set(release.models) == {"cox", "logistic"}, "routes come from the logistic version of the same training"
    kept = desk.store.client.get_model_version("cemrisk-leakage", "2").tags["decision"]
    assert json.loads(kept) == printed


def test_force_where_nothing_fails_is_recorded_as_not_forced(desk) -> None:
    assert run("promote", "leakage", "1", "--force", "--why", "in a hurry") == 0
    assert desk.decisions()[0]["forced"] is False


def test_promote_promote_rollback_and_back(desk) -> None:
    assert run("promote", "leakage", "1") == 0
    assert run("promote", "leakage", "3", "--force", "--why", "trial") == 0
    assert desk.aliases() == {"challenger": "1", "champion": "3", "previous": "1"}
    assert run("rollback", "leakage", "--why", "slope") == 0
    assert desk.aliases() == {"challenger": "1", "champion": "1", "previous": "3"}
    assert desk.served() == ("logistic", "1")
    assert run("rollback", "leakage") == 15, "a champion that was forced past the gate comes back only with a reason"
    assert desk.served() == ("logistic", "1")
    assert run("rollback", "leakage", "--why", "trial again") == 0
    assert desk.served() == ("logistic", "3")
    told = [(d["action"], d["version"], d["before"]) for d in desk.decisions()]
    assert told == [("promote", "1", None), ("promote", "3", "1"), ("rollback", "1", "3"), ("rollback", "3", "1")]


def test_promoting_the_champion_again_keeps_previous(desk) -> None:
    for number in ("1", "2", "2"):
        assert run("promote", "leakage", number, "--force", "--why", "x") == 0
    assert desk.aliases()["previous"] == "1"


def test_what_is_not_there(desk, capsys) -> None:
    assert run("promote", "leakage", "9") == 2
    assert "no version 9; there are 1, 2, 3" in capsys.readouterr().err
    assert run("promote", "kyphosis") == 2
    assert run("promote", "refracture") == 14
    assert "cemrisk train" in capsys.readouterr().err


def test_a_rollback_without_a_way_back_says_why_and_what_to_do(desk, capsys) -> None:
    assert run("rollback", "kyphosis") == 2
    assert "must be one of leakage, refracture" in capsys.readouterr().err
    assert run("rollback", "refracture") == 14
    said = capsys.readouterr().err
    assert "nothing is trained for refracture yet: run cemrisk train" in said and "present one" not in said
    assert run("rollback", "leakage") == 14
    said = capsys.readouterr().err
    assert "has no champion yet" in said and "cemrisk promote leakage" in said and "present one" not in said
    assert run("promote", "leakage", "1") == 0
    capsys.readouterr()
    assert run("rollback", "leakage") == 14
    said = capsys.readouterr().err
    assert "no champion before the present one" in said and "cemrisk stop leakage" in said
    assert desk.aliases() == {"challenger": "1", "champion": "1"}


def test_without_a_challenger_the_gate_has_refused_them_all_and_says_why(desk, capsys) -> None:
    desk.store.set_alias("leakage", "challenger", None)
    assert run("promote", "leakage") == 15
    said = capsys.readouterr().err
    assert "  version 3 (logistic): calibration slope is 1.6, asked 0.8 to 1.25\n" in said
    assert "--force --why" in said


def test_compare_shows_every_version_with_alias_and_gate(desk, capsys) -> None:
    assert run("compare", "--outcome", "leakage") == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[:4] for line in lines[:3]] == [
        ["1", "logistic", "challenger", "passed"],
        ["2", "cox", "no", "1.000"],
        ["3", "logistic", "no", "1.000"],
    ]
    assert lines[3:] == [
        "not passed:",
        "  version 2 (cox): it is a comparator, kept to compare the other learners with",
        "  version 3 (logistic): calibration slope is 1.6, asked 0.8 to 1.25",
    ]
    assert run("compare", "--json") == 0
    told = json.loads(capsys.readouterr().out)["versions"]
    assert [row["metrics"]["log_loss"] for row in told] == [0.45, 0.44, 0.46]
