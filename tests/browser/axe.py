"""What axe finds wrong with a page for those who cannot see it or do not use a mouse."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.chromium import launched


def complaints(page: Page) -> list[str]:
    """Rule and the first place of each violation in the page as it stands."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]


def violations(path: Path) -> list[str]:
    """Those of a stored page; and each address that it asked the network for."""
    asked: list[str] = []
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 1200})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.resolve().as_uri())
        found = complaints(page)
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:"))]
    return found + elsewhere
