"""The health records that may call: ``ehr.toml`` beside the models, and the public keys of each in a local file.

    base_url = "https://cemrisk.hospital.example"    # as the EHR addresses the service: the audience of its tokens
    origins = ["https://ehr.hospital.example"]       # web pages that may call, for CORS; none by default
    [[client]]
    name = "main EHR"                                # stands in the query log
    issuer = "https://ehr.hospital.example"          # iss of its tokens
    jwks = "ehr-jwks.json"                           # its public keys; relative to this file, never fetched

A change is seen within a second. A file that cannot be used lets nobody in until it can.
"""

from __future__ import annotations

import json
import logging
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import UsageError
from serving import files
from serving.log_lines import LOGGER

logger = logging.getLogger(LOGGER)

FILE = "ehr.toml"
LOOK_EVERY_SECONDS = 1.0
SHORTEST_RSA_BITS = 2048
NO_KEY_SET = f"{FILE}: jwks must be a local file with a JSON Web Key Set, each key with a kid"
_FIELDS, _CLIENT_FIELDS = {"base_url", "origins", "client"}, {"name", "issuer", "jwks"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_URL = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/\-]*)?")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the one algorithm it is used with."""

    key: Any
    algorithm: str


@dataclass(frozen=True, slots=True)
class Client:
    """One health record; ``keys`` by their kid."""

    name: str
    issuer: str
    keys: Mapping[str, Verifier]


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``ehr.toml`` says; ``files``: all that was read for it."""

    base_url: str | None = None
    origins: frozenset[str] = frozenset()
    clients: Mapping[str, Client] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def read(home: Path) -> Settings:
    """The settings; without a file, none. Raises ``UsageError`` that says what to mend."""
    path = home / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(files=(path,))
    except (OSError, ValueError) as error:
        raise UsageError(f"{FILE} cannot be read as TOML") from error
    if unknown := set(found) - _FIELDS:
        raise UsageError(f"{FILE}: unknown names: {', '.join(sorted(unknown))}; known are {', '.join(sorted(_FIELDS))}")
    clients = [_client(entry, home) for entry in found.get("client", [])]
    if len({client.issuer for client, _ in clients}) < len(clients):
        raise UsageError(f"{FILE}: two clients have the same issuer")
    base_url = found.get("base_url")
    if clients and base_url is None:
        raise UsageError(f"{FILE}: base_url is needed, since tokens must name the address they are meant for")
    return Settings(
        None if base_url is None else _url(base_url, "base_url").rstrip("/"),
        frozenset(_origin(origin) for origin in found.get("origins", [])),
        {client.issuer: client for client, _ in clients},
        (path, *(jwks for _, jwks in clients)),
    )


def _client(entry: Any, home: Path) -> tuple[Client, Path]:
    if not isinstance(entry, dict) or set(entry) != _CLIENT_FIELDS:
        raise UsageError(f"{FILE}: each [[client]] has {', '.join(sorted(_CLIENT_FIELDS))}, and nothing else")
    name, issuer, jwks = entry["name"], entry["issuer"], entry["jwks"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{FILE}: a client's name has 1 to 40 letters, digits, blanks, dots or dashes")
    if not isinstance(issuer, str) or not issuer or not isinstance(jwks, str):
        raise UsageError(f"{FILE}: issuer and jwks of a client are texts")
    path = home / jwks
    return Client(name, issuer, _keys(path)), path


def _keys(path: Path) -> dict[str, Verifier]:
    try:
        found = json.loads(path.read_bytes())
        return {key["kid"]: _verifier(key) for key in found["keys"]}
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(NO_KEY_SET) from error


def _verifier(key: dict[str, Any]) -> Verifier:
    """RS384 or ES384, which CDS Hooks names; a secret in the file is refused, because it does not belong there."""
    if "d" in key or "k" in key:
        raise UsageError(f"{FILE}: the key set holds a secret key; only public ones belong there")
    # Here, since it is slow to load: most services have no health record to listen to.
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        public = PyJWK({**key, "alg": "RS384" if key.get("kty") == "RSA" else "ES384"}).key
    except PyJWTError as error:
        raise UsageError(NO_KEY_SET) from error
    if isinstance(public, RSAPublicKey) and public.key_size >= SHORTEST_RSA_BITS:
        return Verifier(public, "RS384")
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP384R1):
        return Verifier(public, "ES384")
    raise UsageError(f"{FILE}: keys must be RSA of {SHORTEST_RSA_BITS} bits or more, or EC on P-384")


def _url(value: Any, name: str) -> str:
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise UsageError(f"{FILE}: {name} must be an address such as https://cemrisk.hospital.example")
    return value


def _origin(value: Any) -> str:
    if _url(value, "each of origins").count("/") != 2:
        raise UsageError(f"{FILE}: an origin is scheme and host only, such as https://ehr.hospital.example")
    return str(value)


class Ehr:
    """The settings as a worker sees them; without ``home`` there are none."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home
        self._settings = Settings()
        self._stamps: tuple[files.Stamp | None, ...] | None = None
        self._looked_at = float("-inf")

    @property
    def settings(self) -> Settings:
        """What is in force now."""
        now = time.monotonic()
        if self.home is not None and now - self._looked_at >= LOOK_EVERY_SECONDS:
            self._looked_at = now
            self._look(self.home)
        return self._settings

    def _look(self, home: Path) -> None:
        stamps = tuple(files.stamp(path) for path in self._settings.files)
        if self._stamps is not None and stamps == self._stamps:
            return
        try:
            self._settings = read(home)
        except UsageError as error:
            logger.error("%s; no health record is let in until that is mended", error)
            known = {home / FILE, *self._settings.files, *home.glob("*.json")}
            self._settings = Settings(files=tuple(sorted(known)))
        self._stamps = tuple(files.stamp(path) for path in self._settings.files)
