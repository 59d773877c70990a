"""A browser for each module; one service with released models for all that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.visits import DESKTOP, PHONE, Visit, visiting
from tests.service.process import Running, running
from tests.service.released import released_home


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released_home(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="package")
def service(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(home, tmp_path_factory.mktemp("service")) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as found:
        yield found


@pytest.fixture
def visit(browser: Browser, service: Running) -> Iterator[Visit]:
    yield from visiting(browser, service.url, DESKTOP)


@pytest.fixture
def on_phone(browser: Browser, service: Running) -> Iterator[Visit]:
    yield from visiting(browser, service.url, PHONE)
