"""What `bentoml build` packs, and that it answers where nothing but the packages of others is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from features.build import Outcome
from serving import keys
from serving.answer import answer
from serving.policy import Role
from serving.schema import read_question
from serving.served import Served
from tests.service.process import free_port
from tests.service.questions import EXAMPLE

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "models", "training", "serving")
#: What BentoML and the tests take from their surroundings must not reach the environment that is tried.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
READY_WITHIN_SECONDS = 120


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a freshly built bento, in a store of its own."""
    store = tmp_path_factory.mktemp("bentoml")
    environment = {**os.environ, "BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "build", "--version", "tried"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return store / "bentos" / "cemrisk" / "tried"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the packages of others can be imported and the project cannot.

    An environment that was really installed would download a gigabyte. Instead a line of a .pth file names the folder
    of the packages; .pth files inside that folder, of which one leads to the project, are not read then.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    own = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (own / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_bento_holds_the_code_and_its_data_and_nothing_else(bento: Path) -> None:
    packed = {path.relative_to(bento / "src").as_posix() for path in (bento / "src").rglob("*") if path.is_file()}
    expected = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The file that lists is packed by BentoML itself.
    assert packed == expected | {"cemrisk.py", "LICENSE", "bentofile.yaml"}


@pytest.mark.slow
def test_a_bento_asks_for_what_is_locked(bento: Path) -> None:
    """BentoML writes its own version once more at the end, without digests; uv still holds it to those above."""
    locked, packed = (
        _requirements(path) for path in (ROOT / "requirements.lock", bento / "env/python/requirements.txt")
    )
    assert len(locked) > 100 and packed - locked == {(f"bentoml=={version('bentoml')}",)} and locked <= packed


def _requirements(path: Path) -> set[tuple[str, ...]]:
    """Each as name with version and digests; BentoML writes the markers between them in another way."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    words = [one.replace(";", " ; ").split() for one in lines if one.strip()]
    return {(one[0], *(word for word in one if word.startswith("--hash="))) for one in words}


@pytest.fixture
def served_bento(bento: Path, fresh: Path, home: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and key of the bento as `bentoml serve` runs it."""
    own = Path(shutil.copytree(home, tmp_path / "home"))
    _, key = keys.create(own, "a client", [Role.ASK])
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"CEMRISK_HOME": str(own), "BENTOML_HOME": str(tmp_path / "store"), "OPENBLAS_NUM_THREADS": "1"}
    away = subprocess.run([fresh, "-c", "import bentoml, features"], cwd=tmp_path, env=environment, capture_output=True)
    assert b"No module named 'features'" in away.stderr, away.stderr
    port = free_port()
    command = [fresh, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "bento.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, process, log)
        yield url, key
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_a_bento_answers_as_the_models_do(served_bento: tuple[str, str], served: Mapping[Outcome, Served]) -> None:
    url, key = served_bento
    assert httpx.post(f"{url}/v1/risk", json=EXAMPLE).status_code == 401
    found = httpx.post(f"{url}/v1/risk", json=EXAMPLE, headers={"Authorization": f"Bearer {key}"}).json()
    assert found == answer(read_question(EXAMPLE), served, found["request_id"], found["answered_at"])
