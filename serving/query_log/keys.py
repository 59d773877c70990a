"""The keys of the query log: one that hashes what identifies, one that signs; both in a file outside the log.

Hashes of inputs and of ``case_id`` are keyed (HMAC-SHA256): there are few enough patients for a plain hash to be
guessed. Signatures are Ed25519, so that an auditor can check them with the public half and cannot forge one.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from features.errors import LogUnavailable
from features.files import write_once

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Checks signatures; ``raw`` are its 32 bytes."""

    raw: bytes

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, and of this message."""
        try:
            _checker(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=8)
def _checker(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The secret keys of one log."""

    hashing: bytes
    signing: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.signing.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self.signing.sign(message)

    def hash(self, kind: str, content: bytes) -> str:
        """HMAC-SHA256 in hexadecimal; ``kind`` keeps an input from ever hashing like a ``case_id``."""
        return hmac.digest(self.hashing, kind.encode() + b"\0" + content, "sha256").hex()


def ensure_keys(path: Path) -> LogKeys:
    """The keys in the file; made, with its public half beside it, if there is none; all workers may call it."""
    if not path.exists():
        made = {"hashing": secrets.token_hex(KEY_BYTES), "signing": secrets.token_hex(KEY_BYTES)}
        write_once(path, json.dumps(made) + "\n")
    keys = read_keys(path)
    public = path.with_suffix(".pub")
    if not public.exists():
        write_once(public, keys.public.raw.hex() + "\n", 0o644)
    return keys


def read_keys(path: Path) -> LogKeys:
    """Raises ``LogUnavailable`` if the file is not there, may not be read or holds no keys."""
    try:
        found = json.loads(path.read_bytes())
        hashing, signing = (bytes.fromhex(found[name]) for name in ("hashing", "signing"))
        if len(hashing) != KEY_BYTES:
            raise ValueError
        return LogKeys(hashing, Ed25519PrivateKey.from_private_bytes(signing))
    except OSError as error:
        raise LogUnavailable(f"the key file of the query log cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError):
        raise LogUnavailable("the key file of the query log is damaged: restore it from its backup") from None


def read_public(path: Path) -> PublicKey:
    """The public half, as 64 hexadecimal digits in a file."""
    try:
        raw = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise LogUnavailable("the public key of the query log cannot be read: expected a file of 64 hexadecimal digits")
    return PublicKey(raw)
