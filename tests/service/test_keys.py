"""Access keys: kept by their hash, seen by a worker at once, and nobody is let in when their file cannot be trusted."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import datetime
from pathlib import Path

import pytest

import cemrisk
from features.errors import UsageError
from serving import keys
from serving.keys import Keyring, KeysUnreadable
from serving.policy import Role


def _fresh(home: Path) -> Keyring:
    return Keyring(home)


def test_a_key_is_found_by_its_text_and_kept_by_its_hash_only(tmp_path: Path) -> None:
    key, text = keys.create(tmp_path, "EHR", [Role.ASK, Role.ADMINISTER])
    stored = (tmp_path / "keys.json").read_text()
    secret = text.rpartition(f"{key.id}_")[2]
    assert len(secret) >= 43 and secret not in stored
    assert _fresh(tmp_path).find(text.encode()) == key
    assert _fresh(tmp_path).find(text.encode() + b"x") is None and _fresh(tmp_path).find(b"") is None
    assert key.roles == (Role.ADMINISTER, Role.ASK)


def test_the_file_is_its_owners_alone_and_no_other_file_is_left(tmp_path: Path) -> None:
    keys.create(tmp_path, "EHR", [Role.ASK])
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_states_follow_time_and_revocation(tmp_path: Path) -> None:
    lasting, _ = keys.create(tmp_path, "lasting", [Role.ASK], days=None)
    short, _ = keys.create(tmp_path, "short", [Role.ASK], days=1)
    made = datetime.fromisoformat(short.created_at).timestamp()
    assert [short.state(made + at) for at in (0, 86_399, 86_400)] == ["good", "good", "expired"]
    assert lasting.state(made + 1e9) == "good"
    gone = keys.revoke(tmp_path, short.id)
    assert gone.state(made) == "revoked" and keys.revoke(tmp_path, short.id) == gone
    assert [key.id for key in keys.read(tmp_path)] == [lasting.id, short.id]


@pytest.mark.parametrize("name", ["", "x" * 81, "two\nlines"])
def test_names_that_would_spoil_a_list(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        keys.create(tmp_path, name, [Role.ASK])


@pytest.mark.parametrize("days", [0.0, -1.0, 4000.0, float("nan")])
def test_times_that_make_no_sense(tmp_path: Path, days: float) -> None:
    with pytest.raises(UsageError):
        keys.create(tmp_path, "EHR", [Role.ASK], days)


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    made = [threading.Thread(target=keys.create, args=(tmp_path, f"system {n}", [Role.ASK])) for n in range(16)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    assert {key.name for key in keys.read(tmp_path)} == {f"system {n}" for n in range(16)}


def test_a_keyring_follows_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_SECONDS", 0.0)
    ring = Keyring(tmp_path)
    assert not ring.in_use
    key, text = keys.create(tmp_path, "EHR", [Role.ASK])
    assert ring.in_use and ring.find(text.encode()) == key
    revoked = keys.revoke(tmp_path, key.id)
    assert ring.find(text.encode()) == revoked


def test_a_file_that_vanishes_locks_out_instead_of_letting_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_SECONDS", 0.0)
    _, text = keys.create(tmp_path, "EHR", [Role.ASK])
    ring = Keyring(tmp_path)
    assert ring.in_use
    (tmp_path / "keys.json").unlink()
    assert ring.in_use and ring.find(text.encode()) is None
    assert Keyring(tmp_path / "nowhere", required=True).in_use


DAMAGED = {
    "cut off": lambda text: text[: len(text) // 2],
    "another format": lambda text: text.replace('"format": 1', '"format": 9'),
    "no list": lambda text: "[]",
    "role of no list": lambda text: text.replace('"ask"', '"root"'),
    "time of no kind": lambda text: json.dumps(
        {"format": 1, "keys": [json.loads(text)["keys"][0] | {"expires_at": "tomorrow"}]}
    ),
    "surplus field": lambda text: text.replace('"name"', '"nom"'),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_cannot_be_read_lets_nobody_in_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_SECONDS", 0.0)
    _, text = keys.create(tmp_path, "EHR", [Role.ASK])
    file = tmp_path / "keys.json"
    good = file.read_text()
    file.write_text(damage(good))  # type: ignore[operator]
    ring = Keyring(tmp_path)
    for _ in range(3):
        with pytest.raises(KeysUnreadable):
            ring.find(text.encode())
    assert caplog.text.count("nobody is let in") == 1
    with pytest.raises(KeysUnreadable):
        keys.create(tmp_path, "another", [Role.ASK])
    file.write_text(good)
    os.utime(file, ns=(1, 1))
    assert ring.find(text.encode()) is not None


def test_the_verbs_print_the_key_once_and_the_rest_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CEMRISK_HOME", str(tmp_path))
    assert cemrisk.main(["keys", "list"]) == 0 and "no keys" in capsys.readouterr().out
    assert cemrisk.main(["keys", "create", "--role", "ask", "--role", "read-log", "--name", "EHR"]) == 0
    made = capsys.readouterr()
    text = made.out.strip()
    key = keys.Keyring(tmp_path).find(text.encode())
    assert key is not None and key.roles == (Role.ASK, Role.READ_LOG)
    assert text not in made.err and key.id in made.err and key.expires_at and key.expires_at in made.err
    assert cemrisk.main(["keys", "revoke", key.id]) == 0
    assert cemrisk.main(["keys", "list", "--json"]) == 0
    told = capsys.readouterr().out
    assert text.rpartition(f"{key.id}_")[2] not in told and key.sha256 not in told and '"revoked"' in told
    assert cemrisk.main(["keys", "revoke", "00000000"]) == 2
    assert "keys list" in capsys.readouterr().err
