"""Is the query log what was written? Every link and signature, every kept question, and the end by the anchor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.query_log.anchor import Anchor
from serving.query_log.chain import Head, following, genesis, to_sign
from serving.query_log.keys import LogKeys, PublicKey
from serving.query_log.store import VERSION, Row, Store

#: More faults than these are not listed: after the first one the chain is broken anyway.
MOST_FAULTS = 20
PROGRESS_EVERY = 100_000


@dataclass
class Verdict:
    """``head``: the end of the chain as it was found; ``faults``: what is wrong, the first ones; none: all is well."""

    records: int
    commits: int
    head: Head
    anchored: int | None
    faults: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.faults

    def fault(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)


def verify(
    store: Store,
    public: PublicKey,
    anchor: Anchor | None,
    keys: LogKeys | None = None,
    noted: Head | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Verdict:
    """Read the whole log. The anchor must have been read before: the log only grows meanwhile.

    ``keys``: with them, kept questions are checked too. ``noted``: a head that was written down elsewhere earlier.
    """
    identity = store.identity()
    verdict = Verdict(0, 0, genesis(identity.log_id), None if anchor is None else anchor.head.seq)
    if (identity.version, identity.public_key) != (VERSION, public.raw):
        verdict.fault("the log's own description is not that of a log begun with this key")
    wanted = _to_find(verdict, anchor, noted, identity.log_id, public)
    closed = True
    for row in store.rows():
        closed = _check(verdict, row, identity.log_id, public)
        _check_content(verdict, row, keys)
        for name, digest in wanted.pop(row.seq, ()):
            if row.hash != digest:
                verdict.fault(f"record {row.seq}: is not the one that {name} was of")
        if verdict.records % PROGRESS_EVERY == 0:
            progress(f"{verdict.records:,} records read")
    if not closed:
        verdict.fault(f"record {verdict.head.seq}: the last commit is not closed by a signature: records were cut off")
    for seq, ends in wanted.items():
        verdict.fault(f"the log ends at record {verdict.head.seq}, {ends[0][0]} at {seq}: records were cut off")
    if store.orphans():
        verdict.fault("questions are kept whose records are gone")
    return verdict


def _to_find(
    verdict: Verdict, anchor: Anchor | None, noted: Head | None, log_id: bytes, public: PublicKey
) -> dict[int, list[tuple[str, bytes]]]:
    """Heads that must be in the log, by number, with where they come from."""
    wanted: dict[int, list[tuple[str, bytes]]] = {}
    if anchor is None:
        verdict.fault("the anchor file is missing or damaged: nobody can tell whether the end of the log was cut off")
    elif anchor.log_id != log_id:
        verdict.fault("the anchor is of another log: that one is gone, or this one was begun with its anchor in place")
    elif not anchor.is_signed_by(public):
        verdict.fault("the anchor was not signed with this key")
    else:
        wanted[anchor.head.seq] = [("the anchor", anchor.head.hash)]
    if noted is not None:
        wanted.setdefault(noted.seq, []).append(("the noted head", noted.hash))
    return wanted


def _check(verdict: Verdict, row: Row, log_id: bytes, public: PublicKey) -> bool:
    """The link: number, hash, signature. Goes on from what was found: one fault is not told of all that follow."""
    expected = following(verdict.head, row.content, row.closes)
    verdict.records += 1
    if row.seq != expected.seq:
        verdict.fault(
            f"record {row.seq}: follows {verdict.head.seq}: what stood between them is gone, or it is inserted"
        )
    elif row.hash != expected.hash:
        verdict.fault(f"record {row.seq}: is not what was written, or not in its place")
    verdict.head = Head(row.seq, row.hash)
    if not row.closes:
        if row.signature is not None:
            verdict.fault(f"record {row.seq}: holds a signature that does not belong there")
        return False
    verdict.commits += 1
    if row.signature is None or not public.signed(to_sign(log_id, verdict.head), row.signature):
        verdict.fault(f"record {row.seq}: its signature is not that of the log's key")
    return True


def _check_content(verdict: Verdict, row: Row, keys: LogKeys | None) -> None:
    """That the columns beside the content say the same, and that the kept question is the one of the record."""
    try:
        content = json.loads(row.content)
        identifier, kept, digest = content["id"], content["kept"], content["input"]
    except (ValueError, KeyError, TypeError):
        verdict.fault(f"record {row.seq}: its content cannot be read")
        return
    if identifier != row.id:
        verdict.fault(f"record {row.seq}: is filed under another id")
    if kept != (row.kept is not None):
        verdict.fault(f"record {row.seq}: its kept question is {'gone' if kept else 'not its own'}")
    elif row.kept is not None and keys is not None and keys.hash("input", row.kept) != digest:
        verdict.fault(f"record {row.seq}: its kept question is not the one that was answered")
