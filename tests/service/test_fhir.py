"""The FHIR operation: the numbers of ``/v1/risk``, in resources that a public validator accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from features.build import Outcome
from serving.app import create_app
from serving.fhir.openapi import EXAMPLE, REQUEST
from serving.fhir.operation_outcome import expression
from serving.served import Served
from tests.service import fhir_validator
from tests.service.client import Client
from tests.service.logged import Kept
from tests.service.questions import EXAMPLE as QUESTION
from tests.service.questions import question
from tests.service.resources import OPERATION, PATIENT, bundle, observation, order, quantity, resources_of

PATH = "/fhir/$vertebral-augmentation-risk"
FHIR = "application/fhir+json"
VALIDATED = pytest.mark.skipif(not fhir_validator.INSTALLED, reason=fhir_validator.REASON)


@pytest.fixture
def log() -> Kept:
    return Kept()


@pytest.fixture
def app(served: Mapping[Outcome, Served], log: Kept) -> FastAPI:
    return create_app(lambda: served, log=log)  # type: ignore[arg-type]


def _ask(app: FastAPI, body: Any, media_type: str = FHIR) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(app).post(PATH, content=content, headers={"content-type": media_type})


def _two_levels(body: dict[str, Any]) -> None:
    body["vertebrae"].insert(0, {"level": "T12", "procedure": "PKP", "fvah_mm": 15.5})


def _assessments(found: Any) -> dict[str, Any]:
    assert found.status_code == 200 and found.headers["content-type"] == FHIR
    collection = found.json()
    assert (collection["resourceType"], collection["type"]) == ("Bundle", "collection")
    resources = [entry["resource"] for entry in collection["entry"]]
    assert {one["resourceType"] for one in resources} == {"RiskAssessment"}
    return {one["code"]["coding"][1]["code"] if len(one["code"]["coding"]) > 1 else "all": one for one in resources}


def test_the_numbers_are_those_of_the_json_route(app: FastAPI, log: Kept) -> None:
    asked = question(_two_levels)
    answer = Client(app).post("/v1/risk", json=asked).json()
    found = _assessments(_ask(app, bundle(*resources_of(asked))))
    assert found.keys() == {"L1", "T12", "all"}
    for vertebra in answer["leakage"]:
        predictions = found[vertebra["level"]]["prediction"]
        told = {one["outcome"]["coding"][0]["code"]: one for one in predictions}
        risks = {"leakage": vertebra["risk"]} | {f"leakage-{r}": risk for r, risk in vertebra["routes"].items()}
        assert {code: one["probabilityDecimal"] for code, one in told.items()} == {
            code: 100 * risk for code, risk in risks.items()
        }
        bounds = told["leakage"]["extension"][0]["valueRange"]
        assert [bounds["low"]["value"], bounds["high"]["value"]] == [100 * bound for bound in vertebra["interval"]]
    _same_fractures(found["all"]["prediction"], answer["refracture"])
    sent, again = log.answered
    assert again.route == PATH and again.question | {"case_id": "case-7", "detection": "CT"} == asked
    assert again.answer["leakage"] == sent.answer["leakage"]


def _same_fractures(predictions: list[Any], refracture: Mapping[str, Any]) -> None:
    expected = []
    for place, days in enumerate((91, 365, 730)):
        end = (date.fromisoformat(OPERATION) + timedelta(days=days)).isoformat()
        expected.append(("refracture", 100 * refracture["risk"][place], end))
        for cause, risks in refracture["causes"].items():
            expected.append((f"refracture-{cause}", 100 * risks[place], end))
        expected.append(("death", 100 * refracture["death"][place], end))
    told = [
        (one["outcome"]["coding"][0]["code"], one["probabilityDecimal"], one["whenPeriod"]["end"])
        for one in predictions
    ]
    assert told == expected
    assert {one["whenPeriod"]["start"] for one in predictions} == {OPERATION}


def test_an_assessment_says_of_whom_by_what_and_from_what(app: FastAPI, log: Kept) -> None:
    found = _assessments(_ask(app, bundle(*resources_of(QUESTION))))
    answer = log.answered[0].answer
    for outcome, one in (("leakage", found["L1"]), ("refracture", found["all"])):
        assert one["subject"] == {"reference": "Patient/p1"} and one["status"] == "final"
        assert {"reference": "Observation/o-fvah-mm-L1"} in one["basis"] and len(one["basis"]) == 13
        assert answer["models"][outcome]["sha256"] in one["method"]["text"]
        assert one["identifier"][0]["value"] == answer["request_id"]
        assert one["note"][0]["text"] == answer["notice"]


def test_parameters_carry_resources_and_how_leaks_are_looked_for(app: FastAPI, log: Kept) -> None:
    named = [{"name": "data", "resource": one} for one in resources_of(QUESTION)]
    named += [{"name": "detection", "valueCode": "radiograph"}, {"name": "case-id", "valueString": "case-7"}]
    found = _assessments(_ask(app, {"resourceType": "Parameters", "parameter": named}, "application/json"))
    asked = QUESTION | {"detection": "radiograph"}
    answer = Client(app).post("/v1/risk", json=asked).json()
    assert found["L1"]["prediction"][0]["probabilityDecimal"] == 100 * answer["leakage"][0]["risk"]
    assert log.answered[0].question == asked


@pytest.mark.parametrize("kind", ["Bundle", "Parameters", "Patient"])
@pytest.mark.parametrize("member", ["entry", "parameter"])
def test_the_document_refuses_a_list_of_lists_where_it_is_read(app: FastAPI, kind: str, member: str) -> None:
    body = {"resourceType": kind, member: [[]]}
    assert Draft202012Validator(REQUEST).is_valid(body) == (_ask(app, body).status_code == 200)


@pytest.mark.parametrize(
    ("resources", "needed"),
    [
        ((), {"Patient"}),
        ((PATIENT,), {"ServiceRequest"}),
        ((PATIENT, order()), {"ServiceRequest"}),
        ((PATIENT | {"gender": "unknown"}, order("L1")), {"Patient"}),
        ((PATIENT | {"birthDate": "1953"}, order("L1")), {"Patient", "Observation"}),
    ],
)
@VALIDATED
def test_missing_data_are_named(app: FastAPI, log: Kept, resources: Any, needed: set[str]) -> None:
    found = _ask(app, bundle(*resources))
    assert found.status_code == 200 and log.answered == []
    said = found.json()
    assert (said["resourceType"], said["status"]) == ("GuidanceResponse", "data-required")
    assert {one["type"] for one in said["dataRequirement"]} == needed
    assert fhir_validator.complaints([said]) == [[]]


@VALIDATED
def test_a_public_validator_accepts_every_answer(app: FastAPI) -> None:
    asked = [QUESTION, question(_two_levels), question(lambda b: b["vertebrae"][0].pop("fvah_mm"))]
    found = [_ask(app, bundle(*resources_of(one))).json() for one in asked]
    found += [_ask(app, EXAMPLE).json(), *(_ask(app, b"{").json() for _ in range(1))]
    assert fhir_validator.complaints(found) == [[]] * len(found)
    broken = json.loads(json.dumps(found[0]["entry"][0]["resource"]))
    broken["status"], broken["method"] = "certain", "logistic"
    [said] = fhir_validator.complaints([broken])
    assert any("status" in one for one in said), "the validator checks no codes"


YOUNG = PATIENT | {"birthDate": "1998-07-06"}
LATER = observation(("urn:cemrisk:dictionary", "cement_volume_ml"), quantity(4, "mL"), "L1")
REFUSED: list[tuple[str, Any, str, int, str, str]] = [
    ("malformed", b"{", FHIR, 400, "structure", ""),
    ("twice", b'{"resourceType":"Bundle","resourceType":"Bundle"}', FHIR, 400, "structure", ""),
    ("NaN", b'{"resourceType":"Bundle","x":NaN}', FHIR, 400, "structure", ""),
    ("XML", b"<Bundle/>", "application/fhir+xml", 415, "not-supported", ""),
    ("large", b'["' + b"x" * 5_000_000 + b'"]', FHIR, 413, "too-long", ""),
    ("other resource", {"resourceType": "Patient"}, FHIR, 422, "value", "resourceType"),
    ("a list", [], FHIR, 422, "value", "resourceType"),
    (
        "unit",
        bundle(PATIENT, order("L1"), observation(("http://loinc.org", "718-7"), quantity(987.125, "mmol/L"))),
        FHIR,
        422,
        "code-invalid",
        "entry[2].resource.valueQuantity.code",
    ),
    (
        "limit",
        bundle(PATIENT, order("L1"), observation(("http://loinc.org", "38267-1"), quantity(987.125, "1"))),
        FHIR,
        422,
        "value",
        "entry[2].resource",
    ),
    ("young", bundle(YOUNG, order("L1")), FHIR, 422, "business-rule", "entry[0].resource"),
    ("known later", bundle(PATIENT, order("L1"), LATER), FHIR, 422, "value", "entry[2].resource"),
]  # fmt: skip


@VALIDATED
@pytest.mark.parametrize(
    ("body", "media_type", "status", "issue", "place"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_refusals_are_outcomes_without_values(
    app: FastAPI, log: Kept, body: Any, media_type: str, status: int, issue: str, place: str
) -> None:
    found = _ask(app, body, media_type)
    assert found.status_code == status and found.headers["content-type"] == FHIR
    [said] = found.json()["issue"]
    assert (said["code"], said.get("expression", [""])) == (issue, [place])
    for secret in ("987.125", "1998-07-06", "p1"):
        assert secret not in found.text
    assert log.answered == [] and fhir_validator.complaints([found.json()]) == [[]]


def test_other_addresses_below_fhir_speak_it_too(app: FastAPI) -> None:
    for method, path, status in (("GET", PATH, 405), ("GET", "/fhir/metadata", 404), ("POST", "/fhir/$x", 404)):
        found = Client(app).request(method, path)
        assert (found.status_code, found.json()["resourceType"]) == (status, "OperationOutcome")


def test_nothing_released_is_a_transient_outcome() -> None:
    found = _ask(create_app(dict), bundle(*resources_of(QUESTION)))
    assert (found.status_code, found.json()["issue"][0]["code"]) == (503, "transient")


@pytest.mark.parametrize(
    ("pointer", "path"),
    [("/entry/2/resource", "entry[2].resource"), ("/parameter/0", "parameter[0]"), ("/a/10/3/b", "a[10][3].b")],
)
def test_pointers_become_paths(pointer: str, path: str) -> None:
    assert expression(pointer) == path
