"""``GET /v1/nomogram/{outcome}``: the same nomogram as a picture and as points, with its notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from features.build import Outcome
from models.nomogram import nomogram
from serving.app import create_app
from serving.served import Served
from tests.service.client import Client

SVG = "image/svg+xml"


@pytest.fixture(scope="module")
def client(served: Mapping[Outcome, Served]) -> Client:
    return Client(create_app(lambda: served))


@pytest.mark.parametrize("outcome", ["leakage", "refracture", "refracture-postop"])
@pytest.mark.parametrize("accept", ["*/*", SVG, "text/html, image/svg+xml, application/json"])
def test_a_picture_unless_json_is_preferred(client: Client, outcome: str, accept: str) -> None:
    found = client.request("GET", f"/v1/nomogram/{outcome}", headers={"accept": accept})
    assert (found.status_code, found.headers["content-type"].split(";")[0]) == (200, SVG)
    assert ElementTree.fromstring(found.text).tag.endswith("svg")
    assert "Not for clinical use" in found.text


@pytest.mark.parametrize("outcome", ["leakage", "refracture", "refracture-postop"])
def test_the_points_are_those_of_the_released_model(
    client: Client, served: Mapping[Outcome, Served], outcome: Outcome
) -> None:
    found = client.request("GET", f"/v1/nomogram/{outcome}", headers={"accept": "application/json"}).json()
    assert found["data_status"] == "synthetic" and found["notice"]
    expected = nomogram(served[outcome].release.model).to_dict()
    assert {name: found[name] for name in expected} == expected


def test_what_is_not_there_is_said(client: Client, served: Mapping[Outcome, Served]) -> None:
    assert client.get("/v1/nomogram/height").status_code == 404
    assert Client(create_app(dict)).get("/v1/nomogram/leakage").status_code == 503
    release = served["leakage"].release
    boosted = replace(release, champion="boosted", models={"boosted": release.models["boosted"]})
    alone = replace(served["leakage"], release=boosted)
    found = Client(create_app(lambda: {"leakage": alone})).get("/v1/nomogram/leakage")
    assert found.status_code == 503 and "boosted" in found.json()["detail"]
