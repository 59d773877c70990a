"""The chain of the query log, pure: each link is a hash over the one before, its number, and the record itself.

A commit of several records ends with one that closes it; that one is signed. What closes is part of the hash, so a
signature cannot be taken away without a trace. The chain begins with the identity of the log: records of another log,
though signed with the same key, do not fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_DOMAIN = b"cemrisk query log 1\0"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link: its number, 0 for a log without records, and its hash (32 bytes)."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """One record in its place; ``signature`` only where ``closes``."""

    head: Head
    content: bytes
    closes: bool


def genesis(log_id: bytes) -> Head:
    """Where the chain of the log of this identity (16 bytes) begins."""
    return Head(0, hashlib.sha256(_DOMAIN + log_id).digest())


def following(head: Head, content: bytes, closes: bool) -> Head:
    """The head after one more record."""
    seq = head.seq + 1
    return Head(seq, hashlib.sha256(head.hash + seq.to_bytes(8) + bytes([closes]) + content).digest())


def link(head: Head, contents: Sequence[bytes]) -> list[Link]:
    """The links of one commit; the last one closes it."""
    links = []
    for place, content in enumerate(contents, start=1):
        closes = place == len(contents)
        head = following(head, content, closes)
        links.append(Link(head, content, closes))
    return links


def to_sign(log_id: bytes, head: Head) -> bytes:
    """The bytes that a signature is of."""
    return _DOMAIN + log_id + head.seq.to_bytes(8) + head.hash
