"""The off switch and the trial of a bundle: what is stopped or unfit does not answer, and the probe says why."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cemrisk
from features.build import Outcome, outcomes_at
from features.dictionary import Moment
from features.errors import ModelDamaged, UsageError
from models.artifact import canonical
from models.release import OUTCOMES, in_force, put_in_force
from serving import switch, trial
from serving.app import create_app
from serving.shelf import Shelf
from tests.service.client import Client
from tests.service.questions import EXAMPLE


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    """A copy of the released models that a test may damage."""
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.fixture
def shelf(own_home: Path) -> Shelf:
    made = Shelf()
    made.refresh(own_home)
    return made


@pytest.fixture
def client(shelf: Shelf) -> Client:
    return Client(create_app(shelf.get, shelf=shelf))


def test_a_stopped_model_is_left_out_of_answers_that_say_why(client: Client, own_home: Path, shelf: Shelf) -> None:
    made = client.post("/v1/models/leakage/stop", json={"why": "wird geprüft 校准"}).json()
    assert (made["outcome"], made["why"], made["by"]) == ("leakage", "wird geprüft 校准", "nobody")
    answered = client.post("/v1/risk", json=EXAMPLE).json()
    assert answered["leakage"] is None and answered["refracture"]["risk"]
    said = [w for w in answered["warnings"] if w["outcome"] == "leakage" and w["code"] == "model_stopped"]
    assert said[0]["detail"] == "the model of leakage is stopped: wird geprüft 校准"
    assert "not_released" not in {w["code"] for w in answered["warnings"]}
    for path in ("/v1/models/leakage", "/v1/nomogram/leakage"):
        found = client.get(path)
        assert (found.status_code, found.json()["code"]) == (503, "model_stopped")
    ready = client.get("/readyz")
    assert ready.status_code == 200 and ready.json()["models"]["leakage"]["state"] == "stopped"
    assert client.post("/v1/models/leakage/resume").json() == {"outcome": "leakage", "was_stopped": True}
    assert client.post("/v1/risk", json=EXAMPLE).json()["leakage"]
    assert client.post("/v1/models/leakage/resume").json() == {"outcome": "leakage", "was_stopped": False}


def test_with_every_model_stopped_the_service_is_not_ready_and_says_why(client: Client, own_home: Path) -> None:
    for outcome in OUTCOMES:
        client.post(f"/v1/models/{outcome}/stop", json={"why": f"reason for {outcome}"})
    found = client.post("/v1/risk", json=EXAMPLE)
    assert (found.status_code, found.json()["code"]) == (503, "model_stopped")
    assert "reason for leakage" in found.json()["detail"] and "reason for refracture" in found.json()["detail"]
    assert client.get("/readyz").status_code == 503 and client.get("/livez").status_code == 200


def test_ready_is_what_answers_before_an_operation(client: Client, own_home: Path) -> None:
    for outcome in outcomes_at(Moment.PLANNED):
        assert client.get("/readyz").status_code == 200
        client.post(f"/v1/models/{outcome}/stop", json={"why": "is being checked"})
    found = client.get("/readyz")
    assert found.status_code == 503 and found.json()["ready"] is False
    assert found.json()["moments"] == {"preop": False, "postop": True}


def test_a_service_that_is_started_again_stays_stopped_and_damage_stops(own_home: Path) -> None:
    switch.stop(own_home, "leakage", "why", "test")
    shelf = Shelf()
    shelf.refresh(own_home)
    assert set(shelf.get()) == {*OUTCOMES} - {"leakage"}
    (own_home / "stopped" / "leakage.json").write_text("{")
    assert switch.stops(own_home) == {"leakage": switch.UNREADABLE}
    switch.resume(own_home, "leakage")
    assert shelf.refresh(own_home) and set(shelf.get()) == {*OUTCOMES}


@pytest.mark.parametrize("why", ["", " ", "two\nlines", "x" * 301, "\x00", "\x85"])
def test_reasons_that_cannot_be_shown(client: Client, own_home: Path, why: str) -> None:
    found = client.post("/v1/models/leakage/stop", json={"why": why})
    assert (found.status_code, found.json()["errors"][0]["pointer"]) == (422, "/why")
    with pytest.raises(UsageError):
        switch.stop(own_home, "leakage", why, "test")
    assert switch.stops(own_home) == {}


@pytest.mark.parametrize("body", [{}, [], {"why": "a", "more": 1}, {"why": 5}, "why"])
def test_requests_to_stop_that_are_none(client: Client, body: object) -> None:
    assert client.post("/v1/models/leakage/stop", json=body).status_code == 422
    assert client.post("/v1/models/both/stop", json={"why": "a"}).status_code == 404


def test_the_verbs_stop_and_resume(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEMRISK_HOME", str(own_home))
    assert cemrisk.main(["stop", "leakage", "--why", "is checked"]) == 0
    assert switch.stops(own_home)["leakage"].why == "is checked"
    assert cemrisk.main(["resume", "leakage"]) == 0 and not switch.stops(own_home)
    assert cemrisk.main(["stop", "both", "--why", "is checked"]) == 2


def _altered(home: Path, outcome: str = "leakage") -> None:
    """A bundle whose digests all fit and whose model is none, put in force: only parsing finds it out."""
    root = home / "released" / outcome
    pointed = in_force(home, "leakage")
    assert pointed is not None
    bundle = Path(shutil.copytree(root / pointed.split()[0], root / "altered"))
    described = json.loads((bundle / "release.json").read_bytes())
    folder = bundle / described["champion"]
    stored = json.loads((folder / "model.json").read_bytes())
    stored["body"] = {"kind": "nothing"}
    (folder / "model.json").write_bytes(canonical(stored))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["model.json"] = trial.hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_bytes(canonical(manifest))
    described["sha256"][described["champion"]] = trial.hashlib.sha256(
        (folder / "manifest.json").read_bytes()
    ).hexdigest()
    (bundle / "release.json").write_bytes(canonical(described))
    put_in_force(home, "leakage", "altered")


def test_an_unfit_bundle_leaves_the_old_one_and_is_told(client: Client, own_home: Path, shelf: Shelf) -> None:
    before = shelf.get()["leakage"]
    _altered(own_home)
    assert not shelf.refresh(own_home) and shelf.get()["leakage"] is before
    told = client.get("/readyz").json()
    assert "structure of a model" in told["refused"]["leakage"] and "stay in force" in told["refused"]["leakage"]
    assert told["models"]["leakage"]["state"] == "serving"


def test_a_trial_that_never_ends_or_dies_is_a_bundle_that_does_not_serve(
    own_home: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(own_home / ".tried")
    pointed = in_force(own_home, "leakage")
    assert pointed is not None
    monkeypatch.setattr(trial, "SECONDS", 0.01)
    with pytest.raises(ModelDamaged, match="did not load within"):
        trial.require_fit(own_home, "leakage", pointed)
    monkeypatch.setattr(trial, "SECONDS", 60)
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(ModelDamaged, match="the process that tried it"):
        trial.require_fit(own_home, "leakage", pointed)
    assert [path.name for path in (own_home / ".tried").iterdir()] == ["leakage.lock"]


def test_a_bundle_is_tried_once_and_a_damaged_one_never(
    own_home: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(trial, "_try", never)
    pointed = in_force(own_home, "leakage")
    assert pointed is not None
    trial.require_fit(own_home, "leakage", pointed)
    model = next((own_home / "released" / "leakage").glob("*/cox/model.json"))
    model.write_bytes(model.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ModelDamaged, match="sha256"):
        trial.require_fit(own_home, "leakage", pointed)


def test_of_several_who_see_a_bundle_one_tries_it(
    own_home: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(own_home / ".tried")
    really, tried = trial._try, []

    def counted(home: Path, outcome: Outcome, pointed: str) -> None:
        tried.append(outcome)
        really(home, outcome, pointed)

    monkeypatch.setattr(trial, "_try", counted)
    pointed = in_force(own_home, "leakage")
    assert pointed is not None
    with ThreadPoolExecutor() as threads, trial.ahead(own_home):
        list(threads.map(lambda _: trial.require_fit(own_home, "leakage", pointed), range(3)))
    assert sorted(tried) == sorted(OUTCOMES)


@pytest.mark.parametrize("name", ["release.json", "current"])
def test_no_flipped_bit_of_what_names_the_models_is_served(own_home: Path, shelf: Shelf, name: str) -> None:
    """Versions and champion are told in every answer; nothing else would notice that they changed."""
    root = own_home / "released" / "leakage"
    pointed = in_force(own_home, "leakage")
    assert pointed is not None
    file = root / name if name == "current" else root / pointed.split()[0] / name
    good, before = file.read_bytes(), shelf.get()["leakage"].identity
    for place in range(0, len(good) - 1, 11):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        put = root / "current"
        put.write_bytes(put.read_bytes())
        shelf.refresh(own_home)
        assert shelf.get()["leakage"].identity == before
