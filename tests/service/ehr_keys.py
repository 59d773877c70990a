"""An EHR as the service sees it: its keys, its tokens, and ``ehr.toml``."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from serving.cds_hooks.clients import FILE

ISSUER, BASE = "https://ehr.hospital.example", "https://cemrisk.hospital.example"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP384R1())
SIGNERS: dict[str, tuple[Any, str]] = {"r": (RSA, "RS384"), "e": (EC, "ES384")}


def public_jwks() -> dict[str, Any]:
    made: dict[str, Any] = {
        "r": json.loads(RSAAlgorithm.to_jwk(RSA.public_key())),
        "e": json.loads(ECAlgorithm.to_jwk(EC.public_key())),
    }
    return {"keys": [{**key, "kid": kid} for kid, key in made.items()]}


def settle(home: Path, base: str = BASE, origins: tuple[str, ...] = ()) -> None:
    """Write ``ehr.toml`` and the keys."""
    (home / "jwks.json").write_text(json.dumps(public_jwks()))
    (home / FILE).write_text(
        f'base_url = "{base}"\norigins = {json.dumps(list(origins))}\n'
        f'[[client]]\nname = "main EHR"\nissuer = "{ISSUER}"\njwks = "jwks.json"\n'
    )


def claims(path: str, **change: Any) -> dict[str, Any]:
    """Of a good token; None leaves one out."""
    now = int(time.time())
    made = {"iss": ISSUER, "aud": BASE + path, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())} | change
    return {name: value for name, value in made.items() if value is not None}


def token(path: str, kid: str = "e", headers: dict[str, Any] | None = None, **change: Any) -> str:
    key, algorithm = SIGNERS[kid]
    return jwt.encode(claims(path, **change), key, algorithm, {"kid": kid, **(headers or {})})
