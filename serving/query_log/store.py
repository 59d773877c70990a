"""What a database must be able to do for the query log, and which one it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from features.errors import LogUnavailable
from serving.query_log.anchor import Anchor, Commit
from serving.query_log.chain import Head, genesis, link, to_sign
from serving.query_log.entry import Entry
from serving.query_log.keys import LogKeys
from serving.query_log.settings import LogSettings

VERSION = "1"
LOG_ID_BYTES = 16

#: (seq, id, content, closes, hash, signature or None), as it is stored.
StoredEntry = tuple[int, str, str, int, bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it was found; nothing is trusted yet. ``kept``: the question, if it is there."""

    seq: int
    id: str
    content: bytes
    closes: bool
    hash: bytes
    signature: bytes | None
    kept: bytes | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What the log says of itself."""

    version: str
    log_id: bytes
    public_key: bytes


class Store(Protocol):
    """One database. Not for several threads; each process opens its own."""

    def append(self, entries: Sequence[Entry], keys: LogKeys) -> Commit:
        """Append in one durable transaction, in which the place in the chain is given."""

    def identity(self) -> Identity: ...

    def rows(self) -> Iterator[Row]:
        """Every record in the order of the chain, all from one moment."""

    def find(self, identifier: str) -> Row | None: ...

    def holds(self, head: Head) -> bool:
        """Whether the record of this number is still the one of this hash."""

    def mentioning(self, text: str) -> Iterator[Row]:
        """The records whose content holds the text, in order."""

    def orphans(self) -> int:
        """How many questions are kept without a record."""

    def close(self) -> None: ...


def open_store(settings: LogSettings, keys: LogKeys) -> Store:
    """The log, begun if there is none. Raises ``LogUnavailable`` if it was begun with another key."""
    store = _open(settings, keys.public.raw)
    if store.identity().public_key != keys.public.raw:
        store.close()
        raise LogUnavailable(
            "the key file is not the one that the query log was begun with: restore it, or move the log away"
        )
    return store


def open_to_read(settings: LogSettings) -> Store:
    """The log as it is, never begun. Raises ``LogUnavailable`` if there is none."""
    return _open(settings, None)


def _open(settings: LogSettings, begin_with: bytes | None) -> Store:
    if settings.database is not None:
        from serving.query_log.postgres import PostgresStore

        return PostgresStore(settings.database, begin_with)
    from serving.query_log.sqlite import SqliteStore

    return SqliteStore(settings.file, begin_with)


def fits(store: Store, keys: LogKeys) -> Callable[[Anchor], bool]:
    """Whether an anchor was signed with our key and the log still has its record: what ``advance`` asks."""
    return lambda anchor: anchor.is_signed_by(keys.public) and store.holds(anchor.head)


def chained(
    log_id: bytes, last: Head | None, entries: Sequence[Entry], keys: LogKeys
) -> tuple[list[StoredEntry], Commit]:
    """The rows to insert after the last one, and the commit that they are."""
    after = last or genesis(log_id)
    links = link(after, [entry.content for entry in entries])
    anchor = Anchor(log_id, links[-1].head, keys.sign(to_sign(log_id, links[-1].head)))
    rows: list[StoredEntry] = [
        (
            one.head.seq,
            entry.id,
            one.content.decode(),
            int(one.closes),
            one.head.hash,
            anchor.signature if one.closes else None,
        )
        for one, entry in zip(links, entries, strict=True)
    ]
    return rows, Commit(anchor, after)
