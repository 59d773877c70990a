"""What somebody with write access to the log's database and its anchor could do, who does not have the keys.

Each function changes the log in one way, at places that ``rng`` picks, and returns False if there was nothing to change
(a swap in a log of one record). None may go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable

from serving.query_log import LogSettings
from serving.query_log.chain import Head, following
from serving.query_log.store import LOG_ID_BYTES

Database = sqlite3.Connection
Tampering = Callable[[random.Random, Database, LogSettings], bool]


def _seqs(database: Database) -> list[int]:
    return [row[0] for row in database.execute("SELECT seq FROM entries ORDER BY seq")]


def _any(rng: random.Random, database: Database) -> int:
    return rng.choice(_seqs(database))


def _flipped(rng: random.Random, text: str) -> str:
    """One character replaced by another one that can be printed."""
    place = rng.randrange(len(text))
    other = rng.choice([c for c in "0123456789abcdef.,:x" if c != text[place]])
    return text[:place] + other + text[place + 1 :]


def _get(database: Database, seq: int, column: str) -> str | bytes:
    found: str | bytes = database.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()[0]
    return found


def _set(database: Database, seq: int, column: str, value: object) -> bool:
    database.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (value, seq))
    return True


def edit_character(rng: random.Random, database: Database, place: LogSettings) -> bool:
    seq = _any(rng, database)
    return _set(database, seq, "content", _flipped(rng, str(_get(database, seq, "content"))))


def edit_risk(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """As somebody would who wants to have said something else."""
    seq = _any(rng, database)
    content = json.loads(_get(database, seq, "content"))
    content["risks"]["leakage"] = [rng.random()]
    return _set(database, seq, "content", json.dumps(content))


def edit_and_rehash_all_after(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """Edit, then make the chain fit again: the algorithm is no secret, only the signatures cannot be made."""
    seqs = _seqs(database)
    seq = rng.choice(seqs)
    edit_risk_at(rng, database, seq)
    _rehash_from(database, seq)
    return True


def edit_risk_at(rng: random.Random, database: Database, seq: int) -> None:
    content = json.loads(_get(database, seq, "content"))
    content["at"] = f"2026-01-{rng.randrange(1, 28):02d}T00:00:00.000Z"
    _set(database, seq, "content", json.dumps(content))


def _rehash_from(database: Database, seq: int) -> None:
    before = database.execute(
        "SELECT seq, hash FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT 1", (seq,)
    ).fetchone()
    if before is None:
        log_id = database.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()[0]
        before = (0, hashlib.sha256(b"cemrisk query log 1\0" + bytes.fromhex(log_id)).digest())
    head = Head(*before)
    later = database.execute("SELECT seq, content, closes FROM entries WHERE seq >= ? ORDER BY seq", (seq,)).fetchall()
    for at, content, closes in later:
        head = following(head, content.encode(), bool(closes))
        _set(database, at, "hash", head.hash)


def edit_id(rng: random.Random, database: Database, place: LogSettings) -> bool:
    seq = _any(rng, database)
    return _set(database, seq, "id", _flipped(rng, str(_get(database, seq, "id"))))


def edit_hash(rng: random.Random, database: Database, place: LogSettings) -> bool:
    return _set(database, _any(rng, database), "hash", rng.randbytes(32))


def edit_signature(rng: random.Random, database: Database, place: LogSettings) -> bool:
    return _set(database, _any(rng, database), "signature", rng.randbytes(64))


def borrow_signature(rng: random.Random, database: Database, place: LogSettings) -> bool:
    signed = [row[0] for row in database.execute("SELECT seq FROM entries WHERE signature IS NOT NULL")]
    if len(signed) < 2:
        return False
    one, other = rng.sample(signed, 2)
    return _set(database, one, "signature", _get(database, other, "signature"))


def take_signature(rng: random.Random, database: Database, place: LogSettings) -> bool:
    signed = [row[0] for row in database.execute("SELECT seq FROM entries WHERE signature IS NOT NULL")]
    return _set(database, rng.choice(signed), "signature", None)


def change_what_closes(rng: random.Random, database: Database, place: LogSettings) -> bool:
    seq = _any(rng, database)
    return _set(database, seq, "closes", 1 - int(_get(database, seq, "closes")))


def delete_one(rng: random.Random, database: Database, place: LogSettings) -> bool:
    database.execute("DELETE FROM entries WHERE seq = ?", (_any(rng, database),))
    return True


def delete_and_close_the_gap(rng: random.Random, database: Database, place: LogSettings) -> bool:
    seq = _any(rng, database)
    database.execute("DELETE FROM entries WHERE seq = ?", (seq,))
    for later in range(seq + 1, max(_seqs(database), default=0) + 1):
        _set(database, later, "seq", later - 1)
    _rehash_from(database, seq)
    return True


def cut_tail(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """Also at the end of a commit, where the chain that remains is perfect."""
    closing = [row[0] for row in database.execute("SELECT seq FROM entries WHERE closes = 1 ORDER BY seq")]
    last = rng.choice([0, *closing[:-1], *_seqs(database)[:-1]])
    database.execute("DELETE FROM entries WHERE seq > ?", (last,))
    database.execute("DELETE FROM inputs WHERE id NOT IN (SELECT id FROM entries)")
    return True


def cut_beginning(rng: random.Random, database: Database, place: LogSettings) -> bool:
    database.execute("DELETE FROM entries WHERE seq <= ?", (_any(rng, database),))
    return True


def begin_anew(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """As if there had never been a log: what is written from then on is a chain without a fault."""
    database.execute("DELETE FROM entries")
    database.execute("DELETE FROM inputs")
    database.execute("UPDATE meta SET value = ? WHERE name = 'log_id'", (rng.randbytes(LOG_ID_BYTES).hex(),))
    return True


def swap(rng: random.Random, database: Database, place: LogSettings) -> bool:
    if len(_seqs(database)) < 2:
        return False
    one, other = rng.sample(_seqs(database), 2)
    for seq, target in ((one, -1), (other, one), (-1, other)):
        _set(database, seq, "seq", target)
    return True


def repeat(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """A copy of a record at the end, under another id."""
    seq, last = _any(rng, database), max(_seqs(database))
    columns = [_get(database, seq, name) for name in ("content", "closes", "hash", "signature")]
    database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", (last + 1, rng.randbytes(16).hex(), *columns))
    return True


def append_forged(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """A record that fits the chain, with a signature of somebody else's or none."""
    last = max(_seqs(database))
    content = json.loads(_get(database, last, "content")) | {"id": rng.randbytes(16).hex()}
    text, closes = json.dumps(content), rng.randrange(2)
    head = following(Head(last, bytes(_get(database, last, "hash"))), text.encode(), bool(closes))  # type: ignore[arg-type]
    signature = rng.randbytes(64) if closes else None
    row = (head.seq, content["id"], text, closes, head.hash, signature)
    database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
    return True


def edit_kept_question(rng: random.Random, database: Database, place: LogSettings) -> bool:
    identifier, body = rng.choice(database.execute("SELECT id, body FROM inputs").fetchall())
    database.execute("UPDATE inputs SET body = ? WHERE id = ?", (_flipped(rng, body), identifier))
    return True


def delete_kept_question(rng: random.Random, database: Database, place: LogSettings) -> bool:
    identifier = rng.choice(database.execute("SELECT id FROM inputs").fetchall())[0]
    database.execute("DELETE FROM inputs WHERE id = ?", (identifier,))
    return True


def edit_meta(rng: random.Random, database: Database, place: LogSettings) -> bool:
    name = rng.choice(["version", "log_id", "public_key"])
    value = database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
    changed = str(int(value) + 1) if name == "version" else _flipped_hex(rng, value)
    database.execute("UPDATE meta SET value = ? WHERE name = ?", (changed, name))
    return True


def _flipped_hex(rng: random.Random, text: str) -> str:
    place = rng.randrange(len(text))
    return text[:place] + rng.choice([c for c in "0123456789abcdef" if c != text[place]]) + text[place + 1 :]


def remove_anchor(rng: random.Random, database: Database, place: LogSettings) -> bool:
    place.anchor.unlink()
    return cut_tail(rng, database, place)


def edit_anchor(rng: random.Random, database: Database, place: LogSettings) -> bool:
    """Set back to what is left after the tail was cut, without a signature for it."""
    cut_tail(rng, database, place)
    left = database.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone() or (0, bytes(32))
    fields = json.loads(place.anchor.read_bytes()) | {"seq": left[0], "hash": left[1].hex()}
    place.anchor.write_text((json.dumps(fields) + "\n").rjust(512))
    return True


TAMPERINGS: tuple[Tampering, ...] = (
    edit_character,
    edit_risk,
    edit_and_rehash_all_after,
    edit_id,
    edit_hash,
    edit_signature,
    borrow_signature,
    take_signature,
    change_what_closes,
    delete_one,
    delete_and_close_the_gap,
    cut_tail,
    cut_beginning,
    begin_anew,
    swap,
    repeat,
    append_forged,
    edit_kept_question,
    delete_kept_question,
    edit_meta,
    remove_anchor,
    edit_anchor,
)
