"""One small release and one real BentoML process for the whole session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from features.build import Outcome
from models.release import load_releases
from serving.served import Served, serve
from tests.service.process import Running, running
from tests.service.released import released_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with released models."""
    return released_home(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="session")
def served(home: Path) -> Mapping[Outcome, Served]:
    return serve(load_releases(home))


@pytest.fixture(scope="session")
def service(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service as a user starts it, ready."""
    # Of its own, so that what it answers stands in no log that another test copies.
    own = Path(shutil.copytree(home, tmp_path_factory.mktemp("serving") / "home"))
    with running(own, tmp_path_factory.mktemp("service")) as found:
        found.wait_ready()
        yield found
