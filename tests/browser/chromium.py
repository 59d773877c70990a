"""The distribution's Chromium, driven through playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
#: What every test in a browser is marked with.
NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed (apt-get install chromium)"),
]
FLAGS = ("--no-sandbox", "--disable-gpu")


@contextmanager
def launched() -> Iterator[Browser]:
    """A fresh browser; one at a time in a thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
