"""Questions asked after surgery, over HTTP: their own model and variables, and preoperative answers untouched."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import cemrisk
from features.after_surgery import LANDMARK_DAY
from features.build import Outcome, build
from features.dictionary import Moment
from features.outcome import HORIZON_DAYS
from features.records import to_columns
from serving.app import create_app
from serving.query_log import LogSettings, QueryLog
from serving.schema import read_question
from serving.served import Served
from serving.switch import Standing, Stop
from tests.service.client import Client
from tests.service.questions import EXAMPLE, Change, patient, question, vertebra
from tests.trained import at_home

Shelf = Mapping[Outcome, Served]
#: What the first images showed of the example's vertebra.
SHOWN: dict[str, Any] = {
    "cement_volume_ml": 4.2,
    "distribution_abc": "B",
    "endplate_contact": "both",
    "cement_pattern": "interdigitated",
    "leak_routes": ["B", "D"],
    "leak_modality": "CT",
    "leak_detected_days": 1,
    "fvah_postop_mm": 20.4,
    "lka_deg": 15.0,
    "lka_postop_deg": 10.5,
}


def _body(*changes: Change) -> dict[str, Any]:
    body = question(vertebra(**SHOWN)) | {"moment": "postop"}
    for change in changes:
        change(body)
    return body


@pytest.fixture(scope="module")
def client(served: Shelf) -> Client:
    return Client(create_app(lambda: served))


def _ask(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/risk", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_answer_is_that_of_the_postoperative_model(client: Client, served: Shelf) -> None:
    found, model = _ask(client, _body()), served["refracture-postop"].model
    matrix = build(to_columns(read_question(_body()).records), "refracture-postop", moment=Moment.POSTOP)
    for place, days in enumerate(HORIZON_DAYS.values()):
        assert found["refracture"]["risk"][place] == pytest.approx(model.risk(matrix, days)[0], abs=1e-9)
    causes = np.array([*found["refracture"]["causes"].values(), found["refracture"]["death"]])
    np.testing.assert_allclose(causes, model.cumulative_incidence(matrix, tuple(HORIZON_DAYS.values()))[0], atol=1e-9)
    assert found["leakage"] is None and found["moment"] == "postop"
    assert list(found["models"]) == ["refracture"]
    assert found["models"]["refracture"]["name"] == "cemrisk-refracture-postop"
    assert (found["refracture"]["landmark_day"], found["refracture"]["horizons_months"]) == (LANDMARK_DAY, [3, 12, 24])


def test_the_answer_has_the_form_that_is_described(client: Client) -> None:
    document = client.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Answer", "components": document["components"]}
    jsonschema.validate(_ask(client, _body()), schema, jsonschema.Draft202012Validator)


def test_what_the_operation_showed_moves_the_risk_and_is_explained(client: Client) -> None:
    explained = _ask(client, _body())["refracture"]["explanation"]
    told = {entry["variable"]: entry for entry in explained["contributions"]}
    assert told["leak_routes"]["value"] == "disc" and told["endplate_contact"]["value"] == "both"
    assert told["fvahr_mm"]["value"] == pytest.approx(20.4 - EXAMPLE["vertebrae"][0]["fvah_mm"])
    assert told["lka_recovery_deg"]["value"] == pytest.approx(4.5)
    assert "planned_volume_ml" not in told and len(told) == len(explained["contributions"])
    total = explained["base"] + sum(entry["contribution"] for entry in explained["contributions"])
    assert total == pytest.approx(explained["total"], abs=1e-9)
    better = _ask(client, _body(vertebra(leak_routes=["none"], leak_detected_days=None)))["refracture"]["risk"]
    assert better != _ask(client, _body())["refracture"]["risk"]


def test_only_what_is_still_open_can_be_changed(client: Client) -> None:
    changes = _ask(client, _body(patient(anti_osteoporosis_plan="none")))["refracture"]["what_if"]
    assert {change["variable"] for change in changes} == {"anti_osteoporosis_plan"} and len(changes) == 1
    before = _ask(client, question(patient(anti_osteoporosis_plan="none")))["refracture"]["what_if"]
    assert {"procedure", "planned_volume_ml"} <= {change["variable"] for change in before}


def test_unknowns_are_named_for_the_vertebra_that_lacks_them(client: Client) -> None:
    body = _body(lambda b: b["vertebrae"].append({"level": "L2", "leak_routes": ["none"], "leak_modality": "CT"}))
    missing = _ask(client, body)["missing"]
    assert {entry["outcome"] for entry in missing} == {"refracture"}
    places = {(entry["variable"], entry["level"]) for entry in missing}
    assert ("endplate_contact", "L2") in places and ("endplate_contact", "L1") not in places
    assert not {"leak_routes"} & {variable for variable, _ in places}
    assert all(entry["lowest_risk"] <= entry["highest_risk"] for entry in missing)


def test_an_unassessed_leak_is_weighed_over_what_it_could_be(client: Client) -> None:
    body = _body(lambda b: [b["vertebrae"][0].pop(name) for name in SHOWN if name.startswith("leak")])
    (found,) = [entry for entry in _ask(client, body)["missing"] if entry["variable"] == "leak_routes"]
    each = [
        _ask(client, _body(vertebra(leak_routes=routes, leak_detected_days=None)))["refracture"]["risk"][1]
        for routes in (["none"], ["B"], ["D"])
    ]
    assert (found["lowest_risk"], found["highest_risk"]) == (pytest.approx(min(each)), pytest.approx(max(each)))


def test_a_leak_found_too_late_counts_as_unknown_and_is_said(client: Client) -> None:
    late = _ask(client, _body(vertebra(leak_detected_days=LANDMARK_DAY + 30)))
    said = [entry for entry in late["warnings"] if entry["code"] == "leak_after_landmark"]
    assert [(entry["variable"], entry["level"]) for entry in said] == [("leak_routes", "L1")]
    told = {entry["variable"]: entry["value"] for entry in late["refracture"]["explanation"]["contributions"]}
    assert told["leak_routes"] is None
    assert not [entry for entry in _ask(client, _body())["warnings"] if entry["code"] == "leak_after_landmark"]


@pytest.mark.parametrize("name", sorted(SHOWN.keys() - {"lka_deg"}))
def test_what_the_operation_showed_is_refused_before_it(client: Client, name: str) -> None:
    response = client.post("/v1/risk", json=question(vertebra(**{name: SHOWN[name]})))
    assert response.status_code == 422
    assert {"pointer": f"/vertebrae/0/{name}", "code": "known_later"}.items() <= response.json()["errors"][0].items()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [(patient(refracture="none"), "/patient/refracture"), (patient(last_seen_days=400), "/patient/last_seen_days")],
)
def test_the_follow_up_is_refused_after_surgery_too(client: Client, change: Change, pointer: str) -> None:
    response = client.post("/v1/risk", json=_body(change))
    assert response.status_code == 422
    assert (response.json()["errors"][0]["pointer"], response.json()["errors"][0]["code"]) == (pointer, "known_later")


def test_preoperative_answers_are_the_same_with_and_without_it(served: Shelf) -> None:
    without = Client(create_app(lambda: {name: served[name] for name in ("leakage", "refracture")}))
    both = [_ask(client, question()) for client in (without, Client(create_app(lambda: served)))]
    for found in both:
        del found["request_id"], found["answered_at"]
    assert json.dumps(both[0]) == json.dumps(both[1])
    assert both[0]["refracture"]["landmark_day"] == 0


def test_a_batch_may_ask_before_and_after(client: Client) -> None:
    found = client.post("/v1/risk/batch", json={"cases": [question(), _body()]}).json()["cases"]
    assert [case["answer"]["moment"] for case in found] == ["preop", "postop"]


def test_the_model_is_listed_with_its_card(client: Client) -> None:
    assert set(client.get("/v1/models").json()["models"]) == {"leakage", "refracture", "refracture-postop"}
    card = client.get("/v1/models/refracture-postop").json()
    assert (card["name"], card["outcome"]) == ("cemrisk-refracture-postop", "refracture-postop")


def test_a_stopped_model_stops_the_questions_of_its_moment_only(served: Shelf) -> None:
    stop = Stop("under review", "2024-01-01T00:00:00Z", "nobody")
    for stopped, refused in (("refracture-postop", _body()), ("leakage refracture", question())):
        standing = Standing(served, {name: stop for name in served if name in stopped.split()})
        client = Client(create_app(lambda standing=standing: standing))
        found = client.post("/v1/risk", json=refused)
        assert (found.status_code, found.json()["code"]) == (503, "model_stopped") and "under review" in found.text
        other = question() if refused["moment"] == "postop" else _body()
        assert client.post("/v1/risk", json=other).status_code == 200


def test_the_page_asks_at_each_moment_what_is_known_then(client: Client) -> None:
    described = {one["name"]: one for one in client.get("/v1/dictionary").json()["variables"]}
    form = {name: one["form"] for name, one in described.items()}
    assert described["lka_deg"]["used_by"] == ["refracture-postop"]
    assert form["lka_deg"] == {"preop": None, "postop": "more"}
    assert form["hu_l1"] == {"preop": "first", "postop": "first"}
    assert form["endplate_contact"] == {"preop": None, "postop": "first"} and not described["endplate_contact"]["asked"]
    assert form["planned_viscosity"] == {"preop": "first", "postop": None}
    assert form["of_type"] == form["malignancy"] == {"preop": "first", "postop": "first"}  # they decide the scope
    assert form["refracture"] == form["patient_id"] == {"preop": None, "postop": None}


def test_the_log_asks_the_same_model_again(home: Path, served: Shelf, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home, tmp_path / "home"))
    place = LogSettings.of(own, {"CEMRISK_LOG_INPUTS": "1"})
    answered = _ask(Client(create_app(lambda: served, log=QueryLog("test", place))), _body())
    said = io.StringIO()
    with at_home(own), contextlib.redirect_stdout(said):
        assert cemrisk.main(["log", "show", answered["request_id"], "--json"]) == 0
    found = json.loads(said.getvalue())["replay"]
    assert (found["result"], found["answer"]) == ("same", answered)
