"""The routes in process: every bad question over HTTP, every error in one form, pages without another host."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from features.build import Outcome
from serving.app import create_app
from serving.served import Served
from tests.service.client import Client
from tests.service.questions import EXAMPLE, UNANSWERABLE, UNREADABLE, Change, patient, question

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def app(served: Mapping[Outcome, Served]) -> FastAPI:
    return create_app(lambda: served)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Client:
    return Client(app)


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def _schema(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


def _problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    found: dict[str, Any] = response.json()
    assert (response.status_code, response.headers["content-type"], found["code"]) == (status, PROBLEM, code)
    assert found["status"] == status and found["title"] and found["detail"]
    return found


@pytest.mark.parametrize(("change", "pointer", "code"), [r[1:] for r in UNANSWERABLE], ids=[r[0] for r in UNANSWERABLE])
def test_a_question_that_cannot_be_answered(
    client: Client, document: dict[str, Any], change: Change, pointer: str, code: str
) -> None:
    expected = "out_of_scope" if code == "out_of_scope" else "invalid_question"
    found = _problem(client.post("/v1/risk", json=question(change)), 422, expected)
    assert [(fault["pointer"], fault["code"]) for fault in found["errors"]] == [(pointer, code)]
    assert re.search(r"\b(exports?|rows?|copies|columns?|file)\b", found["errors"][0]["detail"]) is None  # of an export
    _schema(document, "Problem").validate(found)


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"), [r[1:] for r in UNREADABLE], ids=[r[0] for r in UNREADABLE]
)
def test_a_body_that_cannot_be_read(client: Client, body: bytes, media_type: str, status: int, code: str) -> None:
    _problem(client.post("/v1/risk", content=body, headers={"Content-Type": media_type}), status, code)


def test_an_answer_is_what_the_document_says(client: Client, document: dict[str, Any]) -> None:
    response = client.post("/v1/risk", json=EXAMPLE)
    assert response.status_code == 200
    _schema(document, "Answer").validate(response.json())
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"]["Question"])
    _schema(document, "Question").validate(EXAMPLE)


#: Faults that need a rule across variables or the moment of the question; the schema cannot tell them.
BY_RULE = {"known_later", "out_of_scope", "duplicate_vertebra", "treated_count_too_low", "bmi_disagrees"}


@pytest.mark.parametrize(
    ("change", "code"), [(row[1], row[3]) for row in UNANSWERABLE], ids=[row[0] for row in UNANSWERABLE]
)
def test_the_schema_refuses_what_the_service_refuses(document: dict[str, Any], change: Change, code: str) -> None:
    if code not in BY_RULE:
        assert not _schema(document, "Question").is_valid(question(change))


def test_every_operation_names_its_statuses(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/risk",
        "/v1/risk/batch",
        "/v1/dictionary",
        "/v1/models",
        "/v1/models/{outcome}",
        "/v1/nomogram/{outcome}",
        "/cds-services",
        "/cds-services/vertebral-augmentation-risk",
        "/cds-services/vertebral-augmentation-risk/feedback",
        "/fhir/$vertebral-augmentation-risk",
    }
    assert set(document["paths"]["/v1/risk"]["post"]["responses"]) == {
        *("200", "400", "401", "403", "408", "413", "415", "422", "429", "503")
    }


def test_a_batch_answers_each_case_in_its_place(client: Client, document: dict[str, Any]) -> None:
    cases = [EXAMPLE, question(patient(age_years=45)), "nothing", EXAMPLE]
    found = client.post("/v1/risk/batch", json={"cases": cases}).json()
    _schema(document, "BatchAnswer").validate(found)
    assert [case["answer"] is not None for case in found["cases"]] == [True, False, False, True]
    assert found["cases"][1]["problem"]["code"] == "out_of_scope"
    risks = [case["answer"]["leakage"][0]["risk"] for case in (found["cases"][0], found["cases"][3])]
    assert risks[0] == risks[1] == client.post("/v1/risk", json=EXAMPLE).json()["leakage"][0]["risk"]


@pytest.mark.parametrize(
    "body", [{"cases": []}, {"cases": [{}] * 1001}, {"cases": {}}, {}, [], {"cases": [], "more": 1}]
)
def test_a_batch_that_is_none(client: Client, body: Any) -> None:
    _problem(client.post("/v1/risk/batch", json=body), 422, "invalid_question")


def test_a_batch_may_be_larger_than_a_question_but_not_endless(client: Client) -> None:
    blanks = b" " * (300 * 1024)
    body = json.dumps({"cases": [EXAMPLE]}).encode()
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/risk/batch", content=body + blanks, headers=headers).status_code == 200
    _problem(
        client.post("/v1/risk", content=json.dumps(EXAMPLE).encode() + blanks, headers=headers), 413, "body_too_large"
    )
    _problem(client.post("/v1/risk/batch", content=body + blanks * 14, headers=headers), 413, "body_too_large")


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/risk/", "/static/../app.py", "/static/__init__.py", "/v1/models/both", "/docs.json"]
)
def test_where_there_is_nothing(client: Client, path: str) -> None:
    _problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/risk"), ("DELETE", "/v1/dictionary"), ("POST", "/")])
def test_what_an_address_does_not_take(client: Client, method: str, path: str) -> None:
    response = client.request(method, path)
    _problem(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_a_registry_without_a_model_for_after_surgery_says_so(served: Mapping[Outcome, Served]) -> None:
    client = Client(create_app(lambda: {name: served[name] for name in ("leakage", "refracture")}))
    _problem(client.post("/v1/risk", json={**EXAMPLE, "moment": "postop"}), 503, "not_ready")
    _problem(client.get("/v1/models/refracture-postop"), 503, "not_ready")


def test_without_models_every_question_is_503_and_the_rest_works() -> None:
    empty = Client(create_app(dict))
    _problem(empty.post("/v1/risk", json=EXAMPLE), 503, "not_ready")
    assert empty.get("/v1/models").json() == {"models": {}}
    assert empty.get("/").status_code == 200


def test_a_bug_is_answered_and_logged_without_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Mapping[Outcome, Served]:
        raise KeyError("canary-in-a-message")

    with caplog.at_level(logging.DEBUG):
        found = _problem(Client(create_app(broken)).post("/v1/risk", json=EXAMPLE), 500, "internal_error")
    assert "canary" not in json.dumps(found) + caplog.text
    assert "KeyError at " in caplog.text and "test_http.py" in caplog.text


def test_cards_tell_what_a_model_is(client: Client, served: Mapping[Outcome, Served]) -> None:
    for outcome, one in served.items():
        card = client.get(f"/v1/models/{outcome}").json()
        assert (card["outcome"], card["sha256"], card["learner"]) == (outcome, one.model.sha256, one.release.champion)
        assert set(card["cards"]) == set(one.release.models) and "simulated" in card["notice"]


def test_the_dictionary_says_what_may_be_asked(client: Client, document: dict[str, Any]) -> None:
    variables = client.get("/v1/dictionary").json()["variables"]
    asked = {v["name"] for v in variables if v["asked"]}
    schemas = document["components"]["schemas"]
    assert asked <= set(schemas["Patient"]["properties"]) | set(schemas["Vertebra"]["properties"])
    assert {"age_years", "level", "planned_volume_ml"} <= asked and not asked & {
        "patient_id",
        "viscosity",
        "cement_volume_ml",
    }


def test_pages_load_nothing_from_another_host(client: Client) -> None:
    seen, queue = set(), ["/", "/docs"]
    while queue:
        path = queue.pop()
        response = client.get(path)
        assert response.status_code == 200, path
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        seen.add(path)
        hosts = set(re.findall(r"https?://[^\s\"'`<>]+", response.text)) - {"http://www.w3.org/2000/svg"}
        assert not hosts, (path, hosts)
        queue += [p for p in re.findall(r"[\"'](/static/[\w.]+)[\"']", response.text) if p not in seen | set(queue)]
    assert {"/static/page.css", "/static/page.js", "/static/form.js", "/static/result.js"} <= seen


def test_every_response_is_counted_by_its_pattern(served: Mapping[Outcome, Served]) -> None:
    counted: list[tuple[str, int]] = []
    client = Client(create_app(lambda: served, lambda route, status, seconds: counted.append((route, status))))
    client.post("/v1/risk", json=EXAMPLE)
    client.get("/v1/models/leakage")
    client.get("/patients/canary-4711")
    assert counted == [("/v1/risk", 200), ("/v1/models/{outcome}", 200), ("other", 404)]
