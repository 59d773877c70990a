"""The signed tokens by which an EHR shows who it is (CDS Hooks 2.0, "Trusting CDS Clients").

A token is good if its issuer is on the list, it is signed by one of that issuer's keys with RS384 or ES384, it is meant
for exactly the address that is called, it is not older than it says and never lives longer than five minutes, and it
has not been seen before. What the token itself says of where its keys are (``jku``) is not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jwt
from jwt.exceptions import PyJWTError

from features.errors import CemriskError
from serving.cds_hooks.clients import Client, Ehr, Settings
from serving.log_lines import LOGGER
from serving.policy import Caller, Role

logger = logging.getLogger(LOGGER)

LONGEST_SECONDS = 300
LEEWAY_SECONDS = 30
SWEEP_EVERY_SECONDS = 60.0
#: Where the tokens that were seen are remembered: a folder, so that all workers see the same.
FOLDER = "tokens-seen"
_REQUIRED = ["iss", "aud", "exp", "iat", "jti"]


class TokensUnavailable(CemriskError):
    """A good token cannot be remembered, so that it could come a second time: it does not open the door now."""

    http_status = 503
    code = "tokens_unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "2"}


class Tokens:
    """Recognises the tokens of the EHRs that may call."""

    def __init__(self, ehr: Ehr) -> None:
        self._ehr, self._swept_at = ehr, float("-inf")

    def recognise(self, token: bytes, pattern: str) -> Caller | None:
        """Who sent the token to the route of this pattern; None if it is no good. Why not, stands in the log.

        Raises ``TokensUnavailable``.
        """
        settings = self._ehr.settings
        if not settings.clients or token.count(b".") != 2:
            return None
        try:
            client, claims = verified(token, f"{settings.base_url}{pattern}", settings)
        except PyJWTError as error:
            logger.warning("a token of an EHR was refused: %s", type(error).__name__)
            return None
        if not self._first_time(client.issuer, str(claims["jti"])):
            logger.warning("a token of an EHR was refused: it came a second time")
            return None
        return Caller(f"ehr:{client.name}", frozenset({Role.ASK}))

    def _first_time(self, issuer: str, identifier: str) -> bool:
        """Remember the token; whether it was new. Making a file that must not exist is atomic between workers."""
        assert self._ehr.home is not None
        folder = self._ehr.home / FOLDER
        name = hashlib.sha256(f"{issuer}\0{identifier}".encode(errors="surrogatepass")).hexdigest()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep(folder)
            return _made(folder / name)
        except OSError as error:
            logger.error("tokens of EHRs cannot be remembered: %s; they are answered 503", error.strerror)
            raise TokensUnavailable("the token cannot be put on record; see Retry-After") from error

    def _sweep(self, folder: Path) -> None:
        """Forget those that have expired: a token lives no longer than this from when it was first seen."""
        now = time.time()
        if now - self._swept_at < SWEEP_EVERY_SECONDS:
            return
        self._swept_at = now
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another worker sweeps too
                if path.stat().st_mtime + LONGEST_SECONDS + 2 * LEEWAY_SECONDS < now:
                    path.unlink()


def _made(path: Path) -> bool:
    """Make an empty file; False if it is there already."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def verified(token: bytes, audience: str, settings: Settings) -> tuple[Client, dict[str, Any]]:
    """Whose token it is, and what it says. Raises ``PyJWTError``."""
    stated = jwt.decode(token, options={"verify_signature": False})
    client = settings.clients.get(str(stated.get("iss")))
    if client is None:
        raise jwt.InvalidIssuerError
    verifier = client.keys.get(str(jwt.get_unverified_header(token).get("kid")))
    if verifier is None:
        raise jwt.InvalidKeyError
    claims: dict[str, Any] = jwt.decode(
        token,
        verifier.key,
        algorithms=[verifier.algorithm],
        audience=audience,
        issuer=client.issuer,
        leeway=LEEWAY_SECONDS,
        options={"require": _REQUIRED},
    )
    ends = int(claims["exp"])
    if ends - int(claims["iat"]) > LONGEST_SECONDS or ends > time.time() + LONGEST_SECONDS + LEEWAY_SECONDS:
        raise jwt.InvalidTokenError
    return client, claims
