"""What axe finds wrong with a page for those who cannot see it or do not use a mouse."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.browser.chromium import BROWSER


def violations(path: Path) -> list[str]:
    """Rule and the first place of each violation in a stored page; and each address that it asked the network for."""
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 1200})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.resolve().as_uri())
        found = Axe().run(page).response["violations"]
        browser.close()
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:"))]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found] + elsewhere
