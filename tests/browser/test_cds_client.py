"""A public CDS Hooks client, Medplum's, in Chromium on a page of another origin, against the real service.

Medplum's client (``@medplum/core``) knows nothing of this service: it reads the discovery, fills the templates with
searches of a FHIR server, and calls. The page around it signs the calls and shows the cards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jwt.algorithms import ECAlgorithm
from playwright.sync_api import Browser, Page

from serving import keys
from serving.cds_hooks import feedback
from serving.cds_hooks.discovery import PREFETCH
from serving.policy import Role
from tests.browser import chromium, ehr
from tests.service.ehr_keys import EC, ISSUER, settle
from tests.service.process import Running, free_port, running
from tests.service.questions import EXAMPLE as QUESTION
from tests.service.released import FEW, release_all
from tests.service.resources import Json, bundle, resources_of

pytestmark = [*chromium.NEEDED, pytest.mark.skipif(not ehr.INSTALLED, reason=ehr.REASON)]
SURGEON: Json = {"resourceType": "Practitioner", "id": "1", "name": [{"family": "Surgeon"}]}


@dataclass
class Hospital:
    """The service with its folder, and an EHR at an origin that is on the service's list."""

    service: Running
    home: Path
    ehr: ehr.Origin
    key: str


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    home, port = tmp_path_factory.mktemp("home"), free_port()
    release_all(home, linear=FEW)
    _, key = keys.create(home, "test", [Role.ASK])
    with ehr.origin() as pages:
        settle(home, f"http://127.0.0.1:{port}", (pages.url,))
        with running(home, tmp_path_factory.mktemp("service"), port=port) as service:
            service.wait_ready()
            yield Hospital(service, home, pages, key)


@pytest.fixture
def page(hospital: Hospital, browser: Browser) -> Iterator[Page]:
    found = browser.new_page()
    found.goto(f"{hospital.ehr.url}/index.html")
    yield found
    found.close()


def _fire(
    page: Page, hospital: Hospital, resources: list[Any], hook: str = "patient-view", **context: Any
) -> list[Json]:
    hospital.ehr.store = [SURGEON, *resources]
    hospital.ehr.searched.clear()
    who = {"issuer": ISSUER, "kid": "e", "key": json.loads(ECAlgorithm.to_jwk(EC))}
    about = {"userId": "Practitioner/1", "patientId": "p1", **context}
    page.wait_for_function("window.fire !== undefined")
    return page.evaluate(
        "([ehr, base, hook, context]) => fire(ehr, base, hook, context)", [who, hospital.service.url, hook, about]
    )


def _asked(hospital: Hospital) -> Json:
    """The answer of ``/v1/risk`` to the same question."""
    headers = {"authorization": f"Bearer {hospital.key}"}
    return httpx.post(f"{hospital.service.url}/v1/risk", json=QUESTION, headers=headers).json()


def test_the_public_client_shows_our_cards_and_feedback_comes_back(hospital: Hospital, page: Page) -> None:
    answer = _asked(hospital)
    [told] = _fire(page, hospital, resources_of(QUESTION))
    assert len(told["cards"]) == 2 and told["request"]["hook"] == "patient-view"
    heads = page.locator("article h2").all_inner_texts()
    assert len(heads) == 2 and f"L1 {100 * answer['leakage'][0]['risk']:.0f} %" in heads[0]
    assert answer["notice"] in page.locator("article pre").first.inner_text()
    assert page.locator("article a").first.get_attribute("href") == f"{hospital.service.url}/"
    page.locator("article").first.locator("button[data-code=plan-adapted]").click()
    page.wait_for_selector("article[data-feedback='200']")
    [(kept, who)] = feedback.kept(hospital.home)
    assert (kept.card, kept.reason, who) == (
        page.locator("article").first.get_attribute("id"),
        "plan-adapted",
        "ehr:main EHR",
    )


def test_the_public_client_fills_every_template_from_a_fhir_server(hospital: Hospital, page: Page) -> None:
    resources = resources_of(QUESTION)
    [told] = _fire(page, hospital, resources)
    prefetch = told["request"]["prefetch"]
    assert set(prefetch) == set(PREFETCH) and not any("{{" in query for query in hospital.ehr.searched)
    sent = [prefetch["patient"], *(entry["resource"] for one in prefetch.values() for entry in one.get("entry", ()))]
    assert sorted(one["id"] for one in sent) == sorted(one["id"] for one in resources)
    assert len(hospital.ehr.searched) == len(PREFETCH) + 1


def test_drafts_other_patients_and_missing_data(hospital: Hospital, page: Page) -> None:
    resources = resources_of(QUESTION)
    drafts = [one for one in resources if one["resourceType"] == "ServiceRequest"]
    others = [one for one in resources if one["resourceType"] != "ServiceRequest"]
    [told] = _fire(page, hospital, others, "order-sign", draftOrders=bundle(*drafts))
    assert len(told["cards"]) == 2 == page.locator("article").count()
    [told] = _fire(page, hospital, others)
    assert told["cards"] == [] and page.locator("article").count() == 0
    with page.expect_response(f"{hospital.service.url}/cds-services/**") as called:
        [told] = _fire(page, hospital, [one | {"gender": "unknown"} if "gender" in one else one for one in resources])
    assert called.value.status == 412 and "error" in told


def test_a_page_of_another_origin_gets_nothing(hospital: Hospital, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{hospital.ehr.foreign}/index.html")
    with pytest.raises(Exception, match="Failed to fetch"):
        _fire(page, hospital, resources_of(QUESTION))
    page.close()


def test_no_word_of_the_patient_stands_in_the_log_of_the_service(hospital: Hospital) -> None:
    said = hospital.service.log.read_text()
    assert all(word not in said for word in ("Patient/p1", "1953-02-01", "Practitioner", "eyJ", "Traceback"))
