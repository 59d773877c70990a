"""Who is let in: every route and method of the running application, with every kind of key."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from features.build import Outcome
from models.release import OUTCOMES
from serving import keys, switch
from serving.app import create_app
from serving.door import Door, GuardedRoute
from serving.keys import Keyring
from serving.policy import ASK, POLICY, Caller, Role
from serving.served import Served
from serving.shelf import Shelf
from tests.service.client import Client
from tests.service.process import running
from tests.service.questions import EXAMPLE

HERE = "http://127.0.0.1:3000"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


def _no_metrics() -> tuple[bytes, str]:
    return b"", "text/plain"


@pytest.fixture(scope="module")
def guarded(served: Mapping[Outcome, Served], tmp_path_factory: pytest.TempPathFactory) -> tuple[FastAPI, Path]:
    home = tmp_path_factory.mktemp("keys")
    return create_app(lambda: served, None, _no_metrics, Door(Keyring(home)), shelf=Shelf()), home


@pytest.fixture(scope="module")
def shown(guarded: tuple[FastAPI, Path]) -> dict[str, str | None]:
    """The header for each kind of key."""
    _, home = guarded
    made = {role.value: keys.create(home, role.value, [role])[1] for role in Role}
    every = keys.create(home, "every role", list(Role))[1]
    gone, revoked = keys.create(home, "revoked", list(Role))
    keys.revoke(home, gone.id)
    _, expired = keys.create(home, "expired", list(Role), days=1e-9)
    tokens = {**made, "every": every, "revoked": revoked, "expired": expired, "wrong": every[:-1] + "~"}
    others = {"none": None, "basic": "Basic dTpw", "empty": "Bearer ", "key without scheme": every}
    time.sleep(keys.LOOK_EVERY_SECONDS)
    return {**{kind: f"Bearer {token}" for kind, token in tokens.items()}, **others}


#: Kind of key -> the code that it gets where a key is needed, whatever it is needed for.
REFUSED = {
    "none": "no_key",
    "wrong": "wrong_key",
    "basic": "wrong_key",
    "empty": "wrong_key",
    "key without scheme": "wrong_key",
    "revoked": "key_revoked",
    "expired": "key_expired",
}


def _expected(kind: str, needed: frozenset[Role]) -> str | None:
    """The code of the refusal, None if the kind of key is let in."""
    if not needed or kind == "every":
        return None
    if kind in REFUSED:
        return REFUSED[kind]
    return None if Role(kind) in needed else "role_missing"


def test_every_route_method_and_kind_of_key(guarded: tuple[FastAPI, Path], shown: dict[str, str | None]) -> None:
    app, _ = guarded
    client, counted = Client(app, HERE), 0
    for route in app.routes:
        assert isinstance(route, GuardedRoute), "a route that is no GuardedRoute has no door"
        path = route.path.format(outcome="leakage", name="page.css")
        for method in METHODS:
            for kind, header in shown.items():
                found = client.request(method, path, headers={"Authorization": header} if header else {})
                counted += 1
                if method not in (route.methods or ()):
                    assert found.status_code == 405, (method, path, kind)
                    continue
                refusal = _expected(kind, POLICY[method, route.path])
                if refusal is None:
                    assert found.status_code not in (401, 403), (method, path, kind)
                else:
                    assert found.status_code == (403 if refusal == "role_missing" else 401), (method, path, kind)
                    assert _code(found) == refusal, (method, path, kind)
                    assert found.headers["www-authenticate"] == "Bearer"
    assert counted == len(app.routes) * len(METHODS) * len(shown)


def _code(refused: httpx.Response) -> str:
    """Of a problem, or below /fhir of the one issue of an OperationOutcome."""
    said, media_type = refused.json(), refused.headers["content-type"]
    if refused.url.path.startswith("/fhir/"):
        assert media_type == "application/fhir+json" and said["resourceType"] == "OperationOutcome"
        return str(said["issue"][0]["details"]["text"])
    assert media_type == "application/problem+json"
    return str(said["code"])


def test_the_policy_has_no_line_too_many(guarded: tuple[FastAPI, Path]) -> None:
    app, _ = guarded
    there = {(method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods}
    assert there == set(POLICY)


def test_a_route_without_a_line_cannot_be_added() -> None:
    async def nothing() -> None:
        """Never called."""

    app = create_app(dict)
    for path, method in (("/v1/new", "GET"), ("/v1/risk", "PUT")):
        with pytest.raises(LookupError, match="policy"):
            app.add_api_route(path, nothing, methods=[method])


def _door(home: Path) -> Client:
    return Client(create_app(dict, None, _no_metrics, Door(Keyring(home))), HERE)


def test_without_keys_this_machine_may_ask_and_not_administer(tmp_path: Path) -> None:
    assert _door(tmp_path).get("/v1/models").status_code == 200
    assert _door(tmp_path).get("/metrics").status_code == 200
    assert Door(Keyring(tmp_path)).admit(_scope(), "/", frozenset({Role.ASK})).key_id is None
    with pytest.raises(Exception, match="needs an access key"):
        Door(Keyring(tmp_path)).admit(_scope(), "/", frozenset({Role.ADMINISTER}))


def _scope(server: str | None = "127.0.0.1", host: bytes = b"127.0.0.1:3000") -> dict[str, object]:
    return {"type": "http", "server": server and (server, 3000), "headers": [(b"host", host)]}


FROM_OUTSIDE = {
    "another address": _scope(server="192.168.1.5"),
    "an address nobody knows": _scope(server=None),
    "a name of another site": _scope(host=b"rebound.example:3000"),
    "a name that begins like ours": _scope(host=b"localhost.example"),
    "digits that are a name": _scope(host=b"127.0.0.1.example"),
    "a proxy's name": _scope(host=b"cemrisk.hospital.example"),
    "no name": _scope(host=b""),
    "a proxy that calls us by our address": _scope()
    | {"headers": [(b"host", b"127.0.0.1"), (b"x-real-ip", b"1.2.3.4")]},
}


@pytest.mark.parametrize("scope", FROM_OUTSIDE.values(), ids=FROM_OUTSIDE)
def test_without_keys_nobody_else_is_answered(tmp_path: Path, scope: dict[str, object]) -> None:
    for needed in (frozenset[Role](), ASK):
        with pytest.raises(Exception, match="only its own machine"):
            Door(Keyring(tmp_path)).admit(scope, "/", needed)


@pytest.mark.parametrize("host", [b"localhost", b"localhost:3000", b"127.0.0.1", b"[::1]:3000", b"127.0.0.9:1"])
def test_names_of_this_machine(tmp_path: Path, host: bytes) -> None:
    assert Door(Keyring(tmp_path)).admit(_scope(host=host), "/", ASK)


def test_with_keys_other_machines_are_answered(tmp_path: Path) -> None:
    _, text = keys.create(tmp_path, "EHR", [Role.ASK])
    scope = _scope(server="192.168.1.5", host=b"cemrisk.hospital.example")
    scope["headers"] = [(b"host", b"x"), (b"authorization", f"bearer {text}".encode())]
    assert Door(Keyring(tmp_path)).admit(scope, "/", ASK).roles == {Role.ASK}


def test_two_headers_are_no_key(tmp_path: Path) -> None:
    _, text = keys.create(tmp_path, "EHR", [Role.ASK])
    header = (b"authorization", f"Bearer {text}".encode())
    with pytest.raises(Exception, match="no access key"):
        Door(Keyring(tmp_path)).admit({"type": "http", "headers": [header, header]}, "/", ASK)


def test_other_tokens_are_known_to_those_who_know_them(tmp_path: Path) -> None:
    keys.create(tmp_path, "EHR", [Role.ASK])

    def known(token: bytes, pattern: str) -> Caller | None:
        return Caller("issuer", ASK) if (token, pattern) == (b"jwt", "/cds-services") else None

    door, scope = Door(Keyring(tmp_path), [known]), {"type": "http", "headers": [(b"authorization", b"Bearer jwt")]}
    assert door.admit(scope, "/cds-services", ASK).key_id == "issuer"
    with pytest.raises(Exception, match="no access key"):
        door.admit(scope, "/v1/risk", ASK)


def test_keys_that_cannot_be_read_are_503_and_not_an_open_door(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    found = _door(tmp_path).get("/v1/models")
    assert (found.status_code, found.json()["code"]) == (503, "keys_unreadable")


@pytest.fixture
def asking(home: Path) -> Iterator[Callable[[str, str], int]]:
    """Asks a question with a key over a new connection, which reaches any worker; the keys are put away after."""

    def ask(url: str, text: str) -> int:
        header = {"Authorization": f"Bearer {text}"}
        return httpx.post(f"{url}/v1/risk", json=EXAMPLE, headers=header, timeout=10).status_code

    yield ask
    (home / "keys.json").unlink(missing_ok=True)


def _stop_and_resume(url: str, home: Path, ask: Callable[[], int]) -> None:
    """By a route in one worker and by the command in none: the others follow within a second too."""
    _, text = keys.create(home, "administrator", [Role.ADMINISTER])
    time.sleep(1.0)
    header = {"Authorization": f"Bearer {text}"}
    for outcome in OUTCOMES:
        stopped = httpx.post(f"{url}/v1/models/{outcome}/stop", json={"why": "is checked"}, headers=header)
        assert stopped.json()["why"] == "is checked"
    time.sleep(1.0)
    assert {ask() for _ in range(12)} == {503}
    told = [httpx.get(f"{url}/readyz") for _ in range(6)]
    assert {one.status_code for one in told} == {503}
    assert all(one.json()["models"]["leakage"]["why"] == "is checked" for one in told)
    for outcome in OUTCOMES:
        assert switch.resume(home, outcome)
    time.sleep(1.0)
    assert {ask() for _ in range(12)} == {200}


@pytest.mark.slow
def test_keys_and_switches_take_effect_in_all_workers_within_a_second(
    home: Path, tmp_path: Path, asking: Callable[[str, str], int]
) -> None:
    home = Path(shutil.copytree(home, tmp_path / "home"))
    with running(home, tmp_path, workers=2) as service:
        service.wait_ready()
        assert len(service.workers()) == 2 and asking(service.url, "none at all") == 200
        key, text = keys.create(home, "EHR", [Role.ASK])
        time.sleep(1.0)
        assert {asking(service.url, text) for _ in range(12)} == {200}
        assert {asking(service.url, "another") for _ in range(12)} == {401}
        _stop_and_resume(service.url, home, lambda: asking(service.url, text))
        keys.revoke(home, key.id)
        time.sleep(1.0)
        assert {asking(service.url, text) for _ in range(12)} == {401}
        assert httpx.get(f"{service.url}/livez").status_code == 200
    assert text not in service.log.read_text() and json.dumps(key.sha256) not in service.log.read_text()
