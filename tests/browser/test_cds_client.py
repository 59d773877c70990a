"""A CDS Hooks client in Chromium, on a page of another origin, that signs its own tokens, against the real service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from jwt.algorithms import ECAlgorithm
from playwright.sync_api import Browser, Page, sync_playwright

from serving import keys
from serving.cds_hooks import feedback
from serving.policy import Role
from tests.browser.chromium import BROWSER
from tests.service.ehr_keys import EC, ISSUER, settle
from tests.service.process import Running, free_port, running
from tests.service.questions import EXAMPLE as QUESTION
from tests.service.released import FEW, release_all
from tests.service.resources import bundle, resources_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed (apt-get install chromium)"),
]
CLIENT = Path(__file__).with_name("cds_client")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is read by people."""


@dataclass
class Hospital:
    """The service with its folder, and a page of the EHR at an origin that is on the list, and at one that is not."""

    service: Running
    home: Path
    page: str
    foreign: str
    key: str


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    home, port = tmp_path_factory.mktemp("home"), free_port()
    release_all(home, linear=FEW)
    _, key = keys.create(home, "test", [Role.ASK])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(CLIENT))) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{pages.server_port}"
        settle(home, f"http://127.0.0.1:{port}", (page,))
        with running(home, tmp_path_factory.mktemp("service"), port=port) as service:
            service.wait_ready()
            yield Hospital(service, home, page, f"http://localhost:{pages.server_port}", key)
        pages.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


def _ehr(resources: list[Any]) -> dict[str, Any]:
    return {"issuer": ISSUER, "kid": "e", "key": json.loads(ECAlgorithm.to_jwk(EC)), "store": resources}


def _fire(
    page: Page, hospital: Hospital, resources: list[Any], hook: str = "patient-view", **context: Any
) -> list[int]:
    about = {"userId": "Practitioner/1", "patientId": "p1", **context}
    return page.evaluate(
        "([ehr, base, hook, context]) => fire(ehr, base, hook, context)",
        [_ehr(resources), hospital.service.url, hook, about],
    )


def test_cards_and_feedback_in_a_browser(hospital: Hospital, browser: Browser) -> None:
    answer = httpx.post(
        f"{hospital.service.url}/v1/risk", json=QUESTION, headers={"authorization": f"Bearer {hospital.key}"}
    ).json()
    page = browser.new_page()
    page.goto(f"{hospital.page}/index.html")
    assert _fire(page, hospital, resources_of(QUESTION)) == [200]
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
    page.close()


def test_drafts_other_patients_and_missing_data_in_a_browser(hospital: Hospital, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{hospital.page}/index.html")
    resources = resources_of(QUESTION)
    drafts = [one for one in resources if one["resourceType"] == "ServiceRequest"]
    others = [one for one in resources if one["resourceType"] != "ServiceRequest"]
    assert _fire(page, hospital, others, "order-sign", draftOrders=bundle(*drafts)) == [200]
    assert page.locator("article").count() == 2
    assert _fire(page, hospital, others) == [200] and page.locator("article").count() == 0
    assert _fire(page, hospital, drafts) == [412]
    page.close()


def test_a_page_of_another_origin_gets_nothing(hospital: Hospital, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{hospital.foreign}/index.html")
    with pytest.raises(Exception, match="Failed to fetch"):
        _fire(page, hospital, resources_of(QUESTION))
    page.close()


def test_no_word_of_the_patient_stands_in_the_log_of_the_service(hospital: Hospital) -> None:
    said = hospital.service.log.read_text()
    assert all(word not in said for word in ("Patient/p1", "1953-02-01", "Practitioner", "eyJ", "Traceback"))
