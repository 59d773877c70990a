"""Access keys: made, listed and revoked by commands, known to the service by their hash only.

They stand in ``<home>/keys.json``, which the owner alone can read. A key holds 256 random bits, so its plain SHA-256
cannot be turned back and looking it up by its hash tells nobody anything by the time that it takes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.errors import CemriskError, UsageError
from features.files import locked, write_private
from serving import files
from serving.log_lines import LOGGER
from serving.policy import Role

logger = logging.getLogger(LOGGER)

#: Environment variable: set, a key has to be shown even if there is no file of keys.
REQUIRE_KEYS = "CEMRISK_REQUIRE_KEYS"
FILE = "keys.json"
FORMAT = 1
PREFIX = "cemrisk"
#: How long a key is good for unless it is said otherwise.
DEFAULT_DAYS = 365
MOST_DAYS = 3650
LONGEST_NAME = 80
#: How old the knowledge of a worker about the keys may be.
LOOK_EVERY_SECONDS = 0.25


class KeysUnreadable(CemriskError):
    """The file of the keys cannot be read, so nobody is let in."""

    http_status = 503
    code = "keys_unreadable"


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept; times are ISO 8601 in UTC, ``expires_at`` None for never."""

    id: str
    name: str
    roles: tuple[Role, ...]
    sha256: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None = None

    def state(self, now: float) -> str:
        """``good``, ``expired`` or ``revoked`` at a time in seconds since 1970."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and datetime.fromisoformat(self.expires_at).timestamp() <= now
        return "expired" if expired else "good"


def create(home: Path, name: str, roles: Collection[Role], days: float | None = DEFAULT_DAYS) -> tuple[Key, str]:
    """A new key and its text, which is kept nowhere. ``days``: until it expires, None for never."""
    if not roles:
        raise UsageError("a key needs at least one role")
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"the name of a key has 1 to {LONGEST_NAME} printable characters; say who uses it, not a person"
        )
    if days is not None and not 0 < days <= MOST_DAYS:
        raise UsageError(f"a key is good for more than 0 and at most {MOST_DAYS} days")
    now = datetime.now(UTC)
    key_id = secrets.token_hex(4)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    until = None if days is None else _iso(now + timedelta(days=days))
    key = Key(key_id, name, tuple(sorted(set(roles))), _digest(text.encode()), _iso(now), until)
    with locked(home / f".{FILE}.lock"):
        _write(home, [*read(home), key])
    return key, text


def revoke(home: Path, key_id: str) -> Key:
    """Take a key out of use for good. Raises ``UsageError`` if there is none of that id."""
    with locked(home / f".{FILE}.lock"):
        keys = read(home)
        found = next((key for key in keys if key.id == key_id), None)
        if found is None:
            raise UsageError("there is no key of that id; cemrisk keys list shows those that there are")
        revoked = found if found.revoked_at else replace(found, revoked_at=_iso(datetime.now(UTC)))
        _write(home, [revoked if key.id == key_id else key for key in keys])
    return revoked


def read(home: Path) -> list[Key]:
    """All keys, in the order in which they were made. Raises ``KeysUnreadable``."""
    try:
        content = (home / FILE).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeysUnreadable("the file of the access keys cannot be read") from error
    try:
        stored = json.loads(content)
        if stored["format"] != FORMAT:
            raise KeysUnreadable("the file of the access keys is of another version of cemrisk")
        return [_key(entry) for entry in stored["keys"]]
    except (KeyError, TypeError, ValueError) as error:
        raise KeysUnreadable(
            "the file of the access keys is damaged: restore it, or move it away and make keys anew"
        ) from error


def any_good(home: Path) -> bool:
    """Whether there is a key that opens anything now."""
    return any(key.state(time.time()) == "good" for key in read(home))


class Keyring:
    """The keys as a worker sees them; a change of the file is seen within ``LOOK_EVERY_SECONDS``.

    Once keys were in use, or if they are ``required``, a file that vanishes locks everybody out instead of letting
    everybody in; so does one that cannot be read.
    """

    def __init__(self, home: Path, required: bool = False) -> None:
        self._home, self._in_use = home, required
        self._keys: Mapping[str, Key] = {}
        self._stamp: files.Stamp | None = None
        self._looked_at = float("-inf")
        self._fault: KeysUnreadable | None = None

    @property
    def in_use(self) -> bool:
        """Whether a key has to be shown. Raises ``KeysUnreadable``."""
        self._look()
        return self._in_use

    def find(self, text: bytes) -> Key | None:
        """The key of this text, whatever its state. Raises ``KeysUnreadable``."""
        self._look()
        return self._keys.get(_digest(text))

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_SECONDS:
            self._looked_at = now
            found = files.stamp(self._home / FILE)
            if found != self._stamp or self._fault is not None:
                self._stamp = found
                self._load()
        if self._fault is not None:
            raise KeysUnreadable(str(self._fault))

    def _load(self) -> None:
        self._in_use = self._in_use or self._stamp is not None
        try:
            self._keys = {key.sha256: key for key in read(self._home)}
            self._fault = None
        except KeysUnreadable as error:
            if self._fault is None:
                logger.error("%s; nobody is let in until it is", error)
            self._keys, self._fault = {}, error


def _key(entry: Mapping[str, Any]) -> Key:
    key = Key(**{**entry, "roles": tuple(Role(role) for role in entry["roles"])})
    key.state(0.0)  # a time that cannot be read is found now, not when the key is shown
    return key


def _write(home: Path, keys: Collection[Key]) -> None:
    stored = {"format": FORMAT, "keys": [asdict(key) for key in keys]}
    write_private(home / FILE, json.dumps(stored, ensure_ascii=False, indent=1).encode())


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
