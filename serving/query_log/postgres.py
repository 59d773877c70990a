"""The query log in PostgreSQL: for several machines, or where the hospital's databases are looked after already.

Writers of all machines take turns by an advisory lock that ends with the transaction, so that the chain has no gap.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from features.errors import DependencyMissing, LogDamaged, LogUnavailable, UsageError
from serving.query_log.anchor import Commit
from serving.query_log.chain import Head
from serving.query_log.entry import Entry
from serving.query_log.keys import LogKeys
from serving.query_log.store import LOG_ID_BYTES, VERSION, Identity, Row, StoredEntry, chained

#: Of the advisory lock; any number that nobody else uses in this database.
LOCK = 0x63656D7269736B
TIMEOUT_SECONDS = 4.0
READ_AT_ONCE = 1_000

_SESSION = ("SET synchronous_commit = on", "SET lock_timeout = '2s'", "SET statement_timeout = '4s'")
_TABLES = (
    "CREATE TABLE IF NOT EXISTS cemrisk_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cemrisk_entries (seq BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " content TEXT NOT NULL, closes INTEGER NOT NULL, hash BYTEA NOT NULL, signature BYTEA)",
    "CREATE TABLE IF NOT EXISTS cemrisk_inputs (id TEXT PRIMARY KEY, body TEXT NOT NULL)",
)
_ROWS = (
    "SELECT e.seq, e.id, e.content, e.closes, e.hash, e.signature, i.body"
    " FROM cemrisk_entries e LEFT JOIN cemrisk_inputs i ON i.id = e.id"
)


class PostgresStore:
    """``begin_with``: the public key with which a log is begun if there is none; None: only read."""

    def __init__(self, url: str, begin_with: bytes | None) -> None:
        try:
            import pg8000.exceptions
            import pg8000.native
        except ImportError:
            raise DependencyMissing("PostgreSQL needs a package more: pip install 'cemrisk[postgres]'") from None
        #: Of the driver, of the socket below it, and of TLS, which is an OSError.
        self._errors = (pg8000.exceptions.Error, OSError)
        target = _target(url)
        with self._translated("opened"):
            # Ours, since the driver leaves it open when a connection fails or breaks.
            self._socket = socket.create_connection((target.pop("host"), target.pop("port")), TIMEOUT_SECONDS)
        try:
            with self._translated("opened"):
                self._connection = pg8000.native.Connection(**target, sock=self._socket)
                if begin_with is not None:
                    self._begin(begin_with)
                elif not self._run("SELECT 1 FROM pg_tables WHERE tablename = 'cemrisk_entries'"):
                    raise LogUnavailable("there is no query log yet: it begins with the first answer of cemrisk serve")
            self._log_id = self.identity().log_id
        except BaseException:
            self.close()
            raise

    def _begin(self, public_key: bytes) -> None:
        for statement in _SESSION:
            self._run(statement)
        with self._transaction():
            for statement in _TABLES:
                self._run(statement)
            meta = {"version": VERSION, "log_id": secrets.token_hex(LOG_ID_BYTES), "public_key": public_key.hex()}
            for name, value in meta.items():
                self._run("INSERT INTO cemrisk_meta VALUES (:n, :v) ON CONFLICT DO NOTHING", n=name, v=value)

    def append(self, entries: Sequence[Entry], keys: LogKeys) -> Commit:
        with self._translated("written"), self._transaction():
            last = self._run("SELECT seq, hash FROM cemrisk_entries ORDER BY seq DESC LIMIT 1")
            rows, commit = chained(self._log_id, Head(last[0][0], bytes(last[0][1])) if last else None, entries, keys)
            self._insert("cemrisk_entries", rows)
            self._insert("cemrisk_inputs", [(one.id, one.kept.decode()) for one in entries if one.kept is not None])
        return commit

    def identity(self) -> Identity:
        with self._translated("read"):
            found = dict(self._run("SELECT name, value FROM cemrisk_meta"))
        try:
            log_id, public_key = (bytes.fromhex(found.get(name, "")) for name in ("log_id", "public_key"))
        except ValueError:
            log_id = public_key = b""
        return Identity(found.get("version", ""), log_id, public_key)

    def rows(self) -> Iterator[Row]:
        """By a cursor of the server: the whole log need not fit into memory."""
        with self._translated("read"), self._snapshot():
            self._run(f"DECLARE found NO SCROLL CURSOR FOR {_ROWS} ORDER BY e.seq")
            while some := self._run(f"FETCH {READ_AT_ONCE} FROM found"):
                yield from map(_row, some)

    def find(self, identifier: str) -> Row | None:
        with self._translated("read"):
            found = self._run(f"{_ROWS} WHERE e.id = :id", id=identifier)
        return _row(found[0]) if found else None

    def holds(self, head: Head) -> bool:
        with self._translated("read"):
            found = self._run("SELECT hash FROM cemrisk_entries WHERE seq = :seq", seq=head.seq)
        return [bytes(digest) for (digest,) in found] == [head.hash]

    def mentioning(self, text: str) -> Iterator[Row]:
        with self._translated("read"):
            yield from map(_row, self._run(f"{_ROWS} WHERE strpos(e.content, :text) > 0 ORDER BY e.seq", text=text))

    def orphans(self) -> int:
        with self._translated("read"):
            found = self._run("SELECT count(*) FROM cemrisk_inputs WHERE id NOT IN (SELECT id FROM cemrisk_entries)")
        return int(found[0][0])

    def close(self) -> None:
        with contextlib.suppress(*self._errors, AttributeError):  # there may be no connection yet
            self._connection.close()
        handle = self._socket.detach()
        if handle >= 0:
            os.close(handle)

    def _run(self, statement: str, **values: Any) -> list[list[Any]]:
        return list(self._connection.run(statement, **values) or ())

    def _insert(self, table: str, rows: Sequence[StoredEntry | tuple[str, str]]) -> None:
        if not rows:
            return
        values = {f"v{i}_{j}": value for i, row in enumerate(rows) for j, value in enumerate(row)}
        places = ", ".join("(" + ", ".join(f":v{i}_{j}" for j in range(len(row))) + ")" for i, row in enumerate(rows))
        self._run(f"INSERT INTO {table} VALUES {places}", **values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """The only writer meanwhile, on all machines; committed at the end, or nothing was done."""
        self._run("BEGIN")
        try:
            self._run(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield
            self._run("COMMIT")
        except BaseException:
            with contextlib.suppress(*self._errors):
                self._run("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            with contextlib.suppress(*self._errors):
                self._run("ROLLBACK")

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """The driver's errors hold values of a statement: only their kind is told."""
        try:
            yield
        except self._errors as error:
            kind = LogDamaged if what == "read" else LogUnavailable
            raise kind(f"the query log cannot be {what}: PostgreSQL, {_code(error)}") from None


def _row(found: Sequence[Any]) -> Row:
    seq, identifier, content, closes, digest, signature, kept = found
    return Row(
        seq,
        identifier,
        content.encode(),
        closes == 1,
        bytes(digest),
        None if signature is None else bytes(signature),
        None if kept is None else kept.encode(),
    )


def _target(url: str) -> dict[str, Any]:
    """What the driver wants to know. A password may stand in the URL or in PostgreSQL's own trust rules."""
    parts = urlsplit(url)
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    database = unquote(parts.path.removeprefix("/"))
    if not (parts.hostname and parts.username and database and port):
        raise UsageError("CEMRISK_DATABASE_URL: expected postgresql://user:password@host:port/database")
    mode = dict(parse_qsl(parts.query)).get("sslmode", "disable")
    if mode not in ("disable", "verify-full"):
        raise UsageError("CEMRISK_DATABASE_URL: sslmode is disable or verify-full, for anything else pretends safety")
    return {
        "ssl_context": mode == "verify-full" or None,
        "user": unquote(parts.username),
        "password": None if parts.password is None else unquote(parts.password),
        "host": parts.hostname,
        "port": port,
        "database": database,
    }


def _code(error: BaseException) -> str:
    """The five characters of SQLSTATE, else the kind of the error."""
    told = error.args[0] if error.args else None
    return f"SQLSTATE {told['C']}" if isinstance(told, dict) and "C" in told else type(error).__name__
