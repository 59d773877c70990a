"""Where the query log lies: read once from the home folder and the environment, by whoever starts the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import UsageError

YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``database``: URL of a PostgreSQL database, or None for the file below the home folder.

    ``key``: file of the secret keys. ``anchor``: file of the newest signed head; both lie outside the log, best on
    another disk or under another owner. ``keep_inputs``: whether questions themselves are kept, for replay.
    """

    folder: Path
    key: Path
    anchor: Path
    database: str | None = None
    keep_inputs: bool = False

    @classmethod
    def of(cls, home: Path, environment: Mapping[str, str]) -> LogSettings:
        """From ``CEMRISK_DATABASE_URL``, ``CEMRISK_LOG_KEY``, ``CEMRISK_LOG_ANCHOR`` and ``CEMRISK_LOG_INPUTS``.

        Raises ``UsageError`` for a word that is neither yes nor no, or a database that is none we know.
        """
        said = environment.get("CEMRISK_LOG_INPUTS", "").lower()
        if said not in YES + NO:
            raise UsageError(f"CEMRISK_LOG_INPUTS: expected one of {', '.join(YES + NO[1:])}")
        database = environment.get("CEMRISK_DATABASE_URL") or None
        if database is not None and not database.startswith(("postgresql://", "postgres://")):
            raise UsageError("CEMRISK_DATABASE_URL: expected postgresql://user:password@host:port/database")
        return cls(
            home / "query_log",
            Path(environment.get("CEMRISK_LOG_KEY") or home / "query_log.key"),
            Path(environment.get("CEMRISK_LOG_ANCHOR") or home / "query_log.anchor"),
            database,
            said in YES,
        )

    @property
    def file(self) -> Path:
        """The SQLite database."""
        return self.folder / "log.db"

    @property
    def public_key(self) -> Path:
        """What an auditor needs to check signatures, and may have: the public half of the signing key."""
        return self.key.with_suffix(".pub")
