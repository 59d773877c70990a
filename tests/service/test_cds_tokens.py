"""Which tokens of an EHR open the door, and which do not."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from features.build import Outcome
from features.errors import UsageError
from serving import keys
from serving.app import create_app
from serving.cds_hooks import clients, tokens
from serving.cds_hooks.clients import FILE, Ehr, read
from serving.cds_hooks.tokens import Tokens
from serving.door import Door
from serving.keys import Keyring
from serving.policy import Role
from serving.run import serve_forever
from serving.served import Served
from tests.service.client import Client
from tests.service.ehr_keys import BASE, EC, ISSUER, RSA, claims, settle, token
from tests.service.questions import EXAMPLE as QUESTION
from tests.service.resources import resources_of
from tests.service.test_cds_hooks import PATH, view

OTHER_EC, OTHER_RSA = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def tokened(tmp_path: Path) -> Tokens:
    settle(tmp_path)
    return Tokens(Ehr(tmp_path))


@pytest.mark.parametrize("kid", ["r", "e"])
def test_a_good_token_opens_once(tokened: Tokens, tmp_path: Path, kid: str) -> None:
    shown = token(PATH, kid).encode()
    found = tokened.recognise(shown, PATH)
    assert found is not None and (found.key_id, found.roles) == ("ehr:main EHR", frozenset({Role.ASK}))
    assert tokened.recognise(shown, PATH) is None
    assert Tokens(Ehr(tmp_path)).recognise(shown, PATH) is None, "another worker"
    assert tokened.recognise(token(PATH, kid).encode(), PATH) is not None


def _now(seconds: int) -> int:
    return int(time.time()) + seconds


def _signed(key: Any, algorithm: str, kid: str = "e", **headers: Any) -> str:
    return jwt.encode(claims(PATH), key, algorithm, {"kid": kid, **headers})


def _confused() -> str:
    """Signed by HMAC with what everybody knows, in the hope that the public key is taken for the secret."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps(part).encode() for part in ({"alg": "HS384", "typ": "JWT", "kid": "r"}, claims(PATH))]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha384")).rstrip(b"=")
    return f"{signed.decode()}.{signature.decode()}"


def _tampered() -> str:
    head, body, signature = token(PATH).split(".")
    return f"{head}.{body[:-4]}{'A' * 4}.{signature}"


BAD: dict[str, Callable[[], str]] = {
    "another issuer": lambda: token(PATH, iss="https://evil.example"),
    "no issuer": lambda: token(PATH, iss=None),
    "another address": lambda: token(PATH + "/feedback"),
    "another host": lambda: token(PATH, aud="https://other.example" + PATH),
    "a longer address": lambda: token(PATH, aud=BASE + PATH + "?x=1"),
    "no audience": lambda: token(PATH, aud=None),
    "expired": lambda: token(PATH, exp=_now(-60)),
    "no end": lambda: token(PATH, exp=None),
    "lives too long": lambda: token(PATH, exp=_now(3600)),
    "lived too long": lambda: token(PATH, iat=_now(-400)),
    "from the future": lambda: token(PATH, iat=_now(120)),
    "no birth": lambda: token(PATH, iat=None),
    "no jti": lambda: token(PATH, jti=None),
    "another key": lambda: _signed(OTHER_EC, "ES384"),
    "another key by jku": lambda: _signed(OTHER_RSA, "RS384", "r", jku="http://127.0.0.1:1/jwks"),
    "key in the token": lambda: _signed(
        OTHER_EC, "ES384", jwk=json.loads(ECAlgorithm.to_jwk(OTHER_EC.public_key()))
    ),
    "unknown kid": lambda: _signed(EC, "ES384", "x"),
    "another algorithm": lambda: _signed(RSA, "RS256", "r"),
    "an algorithm of another key": lambda: _signed(RSA, "RS384", "e"),
    "unsigned": lambda: jwt.encode(claims(PATH), None, "none", {"kid": "e"}),
    "signed with the public key": _confused,
    "tampered": _tampered,
    "cut": lambda: token(PATH).rpartition(".")[0] + ".",
    "no token": lambda: "a.b.c",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_opens_nothing(tokened: Tokens, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    bad = BAD[kind]()
    with caplog.at_level(logging.INFO, logger="cemrisk.serving"):
        assert tokened.recognise(bad.encode(), PATH) is None
    assert "refused" in caplog.text
    assert all(part not in caplog.text for part in (bad, ISSUER, "evil.example", "main EHR"))


def test_times_are_looked_at_with_little_leeway(tokened: Tokens) -> None:
    late = tokens.LEEWAY_SECONDS - 5
    assert tokened.recognise(token(PATH, exp=_now(-late)).encode(), PATH) is not None
    assert tokened.recognise(token(PATH, iat=_now(late)).encode(), PATH) is not None


def test_what_was_seen_is_forgotten_only_when_it_has_expired(tokened: Tokens, tmp_path: Path) -> None:
    first, second = token(PATH).encode(), token(PATH).encode()
    assert tokened.recognise(first, PATH) is not None
    [seen] = (tmp_path / tokens.FOLDER).iterdir()
    assert Tokens(Ehr(tmp_path)).recognise(second, PATH) is not None
    assert seen.exists() and Tokens(Ehr(tmp_path)).recognise(first, PATH) is None
    os.utime(seen, (0, time.time() - tokens.LONGEST_SECONDS - 2 * tokens.LEEWAY_SECONDS - 1))
    assert Tokens(Ehr(tmp_path)).recognise(second, PATH) is None
    assert not seen.exists() and len(list((tmp_path / tokens.FOLDER).iterdir())) == 1


def test_a_changed_list_is_seen_and_a_broken_one_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clients.LOOK_EVERY_SECONDS <= 1.0
    monkeypatch.setattr(clients, "LOOK_EVERY_SECONDS", 0.0)
    ehr = Ehr(tmp_path)
    known = Tokens(ehr)
    assert known.recognise(token(PATH).encode(), PATH) is None
    for write, opens in (
        (lambda: settle(tmp_path), True),
        (lambda: (tmp_path / "jwks.json").write_text("{"), False),
        (lambda: settle(tmp_path), True),
        (lambda: (tmp_path / FILE).write_text("["), False),
        (lambda: settle(tmp_path), True),
        (lambda: (tmp_path / FILE).unlink(), False),
    ):
        write()
        assert (known.recognise(token(PATH).encode(), PATH) is not None) == opens


def _jwks(*found: dict[str, Any]) -> str:
    return json.dumps({"keys": [{**key, "kid": str(n)} for n, key in enumerate(found)]})


SMALL = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key()))


@pytest.mark.parametrize(
    "jwks",
    [
        "",
        "{}",
        _jwks(json.loads(ECAlgorithm.to_jwk(EC))),
        _jwks({"kty": "oct", "k": "c2VjcmV0"}),
        _jwks(json.loads(ECAlgorithm.to_jwk(P256.public_key()))),
        _jwks(SMALL),
        json.dumps({"keys": [json.loads(ECAlgorithm.to_jwk(EC.public_key()))]}),
    ],
)
def test_key_sets_that_are_refused(tmp_path: Path, jwks: str) -> None:
    settle(tmp_path)
    (tmp_path / "jwks.json").write_text(jwks)
    with pytest.raises(UsageError, match=r"ehr\.toml"):
        read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "colour = 1",
        'origins = ["*"]',
        'origins = ["https://ehr.example/"]',
        'base_url = "cemrisk"',
        "client = [1]",
        '[[client]]\nname = "a"\nissuer = "b"\njwks = "jwks.json"',
        'base_url = "https://x"\n[[client]]\nname = "a"\nissuer = "b"',
        'base_url = "https://x"\n[[client]]\nname = "\\n"\nissuer = "b"\njwks = "jwks.json"',
        'base_url = "https://x"\n' + 2 * '[[client]]\nname = "a"\nissuer = "b"\njwks = "jwks.json"\n',
    ],
)
def test_lists_that_are_refused(tmp_path: Path, text: str) -> None:
    settle(tmp_path)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=r"ehr\.toml"):
        read(tmp_path)


def test_a_service_does_not_start_on_a_broken_list(tmp_path: Path) -> None:
    settle(tmp_path)
    (tmp_path / "jwks.json").unlink()
    with pytest.raises(UsageError, match="jwks must be a local file"):
        serve_forever(tmp_path, {}, port=0)


@pytest.mark.parametrize("refuses", ["a file in its place", "a disk that takes no file"])
def test_a_token_that_cannot_be_remembered_is_asked_for_again(
    served: Mapping[Outcome, Served], tmp_path: Path, refuses: str
) -> None:
    """Otherwise it could come a second time. The kernel makes no file in /proc, whoever asks."""
    settle(tmp_path)
    seen = tmp_path / tokens.FOLDER
    if refuses == "a file in its place":
        seen.touch()
    else:
        seen.symlink_to("/proc/self/fdinfo")
    ehr = Ehr(tmp_path)
    keys.create(tmp_path, "operator", [Role.ADMINISTER])
    door = Door(Keyring(tmp_path), (Tokens(ehr).recognise,))
    client = Client(create_app(lambda: served, door=door, ehr=ehr))
    for wanted in ((503, "tokens_unavailable"), (200, None)):
        shown = {"authorization": f"Bearer {token(PATH)}"}
        found = client.post(PATH, json=view(*resources_of(QUESTION)), headers=shown)
        assert (found.status_code, found.json().get("code")) == wanted
        if found.status_code == 503:
            assert found.headers["content-type"] == "application/problem+json"
            assert found.headers["retry-after"] == "2"
            seen.unlink()


def test_the_door_lets_in_an_ehr_beside_keys(served: Mapping[Outcome, Served], tmp_path: Path) -> None:
    settle(tmp_path)
    _, key = keys.create(tmp_path, "operator", [Role.ADMINISTER])
    ehr = Ehr(tmp_path)
    door = Door(Keyring(tmp_path), (Tokens(ehr).recognise,))
    client = Client(create_app(lambda: served, door=door, ehr=ehr), "http://127.0.0.1:3000")

    def call(path: str, shown: str, body: Any) -> int:
        return client.post(path, json=body, headers={"authorization": f"Bearer {shown}"}).status_code

    body = view(*resources_of(QUESTION))
    assert call(PATH, token(PATH), body) == 200
    assert call(PATH, token("/v1/risk"), body) == 401
    assert call(PATH, key, body) == 403
    assert call("/v1/risk", token(PATH), QUESTION) == 401
    assert call("/v1/models/leakage/stop", token("/v1/models/leakage/stop"), {"why": "x"}) == 404
    assert client.get("/cds-services").status_code == 200
