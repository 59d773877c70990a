"""The newest signed head, kept outside the log: without it nobody could tell that the end of the log was cut off.

One file of fixed length, overwritten in place by every worker after each commit, under a lock and only forwards. It is
not forced to the disk: after a power cut it may lag behind the log, never run ahead of it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.query_log.chain import Head, to_sign
from serving.query_log.keys import PublicKey

LENGTH = 512


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of one log, signed."""

    log_id: bytes
    head: Head
    signature: bytes

    def is_signed_by(self, key: PublicKey) -> bool:
        return key.signed(to_sign(self.log_id, self.head), self.signature)


@dataclass(frozen=True, slots=True)
class Commit:
    """Records that are on the disk: the signed head that they end with, and the head that they were chained onto."""

    anchor: Anchor
    after: Head


def advance(path: Path, commit: Commit, fits: Callable[[Anchor], bool], last: Anchor | None = None) -> bool:
    """Write the commit's anchor unless the file holds a later one; returns whether the log grew out of those before.

    The anchor must not move past a cut: a log that lost its end and is then written on is a perfect chain, and so is a
    new one that began because the whole log was deleted; only the head that is in neither tells. So where an older
    anchor does not fit, it stays. ``last``: what this worker signed and wrote before, which fits if the commit was
    chained onto it; ``fits`` is asked of any other: whether it is genuine and its record in the log.

    Raises ``OSError``.
    """
    anchor = commit.anchor
    own = None if last is None else _bytes(last)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        raw = os.pread(handle, LENGTH, 0)
        found = last if raw == own else _parse(raw)
        whole = all(one is None or (one is last and one.head == commit.after) or fits(one) for one in {found, last})
        newest = anchor if whole else last
        if newest is not None and (found is None or found.head.seq < newest.head.seq):
            os.pwrite(handle, _bytes(newest), 0)
    finally:
        os.close(handle)
    return whole


def read_anchor(path: Path) -> Anchor | None:
    """The anchor, or None if there is none that can be read."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return None


def _bytes(anchor: Anchor) -> bytes:
    fields = {
        "log": anchor.log_id.hex(),
        "seq": anchor.head.seq,
        "hash": anchor.head.hash.hex(),
        "signature": anchor.signature.hex(),
    }
    return (json.dumps(fields) + "\n").rjust(LENGTH).encode()


def _parse(raw: bytes) -> Anchor | None:
    try:
        found = json.loads(raw)
        log_id, digest, signature = (bytes.fromhex(found[name]) for name in ("log", "hash", "signature"))
        whole = type(found["seq"]) is int and len(digest) == 32 and len(raw) == LENGTH
        return Anchor(log_id, Head(found["seq"], digest), signature) if whole and found["seq"] >= 0 else None
    except (ValueError, KeyError, TypeError):
        return None
