"""The page in a real browser, asking a real service: what a surgeon sees is what the service answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from models import CoxRisk
from serving.web import asset
from tests.browser import chromium
from tests.browser.chromium import Element, Page
from tests.service.process import Running, running
from tests.service.released import FEW, release_all, release_leakage, training_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.BROWSER is None, reason="Chromium is not installed (apt-get install chromium)"),
]
ROUTES = ("basivertebral vein", "segmental vein", "cortical defect", "disc")
EXPLAINED = 1  # 12 months


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    release_all(home, linear=FEW)
    with running(home, tmp_path_factory.mktemp("service")) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="module")
def page(service: Running, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return chromium.load(f"{service.url}/#example", tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def answered(service: Running) -> dict[str, Any]:
    """What the API says of the page's own example."""
    source = re.search(r"export const EXAMPLE = (\{.*?\});", asset("form.js").decode(), re.DOTALL)
    assert source is not None
    strict = re.sub(r",(\s*[}\]])", r"\1", re.sub(r"(\w+):", r'"\1":', source[1]))
    response = httpx.post(f"{service.url}/v1/risk", json=json.loads(strict))
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def _percent(risk: float) -> str:
    return f"{100 * risk:.{1 if risk < 0.0995 else 0}f} %"


def _range(bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{100 * low:.{1 if low < 0.0995 else 0}f} to {_percent(high)}"


def test_the_answer_of_the_service_is_on_the_page(page: Page, answered: dict[str, Any]) -> None:
    leak, fracture = answered["leakage"][0], answered["refracture"]
    shown = [
        (leak["risk"], leak["interval"], leak["average"]),
        tuple(fracture[name][EXPLAINED] for name in ("risk", "interval", "average")),
    ]
    expected = [
        f"{_percent(risk)}95 % interval {_range(bounds)}; average patient {_percent(average)}"
        for risk, bounds, average in shown
    ]
    assert [one.words for one in page.find("p", class_="big")] == expected


def test_routes_causes_and_notice_are_on_the_page(page: Page, answered: dict[str, Any]) -> None:
    drawn = " ".join(one.words for one in page.find("text"))
    for code, name in zip("BSCD", ROUTES, strict=True):
        assert f"{code} {name}" in drawn and _percent(answered["leakage"][0]["routes"][code]) in drawn
    cells = [one.words for one in page.find("td")]
    for cause in ("same", "adjacent", "remote"):
        assert all(_percent(risk) in cells for risk in answered["refracture"]["causes"][cause])
    (notice,) = page.find("p", id="notice")
    assert notice.words == answered["notice"] and "hidden" not in notice.attributes
    assert any("support the direction" in one.words for one in page.find("caption"))
    (faults,) = page.find("div", id="faults")
    assert "hidden" in faults.attributes


def test_the_page_is_silent_and_asks_nobody_else(page: Page, service: Running, tmp_path: Path) -> None:
    assert page.console == []
    home = urlsplit(service.url).netloc
    assert f"{service.url}/v1/risk" in page.requested  # the record of requests is a record
    assert {urlsplit(url).netloc for url in page.requested} - {""} == {home}  # a data: address has no host
    links = [one.attributes.get(name, "") for one in page.elements for name in ("src", "href", "action")]
    assert {urlsplit(link).netloc for link in links} == {""}
    loud = tmp_path / "loud.html"
    loud.write_text("<script>console.error('heard')</script>")
    assert any("heard" in line for line in chromium.load(loud.as_uri(), tmp_path).console)


def _is_named(control: Element, page: Page) -> bool:
    """By a label that points to it, one around it, or the element that it names as its label."""
    labels = page.find("label", for_=control.attributes["id"]) if "id" in control.attributes else []
    labels += page.find("", id=control.attributes.get("aria-labelledby", "no such element"))
    return "label" in control.ancestors() or any(label.words.strip() for label in labels)


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(page: Page) -> None:
    controls = page.find("input") + page.find("select") + page.find("div", role="group")
    assert len(controls) > 20
    assert [one.attributes for one in controls if not _is_named(one, page)] == []
    buttons = page.find("button")
    assert buttons and all(one.words.strip() for one in buttons)
    assert not [one for one in controls + buttons if one.attributes.get("tabindex", "0").startswith("-")]
    assert all(one.attributes.get("aria-label") for one in page.find("svg"))


def test_without_routes_there_is_no_chart_of_routes(page: Page, tmp_path: Path) -> None:
    release_leakage(tmp_path, [CoxRisk(FEW)], *training_data()["leakage"])
    with running(tmp_path, tmp_path) as service:
        service.wait_ready()
        bare = chromium.load(f"{service.url}/#example", tmp_path)
    heads = [[one.words for one in found.find("h4")] for found in (page, bare)]
    assert "By route" in heads[0] and "By route" not in heads[1] and "By model" in heads[1]
    assert len(bare.find("p", class_="big")) == 1 and bare.console == []
    assert any("routes of enough leaks" in one.words for one in bare.find("li"))
