"""The service as it really runs: BentoML, a worker process, sockets, signals, its log."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from features.build import Outcome
from features.errors import UsageError
from serving import keys
from serving.answer import answer
from serving.policy import Role
from serving.run import require_allowed, serve_forever
from serving.schema import read_question
from serving.served import Served
from tests.service.process import Running, free_port, running
from tests.service.questions import EXAMPLE, UNANSWERABLE, UNREADABLE, question

#: Packages that training needs and that a worker must never load: each brings hundreds of megabytes or milliseconds.
FORBIDDEN = ("pandas", "sklearn", "xgboost", "lifelines", "shap", "mlflow", "scipy", "numba", "matplotlib")


def test_numbers_over_http_are_those_in_process(service: Running, served: Mapping[Outcome, Served]) -> None:
    found = httpx.post(f"{service.url}/v1/risk", json=EXAMPLE).json()
    expected = answer(read_question(EXAMPLE), served, found["request_id"], found["answered_at"])
    assert found["leakage"][0]["risk"] == pytest.approx(expected["leakage"][0]["risk"], abs=1e-9)
    assert found["refracture"]["risk"] == pytest.approx(expected["refracture"]["risk"], abs=1e-9)
    assert found["models"] == expected["models"]
    assert found["leakage"][0]["explanation"]["total"] == pytest.approx(
        expected["leakage"][0]["explanation"]["total"], abs=1e-9
    )


def test_identifiers_and_times_are_new_for_each_answer(service: Running) -> None:
    found = [httpx.post(f"{service.url}/v1/risk", json=EXAMPLE).json() for _ in range(3)]
    assert len({one["request_id"] for one in found}) == 3
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["answered_at"]) for one in found)


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"), [r[1:] for r in UNREADABLE], ids=[r[0] for r in UNREADABLE]
)
def test_bodies_that_cannot_be_read(service: Running, body: bytes, media_type: str, status: int, code: str) -> None:
    """By a client that sends headers and part of the body and then listens: an answer may come before the end."""
    host, port = service.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.putrequest("POST", "/v1/risk")
    connection.putheader("Content-Type", media_type)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[: 300 * 1024])
    response = connection.getresponse()
    found = json.loads(response.read())
    assert (response.status, found["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    connection.close()


def test_errors_of_addresses_keep_our_form(service: Running) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/v1/risk", 405),
        ("POST", "/readyz", 405),
        ("GET", "/schema.json", 404),
    ):
        response = httpx.request(method, service.url + path)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


def test_metrics_count_by_route_and_hold_no_address(service: Running) -> None:
    httpx.get(f"{service.url}/patients/canary-in-a-path")
    httpx.post(f"{service.url}/v1/risk", json=EXAMPLE)
    text = httpx.get(f"{service.url}/metrics").text
    assert re.search(r'cemrisk_request_seconds_count\{route="/v1/risk",status="200"\} \d+', text)
    assert 'route="other",status="404"' in text and "canary" not in text


def test_a_worker_loads_nothing_of_training(service: Running) -> None:
    httpx.post(f"{service.url}/v1/risk", json=EXAMPLE)
    workers = service.workers()
    assert workers
    for pid in workers:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "site-packages/numpy" in maps  # the probe sees shared objects at all
        assert [name for name in FORBIDDEN if f"site-packages/{name}" in maps] == []


def test_the_service_module_answers_without_loading_training(home: Path, tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from serving.query_log import LogSettings
from serving.service import app, log, shelf
from tests.service.client import Client
shelf.refresh(Path(sys.argv[1]))
log.begin(LogSettings.of(Path(sys.argv[3]), {}))
assert Client(app).post("/v1/risk", json=json.loads(sys.argv[2])).status_code == 200
print(json.dumps(sorted(sys.modules)))
"""
    command = [sys.executable, "-c", script, str(home), json.dumps(EXAMPLE), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, check=True, text=True, cwd=Path(__file__).parents[2])
    loaded = set(json.loads(out.stdout))
    assert "serving.answer" in loaded
    assert [name for name in FORBIDDEN if name in loaded] == []
    assert not {name for name in loaded if name.startswith("training")}


def test_its_log_is_a_json_object_a_line(home: Path, tmp_path: Path) -> None:
    with running(Path(shutil.copytree(home, tmp_path / "home")), tmp_path) as service:
        service.wait_ready()
        (worker,) = service.workers()
        assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {(line["process"], line["message"]) for line in lines} >= {
        ("worker", "ready"),
        ("supervisor", "asked to stop"),
    }
    assert [line["pid"] for line in lines if line["message"] == "ready"] == [worker]
    assert all({"at", "level", "process", "pid", "message"} <= set(line) for line in lines)


def test_no_value_and_no_identifier_reaches_the_log(home: Path, tmp_path: Path) -> None:
    with running(Path(shutil.copytree(home, tmp_path / "home")), tmp_path) as service:
        service.wait_ready()
        headers = {"X-Canary": "canary-header", "User-Agent": "canary-agent", "Content-Type": "application/json"}
        url = f"{service.url}/v1/risk?canary-query=1"
        bodies = [question(change) for _, change, _, _ in UNANSWERABLE] + [EXAMPLE]
        for body in bodies:
            marked = {**body, "case_id": "canary-case"} if isinstance(body, dict) else body
            text = json.dumps(marked).replace("73", "73.123456789")
            answered = httpx.post(url, content=text, headers=headers)
            assert answered.status_code in (200, 422)
            assert "canary" not in answered.text
            if answered.status_code == 422:
                assert "73.123456789" not in answered.text
        for body in (b'{"canary-key": NaN}', b'{"patient": {"canary-key": "canary-value"}}', b'{"canary'):
            assert "canary-value" not in httpx.post(url, content=body, headers=headers).text
        httpx.get(f"{service.url}/canary-path", headers=headers)
        assert service.stop() == 0
    log = service.log.read_text()
    assert "ready" in log  # it was the service's log
    assert "canary" not in log and "73.123456789" not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_with_the_process_that_started_it(home: Path, tmp_path: Path, number: int) -> None:
    with running(Path(shutil.copytree(home, tmp_path / "home")), tmp_path) as service:
        service.wait_ready()
        workers = service.workers()
        assert service.stop(number) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/livez")


def test_without_models_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path / "empty", tmp_path) as service:
        service.wait_alive()
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        found = httpx.post(f"{service.url}/v1/risk", json=EXAMPLE)
        assert (found.status_code, found.json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_addresses_beyond_this_machine_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="host must be"):
        serve_forever(tmp_path, {}, host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_addresses_beyond_this_machine_need_a_key_that_is_good(tmp_path: Path, host: str) -> None:
    key, _ = keys.create(tmp_path, "a proxy", [Role.ASK])
    assert require_allowed(host, keys.any_good(tmp_path)) == host
    keys.revoke(tmp_path, key.id)
    keys.create(tmp_path, "short", [Role.ASK], days=1e-9)
    with pytest.raises(UsageError, match="keys create"):
        serve_forever(tmp_path, {}, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_addresses_of_this_machine(host: str) -> None:
    assert require_allowed(host, has_keys=False)


def test_a_port_that_is_taken_is_said_so(service: Running, tmp_path: Path) -> None:
    taken = int(service.url.rpartition(":")[2])
    with pytest.raises(UsageError, match="cannot be bound"):
        serve_forever(tmp_path, {}, port=taken)
    with pytest.raises(UsageError, match="1 to 65535"):
        serve_forever(tmp_path, {}, port=99_999)
    with pytest.raises(UsageError, match="workers"):
        serve_forever(tmp_path, {}, port=free_port(), workers=0)
