"""The query log in an SQLite file: write-ahead log, every commit forced to the disk, several workers writing."""

from __future__ import annotations

import contextlib
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from features.errors import LogDamaged, LogUnavailable
from features.files import sync
from serving.query_log.anchor import Commit
from serving.query_log.chain import Head
from serving.query_log.entry import Entry
from serving.query_log.keys import LogKeys
from serving.query_log.store import LOG_ID_BYTES, VERSION, Identity, Row, chained

#: How long a commit waits while others write. SQLite's own waiting sleeps for up to 100 ms at a time, a commit takes 2.
BUSY_SECONDS = 2.0
PAUSE_SECONDS = (0.0003, 0.0015)

_TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL,"
    " closes INTEGER NOT NULL, hash BLOB NOT NULL, signature BLOB) STRICT",
    "CREATE TABLE IF NOT EXISTS inputs (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
)
_ROWS = (
    "SELECT e.seq, e.id, e.content, e.closes, e.hash, e.signature, i.body"
    " FROM entries e LEFT JOIN inputs i ON i.id = e.id"
)

#: Connections to files that no longer stand in their place. Closed, each would remove the write-ahead log of that
#: place, which may be another database's by now.
_ASTRAY: list[sqlite3.Connection] = []


class SqliteStore:
    """``begin_with``: the public key with which a log is begun if there is none; None: only read."""

    def __init__(self, path: Path, begin_with: bytes | None) -> None:
        if begin_with is None and not path.is_file():
            raise LogUnavailable("there is no query log yet: it begins with the first answer of cemrisk serve")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._connection.text_factory = bytes  # what was tampered with need not be UTF-8
            if begin_with is not None:
                self._begin(path, begin_with)
            self._path, self._inode = path, _inode(path)
            self._log_id = self.identity().log_id if begin_with is not None else b""
        except (sqlite3.Error, OSError) as error:
            raise LogUnavailable(f"the query log cannot be opened: {_reason(error)}") from error

    def _begin(self, path: Path, public_key: bytes) -> None:
        path.chmod(0o600)
        self._patiently("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        if self._connection.execute("SELECT count(*) FROM sqlite_master WHERE name='meta'").fetchone()[0]:
            return
        with self._transaction():
            for statement in _TABLES:
                self._connection.execute(statement)
            meta = {"version": VERSION, "log_id": secrets.token_hex(LOG_ID_BYTES), "public_key": public_key.hex()}
            self._connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", meta.items())
        sync(path.parent.parent)  # SQLite sees to the name of its file, not to that of the folder it lies in

    def append(self, entries: Sequence[Entry], keys: LogKeys) -> Commit:
        try:
            with self._transaction():
                last = self._connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
                rows, commit = chained(self._log_id, last and Head(*last), entries, keys)
                self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
                kept = [(entry.id, entry.kept.decode()) for entry in entries if entry.kept is not None]
                if kept:
                    self._connection.executemany("INSERT INTO inputs VALUES (?, ?)", kept)
                self._require_place()
        except sqlite3.Error as error:
            raise LogUnavailable(f"the query log cannot be written: {_reason(error)}") from error
        return commit

    def identity(self) -> Identity:
        found = {k.decode(errors="replace"): v for k, v in self._read("SELECT name, value FROM meta")}
        raw = {name: _unhex(found.get(name, b"")) for name in ("log_id", "public_key")}
        return Identity(found.get("version", b"").decode(errors="replace"), raw["log_id"], raw["public_key"])

    def rows(self) -> Iterator[Row]:
        return self._rows(f"{_ROWS} ORDER BY e.seq")

    def find(self, identifier: str) -> Row | None:
        return next(self._rows(f"{_ROWS} WHERE e.id = ?", identifier), None)

    def holds(self, head: Head) -> bool:
        return list(self._read("SELECT hash FROM entries WHERE seq = ?", head.seq)) == [(head.hash,)]

    def mentioning(self, text: str) -> Iterator[Row]:
        return self._rows(f"{_ROWS} WHERE instr(e.content, ?) > 0 ORDER BY e.seq", text)

    def orphans(self) -> int:
        statement = "SELECT count(*) FROM inputs WHERE id NOT IN (SELECT id FROM entries)"
        return int(next(self._read(statement))[0])

    def close(self) -> None:
        if _inode(self._path) == self._inode:
            self._connection.close()
        else:
            _ASTRAY.append(self._connection)

    def _require_place(self) -> None:
        """A file that was deleted or moved away can be written on, and nobody would ever find the record."""
        if _inode(self._path) != self._inode:
            raise LogUnavailable("the file of the query log was deleted, moved or replaced while the service runs")

    def _rows(self, statement: str, *values: str) -> Iterator[Row]:
        for seq, identifier, content, closes, digest, signature, kept in self._read(statement, *values):
            yield Row(seq, identifier.decode(errors="replace"), content, closes == 1, digest, signature, kept)

    def _read(self, statement: str, *values: str | int) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise LogDamaged(f"the query log cannot be read, its file is damaged: {_reason(error)}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """The only writer meanwhile, of all processes; committed at the end, or nothing was done."""
        self._patiently("BEGIN IMMEDIATE")
        try:
            yield
            self._patiently("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _patiently(self, statement: str) -> None:
        """Execute as soon as nobody else writes."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > until:
                    raise
            time.sleep(random.uniform(*PAUSE_SECONDS))


def _inode(path: Path) -> tuple[int, int] | None:
    """Which file stands there; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _unhex(text: Any) -> bytes:
    try:
        return bytes.fromhex(text.decode())
    except (ValueError, AttributeError):
        return b""


def _reason(error: sqlite3.Error | OSError) -> str:
    """What happened, in words that hold nothing of a record."""
    return getattr(error, "sqlite_errorname", None) or getattr(error, "strerror", None) or type(error).__name__
