"""CDS Hooks 2.0: what the specification demands of every answer, and the numbers on the cards."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import cemrisk
from features.build import Outcome
from features.dictionary import VARIABLES
from serving.app import create_app
from serving.cds_hooks import feedback
from serving.cds_hooks.cards import LONGEST_SUMMARY, REASONS, cards
from serving.cds_hooks.clients import FILE, Ehr
from serving.cds_hooks.discovery import HOOKS, SERVICE
from serving.cds_hooks.openapi import SCHEMAS
from serving.fhir.reading import items_of
from serving.query_log import LogSettings, QueryLog
from serving.served import Served
from tests.service.client import Client
from tests.service.logged import Kept
from tests.service.questions import EXAMPLE as QUESTION
from tests.service.questions import question
from tests.service.resources import PATIENT, bundle, condition, observation, order, prefetched, quantity, resources_of
from tests.trained import at_home

PATH = f"/cds-services/{SERVICE}"
ADDRESS = "https://cemrisk.hospital.example"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


@pytest.fixture
def log() -> Kept:
    return Kept()


@pytest.fixture
def client(served: Mapping[Outcome, Served], log: Kept, tmp_path: Path) -> Client:
    return Client(create_app(lambda: served, log=log, ehr=Ehr(tmp_path)))  # type: ignore[arg-type]


def view(*resources: Any, **change: Any) -> dict[str, Any]:
    """A call of patient-view for these resources."""
    context = {"userId": "Practitioner/x", "patientId": "p1"}
    call = {"hook": "patient-view", "hookInstance": INSTANCE, "context": context, "prefetch": prefetched([*resources])}
    return {**call, **change}


def require_cards(found: httpx.Response) -> list[dict[str, Any]]:
    """What the specification says of a response with cards."""
    assert found.status_code == 200 and found.headers["content-type"] == "application/json"
    shown: list[dict[str, Any]] = found.json()["cards"]
    for card in shown:
        assert 0 < len(card["summary"]) < 140 and "\n" not in card["summary"]
        assert card["indicator"] in ("info", "warning")
        assert str(uuid.UUID(card["uuid"])) == card["uuid"]
        assert card["source"]["label"] and re.match(r"https?://", card["source"].get("url", ADDRESS))
        for link in card.get("links", []):
            assert link.keys() == {"label", "url", "type"} and link["type"] == "absolute"
            assert re.match(r"https?://", link["url"])
        assert "suggestions" not in card and "selectionBehavior" not in card
        for reason in card.get("overrideReasons", []):
            assert reason["code"] and reason["display"] and reason["system"]
    assert len({card["uuid"] for card in shown}) == len(shown)
    return shown


def test_discovery_names_both_hooks_and_their_prefetch(client: Client) -> None:
    services = client.get("/cds-services").json()["services"]
    assert [one["hook"] for one in services] == list(HOOKS)
    for one in services:
        assert one["id"] == SERVICE and one["description"] and one["title"]
        for template in one["prefetch"].values():
            assert set(re.findall(r"\{\{(.*?)\}\}", template)) == {"context.patientId"}
            assert re.match(r"[A-Z][A-Za-z]+[/?]", template) and " " not in template


def test_cards_show_the_numbers_of_the_json_route(client: Client, log: Kept) -> None:
    answer = client.post("/v1/risk", json=QUESTION).json()
    leak, fracture = require_cards(client.post(PATH, json=view(*resources_of(QUESTION))))
    risk, (low, high) = answer["leakage"][0]["risk"], answer["leakage"][0]["interval"]
    assert f"L1 {100 * risk:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)" in leak["summary"]
    for months, found in zip((3, 12, 24), answer["refracture"]["risk"], strict=True):
        assert f"{months} mo {100 * found:.{1 if found < 0.0995 else 0}f} %" in fracture["summary"]
    assert all("not for clinical use" in card["summary"] for card in (leak, fracture))
    assert leak["detail"].startswith(f"**{answer['notice']}**")
    warns = answer["refracture"]["interval"][1][0] > answer["refracture"]["average"][1]
    assert fracture["indicator"] == ("warning" if warns else "info")
    assert leak["indicator"] == ("warning" if low > answer["leakage"][0]["average"] else "info")
    _, logged = log.answered
    assert logged.route == PATH and logged.question | {"case_id": "case-7", "detection": "CT"} == QUESTION
    assert [entry["risk"] for entry in logged.answer["leakage"]] == [risk]
    assert leak["uuid"] == str(uuid.uuid5(uuid.UUID(logged.answer["request_id"]), "leakage"))


def test_a_card_warns_only_beyond_the_models_own_doubt(client: Client, log: Kept) -> None:
    client.post(PATH, json=view(*resources_of(QUESTION)))
    answer: Any = log.answered[0].answer
    for shift, indicator in ((-0.001, "warning"), (0.001, "info")):
        level = {**answer["leakage"][0], "average": answer["leakage"][0]["interval"][0] + shift}
        assert cards({**answer, "leakage": [level]}, "https://x", [])[0]["indicator"] == indicator
    real = cards({**answer, "data_status": "registry"}, "https://x", [])
    assert not any("clinical use" in card["summary"] for card in real)


LEVELS = st.lists(st.sampled_from(["T8", "T11", "T12", "L1", "L2", "L5"]), min_size=1, max_size=6, unique=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    levels=LEVELS,
    age=st.integers(20, 100),
    t_score=st.none() | st.floats(-9, 3).map(lambda x: round(x, 2)),
    sex=st.sampled_from(["female", "male"]),
)
def test_whatever_is_asked_the_cards_hold_to_the_specification(
    client: Client, levels: list[str], age: int, t_score: float | None, sex: str
) -> None:
    resources = [PATIENT | {"gender": sex, "birthDate": f"{2026 - age}-01-01"}, order(*levels)]
    if t_score is not None:
        resources.append(observation(("http://loinc.org", "38267-1"), quantity(t_score, "1")))
    shown = require_cards(client.post(PATH, json=view(*resources)))
    estimable = age >= 50 and (t_score is None or -8 <= t_score <= 1)
    assert len(shown) == (2 if estimable else 1)
    assert all(level in shown[0]["summary"] for level in levels) or not estimable
    assert str(t_score) not in shown[0]["summary"] or estimable


def test_a_summary_that_is_too_long_keeps_its_mark(client: Client, log: Kept) -> None:
    client.post(PATH, json=view(*resources_of(QUESTION)))
    answer: Any = log.answered[0].answer
    many = {**answer, "leakage": [{**answer["leakage"][0], "level": f"level {n}"} for n in range(30)]}
    summary = cards(many, "https://x", [])[0]["summary"]
    assert len(summary) == LONGEST_SUMMARY and summary.endswith("…. Simulated data, not for clinical use")


def test_order_sign_reads_the_drafts(client: Client) -> None:
    resources = resources_of(QUESTION)
    drafts = bundle(*(one for one in resources if one["resourceType"] == "ServiceRequest"))
    call = view(*resources, hook="order-sign")
    del call["prefetch"]["orders"]
    call["context"]["draftOrders"] = drafts
    signed = require_cards(client.post(PATH, json=call))
    assert [card["summary"] for card in signed] == [
        card["summary"] for card in require_cards(client.post(PATH, json=view(*resources)))
    ]
    knee = order("L1", code=("http://www.ama-assn.org/go/cpt", "27447"))
    for others in (bundle(), bundle(knee)):
        call["context"]["draftOrders"] = others
        call["prefetch"]["orders"] = drafts
        assert require_cards(client.post(PATH, json=call)) == [], "an order that stands, and another that is signed"


def test_nothing_is_said_of_who_gets_no_augmentation(client: Client, log: Kept) -> None:
    knee = order("L1", code=("http://www.ama-assn.org/go/cpt", "27447"))
    for resources in ((PATIENT,), (PATIENT, knee), (PATIENT, order("L1", status="revoked"))):
        assert require_cards(client.post(PATH, json=view(*resources))) == []
    assert log.answered == []


@pytest.mark.parametrize(
    ("resources", "absent", "pointer"),
    [
        ((PATIENT, order("L1")), "patient", "/prefetch/patient"),
        ((PATIENT, order("L1")), "orders", "/prefetch/orders"),
        ((PATIENT | {"gender": "unknown"}, order("L1")), None, "/prefetch"),
        ((PATIENT | {"birthDate": "1953"}, order("L1")), None, "/prefetch"),
        ((PATIENT, order()), None, "/prefetch"),
    ],
)
@pytest.mark.parametrize("how", ["left out", "null", "an error of the EHR"])
def test_412_if_data_are_missing_and_cannot_be_had(
    client: Client, log: Kept, resources: Any, absent: str | None, pointer: str, how: str
) -> None:
    call = view(*resources, fhirServer="http://127.0.0.1:1/fhir", fhirAuthorization={"access_token": "t0ken"})
    if absent is not None:
        call["prefetch"].pop(absent)
        if how != "left out":
            call["prefetch"][absent] = None if how == "null" else {"resourceType": "OperationOutcome"}
    found = client.post(PATH, json=call)
    assert (found.status_code, found.json()["code"]) == (412, "data_missing")
    assert {fault["pointer"] for fault in found.json()["errors"]} == {pointer}
    assert "t0ken" not in found.text and log.answered == []


def test_unusable_data_are_a_card_for_whoever_can_mend_them(client: Client, log: Kept) -> None:
    wrong = observation(("http://loinc.org", "718-7"), quantity(987.125, "mmol/L"))
    beyond = observation(("http://loinc.org", "38267-1"), quantity(987.125, "1"))
    lesion = condition(("http://snomed.info/sct", "94602001"), bodySite=order("L1")["bodySite"])
    for extra, words in ((wrong, "haemoglobin_g_l"), (beyond, "t_score"), (lesion, "do not know such a patient")):
        [card] = require_cards(client.post(PATH, json=view(PATIENT, order("L1"), extra)))
        assert words in card["summary"] + card["detail"] and "987.125" not in str(card)
        assert card["summary"].startswith("No risk estimate")
    assert log.answered == []


def test_mixed_up_patients_are_refused(client: Client) -> None:
    foreign = observation(("http://loinc.org", "38267-1"), quantity(-3, "1"), subject={"reference": "Patient/p2"})
    swapped = view(*resources_of(QUESTION))
    swapped["context"]["patientId"] = "p9"
    for call in (view(PATIENT, order("L1"), foreign), swapped):
        found = client.post(PATH, json=call)
        assert (found.status_code, found.json()["errors"][0]["code"]) == (422, "other_patient")
        assert "p2" not in found.text and "p9" not in found.text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"hook": "order-select"}, "/hook"),
        ({"hook": ["patient-view"]}, "/hook"),
        ({"hookInstance": "7"}, "/hookInstance"),
        ({"hookInstance": None}, "/hookInstance"),
        ({"context": None}, "/context/patientId"),
        ({"context": {"patientId": "../x"}}, "/context/patientId"),
        ({"hook": "order-sign"}, "/context/draftOrders"),
        ({"prefetch": []}, "/prefetch"),
        ({"prefetch": {"patient": "Patient/p1"}}, "/prefetch/patient"),
    ],
)
def test_calls_that_are_none(client: Client, change: dict[str, Any], pointer: str) -> None:
    found = client.post(PATH, json=view(*resources_of(QUESTION)) | change)
    assert found.status_code == 422 and found.headers["content-type"] == "application/problem+json"
    assert pointer in {fault["pointer"] for fault in found.json()["errors"]}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("drafts", [{}, [None], "one", None])
def test_the_document_types_drafts_only_where_they_are_read(client: Client, hook: str, drafts: Any) -> None:
    call = view(*resources_of(QUESTION), hook=hook)
    call["context"]["draftOrders"] = drafts
    accepted = client.post(PATH, json=call).status_code == 200
    assert accepted == (hook == "patient-view" or drafts == {})
    assert Draft202012Validator(SCHEMAS["CdsCall"]).is_valid(call) == accepted


def test_what_an_ehr_adds_is_passed_over(client: Client) -> None:
    call = view(*resources_of(QUESTION), extension={"x": 1})
    call["prefetch"]["somethingElse"] = {"resourceType": "Patient", "id": "p2"}
    call["prefetch"]["conditions"]["link"] = [{"relation": "next", "url": "https://ehr.example/more"}]
    shown = require_cards(client.post(PATH, json=call))
    assert len(shown) == 2 and all("only the first page was sent" in card["detail"] for card in shown)


def test_the_address_of_the_service_stands_in_links(client: Client, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f'base_url = "{ADDRESS}/"\n')
    shown = require_cards(client.post(PATH, json=view(*resources_of(QUESTION)), headers={"host": "evil.example"}))
    assert {card["links"][0]["url"] for card in shown} == {f"{ADDRESS}/"}
    assert {card["source"]["url"] for card in shown} == {f"{ADDRESS}/docs"}


@pytest.mark.parametrize("age", [73, 20], ids=["an answer", "a refusal"])
def test_the_name_that_a_caller_uses_never_becomes_a_link(client: Client, age: int) -> None:
    born = PATIENT | {"birthDate": f"{2026 - age}-01-01"}
    names = {"host": "evil.example", "x-forwarded-host": "evil.example", "origin": "https://evil.example"}
    found = client.post(PATH, json=view(born, order("L1")), headers=names)
    assert all("links" not in card and "url" not in card["source"] for card in require_cards(found))
    assert "http" not in found.text and "evil" not in found.text


def test_what_is_not_known_is_named_in_words(client: Client) -> None:
    leak, _ = require_cards(client.post(PATH, json=view(PATIENT, order("L1"))))
    [line] = [line for line in leak["detail"].splitlines() if line.startswith("Not known: ")]
    assert VARIABLES["hu_l1"].label in line and "_" not in line


def _said(**change: Any) -> dict[str, Any]:
    entry = {"card": INSTANCE, "outcome": "overridden", "outcomeTimestamp": "2026-11-21T12:00:00+02:00"}
    reason = {"reason": {"system": "urn:cemrisk:override-reason", "code": "data-wrong"}, "userComment": "Mrs Miller"}
    return {"feedback": [entry | {"overrideReason": reason} | change]}


def test_feedback_is_kept_without_its_comment(client: Client, tmp_path: Path) -> None:
    for body in (_said(), _said(outcome="accepted", overrideReason=None, acceptedSuggestions=[{"id": "1"}])):
        assert client.post(f"{PATH}/feedback", json=body).status_code == 200
    client.post(f"{PATH}/feedback", json=_said(overrideReason={"reason": {"code": "bored"}}))
    kept = [one for one, _ in feedback.kept(tmp_path)]
    assert [(one.outcome, one.reason) for one in kept] == [
        ("overridden", "data-wrong"),
        ("accepted", None),
        ("overridden", "other"),
    ]
    assert {one.happened for one in kept} == {"2026-11-21T10:00:00+00:00"} and {one.card for one in kept} == {INSTANCE}
    assert b"Miller" not in (tmp_path / feedback.FILE).read_bytes()
    assert set(REASONS) >= {"data-wrong"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"card": "1"}, "card"),
        ({"outcome": "ignored"}, "outcome"),
        ({"outcomeTimestamp": "yesterday"}, "outcomeTimestamp"),
        ({"outcomeTimestamp": "2026-11-21"}, "outcomeTimestamp"),
        ({"outcomeTimestamp": "0001-01-01T00:00:00+14:00"}, "outcomeTimestamp"),
        ({"overrideReason": "bored"}, "overrideReason"),
    ],
)
def test_feedback_that_is_none(client: Client, tmp_path: Path, change: dict[str, Any], pointer: str) -> None:
    found = client.post(f"{PATH}/feedback", json=_said(**change))
    assert found.status_code == 422
    assert [fault["pointer"] for fault in found.json()["errors"]] == [f"/feedback/0/{pointer}"]
    assert list(feedback.kept(tmp_path)) == []
    assert client.post(f"{PATH}/feedback", json={"feedback": []}).status_code == 422


def test_feedback_that_cannot_be_kept_is_503(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    (tmp_path / feedback.FILE).mkdir()
    for ehr in (Ehr(), Ehr(tmp_path)):
        found = Client(create_app(lambda: served, ehr=ehr)).post(f"{PATH}/feedback", json=_said())
        assert (found.status_code, found.json()["code"]) == (503, "feedback_unavailable")


def test_the_prefetch_of_the_examples_is_found() -> None:
    call = view(*resources_of(question()))
    assert sum(len(list(items_of(value, ""))) for value in call["prefetch"].values()) == len(resources_of(question()))


ORIGIN = "https://ehr.hospital.example"


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("https://evil.example", False), ("null", False)])
def test_cross_origin_by_list_only(client: Client, tmp_path: Path, origin: str, allowed: bool) -> None:
    (tmp_path / FILE).write_text(f'origins = ["{ORIGIN}"]\n')
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = client.request("OPTIONS", PATH, headers=asked)
    assert preflight.status_code == (204 if allowed else 405)
    called = client.post(PATH, json=view(*resources_of(QUESTION)), headers={"origin": origin})
    refused = client.post(PATH, json={}, headers={"origin": origin})
    for found in (preflight, called, refused):
        assert found.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert found.headers["vary"] == "origin" and "access-control-allow-credentials" not in found.headers
    elsewhere = client.post("/v1/risk", json=QUESTION, headers={"origin": origin})
    assert "access-control-allow-origin" not in elsewhere.headers


def test_feedback_can_be_read(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for body in (_said(), _said(), _said(outcome="accepted", overrideReason=None)):
        client.post(f"{PATH}/feedback", json=body)
    with at_home(tmp_path):
        assert cemrisk.main(["log", "feedback", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert cemrisk.main(["log", "feedback"]) == 0
    assert told["count"] == 3 and told["feedback"][0]["card"] == INSTANCE
    assert told["counts"][0] == {"outcome": "overridden", "reason": "data-wrong", "count": 2}
    assert capsys.readouterr().out.splitlines()[-1] == "feedback on 3 cards"


def test_the_record_of_a_card_is_answered_again_bit_for_bit(
    served: Mapping[Outcome, Served], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("query_log*")))
    log = QueryLog("test", LogSettings.of(own, {"CEMRISK_LOG_INPUTS": "1"}))
    Client(create_app(lambda: served, log=log)).post(PATH, json=view(*resources_of(QUESTION)))
    with at_home(own):
        assert cemrisk.main(["log", "affected", "--json", "--model", served["leakage"].identity["sha256"]]) == 0
        [entry, *_] = json.loads(capsys.readouterr().out)["answers"]
        assert entry["route"] == PATH
        assert cemrisk.main(["log", "show", entry["id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replay"]["result"] == "same"
