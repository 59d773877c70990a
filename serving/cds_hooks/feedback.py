"""What became of cards: the card, the outcome, a coded reason. A comment may name a patient and is dropped.

The file is an SQLite database beside the models, so that it is there after a crash and several workers can write.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import CemriskError
from serving.cds_hooks.call import UUID
from serving.cds_hooks.cards import REASONS
from serving.fhir.reading import at, moment
from serving.problem import Fault, QuestionRejected

FILE = "cds-feedback.db"
MOST = 100
OUTCOMES = ("accepted", "overridden")
#: In the place of a reason that is not one of ours.
OTHER = "other"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS feedback (received TEXT NOT NULL, happened TEXT NOT NULL, card TEXT NOT NULL,"
    " outcome TEXT NOT NULL, reason TEXT, key TEXT) STRICT"
)
BUSY_SECONDS = 5.0


class FeedbackUnavailable(CemriskError):
    """The feedback cannot be put on record now."""

    http_status = 503
    code = "feedback_unavailable"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of one card: its uuid, accepted or overridden, why (None if not said), when (ISO 8601)."""

    card: str
    outcome: str
    reason: str | None
    happened: str


def read_feedback(body: Any) -> list[Feedback]:
    """Raises ``QuestionRejected`` with all faults."""
    entries = at(body, "feedback")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST:
        raise QuestionRejected([Fault("/feedback", "wrong_type", f"feedback: expected a list of 1 to {MOST} objects")])
    faults: list[Fault] = []
    found = [_entry(entry, f"/feedback/{index}", faults) for index, entry in enumerate(entries)]
    if faults:
        raise QuestionRejected(faults)
    return found


def _entry(entry: Any, pointer: str, faults: list[Fault]) -> Feedback:
    card, outcome, when = at(entry, "card"), at(entry, "outcome"), at(entry, "outcomeTimestamp")
    if not isinstance(card, str) or not re.fullmatch(UUID.strip("^$"), card):
        faults.append(Fault(f"{pointer}/card", "wrong_type", "card: expected the uuid of a card"))
    if outcome not in OUTCOMES:
        faults.append(Fault(f"{pointer}/outcome", "unknown_choice", f"outcome: expected one of {', '.join(OUTCOMES)}"))
    if moment(when) is None or "T" not in str(when).upper():
        faults.append(Fault(f"{pointer}/outcomeTimestamp", "wrong_type", "outcomeTimestamp: expected a time, ISO 8601"))
    reason = at(entry, "overrideReason")
    if reason is not None and not isinstance(reason, dict):
        faults.append(Fault(f"{pointer}/overrideReason", "wrong_type", "overrideReason: expected an object"))
    return Feedback(str(card).lower(), str(outcome), _reason(reason), _utc(when))


def _utc(when: Any) -> str:
    found = moment(when)
    return "" if found is None else found.isoformat(timespec="seconds")


def _reason(reason: Any) -> str | None:
    """One of our codes; what else was said is only counted. In 2.0 the coding stands under ``reason``."""
    code = at(reason, "reason", "code") or at(reason, "code")
    if isinstance(code, str) and code in REASONS:
        return code
    return OTHER if reason else None


def keep(home: Path | None, feedback: Sequence[Feedback], key_id: str | None) -> None:
    """Put all on record, or none. Raises ``FeedbackUnavailable``."""
    if home is None:
        raise FeedbackUnavailable("the service has no folder to keep feedback in")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [(now, one.happened, one.card, one.outcome, one.reason, key_id) for one in feedback]
    try:
        path = home / FILE
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection, connection:
            path.chmod(0o600)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_TABLE)
            connection.executemany("INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        raise FeedbackUnavailable("the feedback cannot be written; send it again later") from error


def kept(home: Path) -> Iterator[tuple[Feedback, str | None]]:
    """What was kept, with the key that sent it, in the order in which it came."""
    path = home / FILE
    if not path.is_file():
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
        rows = connection.execute("SELECT card, outcome, reason, happened, key FROM feedback ORDER BY rowid")
        for card, outcome, reason, happened, key in rows:
            yield Feedback(card, outcome, reason, happened), key
