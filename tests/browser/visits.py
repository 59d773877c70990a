"""Visits of the page in a browser, and what the service itself answers to the same question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect

from serving.web import asset
from tests.service.process import Running

DESKTOP, PHONE = (1360, 900), (360, 780)
EXAMPLE: dict[str, Any] = json.loads(asset("example.json"))
YEAR = 1  # position of 12 months, the horizon that is explained


class Visit:
    """One visit of the page: ``page``, what it asked for in ``requests``, what went wrong in ``complaints``."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.requests: list[str] = []
        self.questions: list[Any] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request: Any) -> None:
        self.requests.append(request.url)
        if request.url.endswith("/v1/risk"):
            self.questions.append(request.post_data_json)

    def open(self, address: str = "/?lang=en") -> Page:
        self.page.goto(self.url + address)
        expect(self.page.locator("#fields fieldset").first).to_be_visible()
        return self.page

    def example(self, address: str = "/?lang=en") -> Page:
        """The page after a click on the example's button."""
        self.open(address)
        self.page.click("#example")
        expect(self.card("refracture")).to_be_visible()
        return self.page

    def card(self, name: str) -> Any:
        return self.page.locator(f'[data-card="{name}"]')

    def field(self, pointer: str) -> Any:
        return self.page.locator(f'[id="{pointer}"]')


def visiting(browser: Browser, url: str, size: tuple[int, int], **options: Any) -> Iterator[Visit]:
    """One visit with a window of this size; ``options`` as playwright has them for a context."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    context.set_default_timeout(10_000)
    yield Visit(context, url)
    context.close()


def ask(service: Running, question: Any) -> dict[str, Any]:
    """The answer of the service, asked without the page."""
    response = httpx.post(f"{service.url}/v1/risk", json=question)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def percent(risk: float) -> str:
    """A risk as the page writes it."""
    return f"{100 * risk:.{1 if risk < 0.0995 else 0}f}%"


def headline(risk: float, interval: list[float], average: float) -> str:
    """What stands largest on a card."""
    low, high = map(percent, interval)
    return f"{percent(risk)}95% interval {low} to {high}; average patient {percent(average)}"
