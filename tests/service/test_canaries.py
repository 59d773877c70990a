"""Marked values in every field and header: after answers, refusals, a failure and a killed worker they are nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.dictionary import VARIABLES
from serving import keys, switch
from serving.policy import Role
from serving.schema import accepted_variables
from tests.service.odd import CANARY, ODD, send
from tests.service.process import Running, running
from tests.service.questions import UNANSWERABLE, question
from tests.service.resources import bundle, prefetched, resources_of

#: Decimals that no computed number has.
DECIMALS = "31459265"
CARD = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


def _marked() -> dict[str, Any]:
    """A question that can be answered and holds a marked value in every field that can take one."""
    body = question(lambda b: b.update(case_id=CANARY))
    for scope, facts in (("patient", body["patient"]), ("vertebra", body["vertebrae"][0])):
        for variable in accepted_variables(scope, VARIABLES["age_years"].known_at):  # type: ignore[arg-type]
            low, high = variable.plausible_low, variable.plausible_high
            if variable.kind == "number" and low is not None and high is not None:
                facts[variable.name] = float(f"{int((low + high) / 2)}.{DECIMALS}")
    for name in ("bmi_kg_m2", "avhr_pct", "fvahr_mm"):  # said by others already
        for facts in (body["patient"], body["vertebrae"][0]):
            facts.pop(name, None)
    return body


def _files(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes().lower()


def _ask(service: Running, key: str, body: Any, path: str = "/v1/risk") -> httpx.Response:
    headers = {name: f"{CANARY}-{name}" for name in ("User-Agent", "Referer", "Cookie", "X-Request-ID", "traceparent")}
    headers |= {"Authorization": f"Bearer {key}", "X-Forwarded-For": CANARY, "From": f"{CANARY}@example.org"}
    return httpx.post(f"{service.url}{path}?mrn={CANARY}", json=body, headers=headers, timeout=30)


def _ask_as_an_ehr(service: Running, key: str) -> set[int]:
    """By FHIR and CDS Hooks, with marked ids, names and comments; an answer names the ids, a refusal never."""
    text = json.dumps(resources_of(_marked())).replace('"p1"', f'"{CANARY}"').replace("Patient/p1", f"Patient/{CANARY}")
    resources = json.loads(text)
    resources[0] |= {"name": [{"family": CANARY}], "identifier": [{"value": CANARY}]}
    call = {"hook": "patient-view", "hookInstance": CARD, "context": {"userId": CANARY, "patientId": CANARY}}
    call |= {"fhirAuthorization": {"access_token": CANARY}, "prefetch": prefetched(resources)}
    said = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": "2026-11-21T10:00:00Z"}
    said["overrideReason"] = {"reason": {"code": CANARY}, "userComment": CANARY}  # type: ignore[assignment]
    service_path = "/cds-services/vertebral-augmentation-risk"
    answered = [
        _ask(service, key, bundle(*resources), "/fhir/$vertebral-augmentation-risk"),
        _ask(service, key, call, service_path),
        _ask(service, key, {"feedback": [said]}, f"{service_path}/feedback"),
    ]
    assert [found.status_code for found in answered] == [200] * 3 and answered[1].json()["cards"]
    resources[0]["birthDate"] = f"1953-{CANARY}"
    refused = [
        _ask(
            service,
            key,
            bundle(*resources[1:], resources[0], resources[0] | {"id": "p2"}),
            "/fhir/$vertebral-augmentation-risk",
        ),
        _ask(service, key, call | {"prefetch": prefetched(resources)}, service_path),
        _ask(service, key, {"feedback": [said | {"card": CANARY}]}, f"{service_path}/feedback"),
    ]
    assert not any(CANARY in found.text for found in refused)
    return {found.status_code for found in (*answered, *refused)}


def _kill_a_worker_with_a_question_half_sent(service: Running) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        text = json.dumps(_marked())
        head = f"POST /v1/risk HTTP/1.1\r\nHost: x\r\nX-Canary: {CANARY}\r\nContent-Length: {len(text) + 9}\r\n\r\n"
        connection.sendall((head + text).encode())
        time.sleep(0.3)
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)


@pytest.mark.slow
def test_marked_values_are_nowhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, temporary = Path(shutil.copytree(home, tmp_path / "home")), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    _, key = keys.create(home, "EHR", [Role.ASK, Role.READ_LOG])
    statuses: set[int] = set()
    with running(home, tmp_path) as service:
        service.wait_ready()
        host, port = service.url.removeprefix("http://").split(":")
        answered = _ask(service, key, _marked())
        assert answered.status_code == 200, answered.text
        statuses.add(_ask(service, key, {"cases": [_marked(), {CANARY: 1}]}, "/v1/risk/batch").status_code)
        statuses |= _ask_as_an_ehr(service, key)
        statuses |= {_ask(service, key, question(change)).status_code for _, change, *_ in UNANSWERABLE}
        statuses |= {send(odd, (host, int(port)), key).status for odd in ODD if odd.times == 1}
        statuses |= {_ask(service, CANARY, _marked()).status_code, _ask(service, key, {}, f"/{CANARY}").status_code}
        for outcome in ("leakage", "refracture"):
            switch.stop(home, outcome, "is being checked", "test")
        time.sleep(1.0)
        refused = _ask(service, key, _marked())
        assert CANARY not in refused.text and DECIMALS not in refused.text
        statuses.add(refused.status_code)
        for outcome in ("leakage", "refracture"):
            switch.resume(home, outcome)
        metrics = httpx.get(f"{service.url}/metrics", headers={"Authorization": f"Bearer {key}"}).text
        assert 'cemrisk_input_bucket{variable="' in metrics and "cemrisk_risk_bucket{" in metrics
        assert 'cemrisk_model{outcome="leakage",state="' in metrics
        assert CANARY not in metrics and DECIMALS not in metrics
        _kill_a_worker_with_a_question_half_sent(service)
        service.wait_ready()
    assert statuses >= {200, 400, 401, 404, 405, 412, 413, 415, 422, 503}
    looked = dict(_files(tmp_path))
    assert service.log in looked and any("query_log" in path.parts for path in looked)
    found = [path for path, content in looked.items() if CANARY.encode() in content or DECIMALS.encode() in content]
    assert found == []
