"""The verbs of ``cemrisk log``: each returns an exit code and what to print."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.errors import InputRejected, LogDamaged, UsageError
from serving.cds_hooks import feedback
from serving.query_log.anchor import read_anchor
from serving.query_log.chain import Head
from serving.query_log.keys import LogKeys, read_keys, read_public
from serving.query_log.replay import Replay, is_the_question, kept_question, replay
from serving.query_log.settings import LogSettings
from serving.query_log.store import Row, open_to_read
from serving.query_log.verify import Verdict, verify
from serving.strict_json import parse

Shown = tuple[int, dict[str, Any] | str]
SHORTEST_DIGEST = 8


def run(arguments: argparse.Namespace, settings: LogSettings, home: Path, say: Callable[[str], None]) -> Shown:
    """What ``arguments.what`` asks for."""
    if arguments.what == "verify":
        return log_verify(arguments, settings, say)
    if arguments.what == "show":
        return log_show(arguments, settings, home)
    if arguments.what == "feedback":
        return log_feedback(arguments, home)
    return log_affected(arguments, settings)


def log_verify(arguments: argparse.Namespace, settings: LogSettings, say: Callable[[str], None]) -> Shown:
    """Check the whole log; exit code of ``LogDamaged`` if anything is wrong."""
    noted = _noted(arguments.head)
    store = open_to_read(settings)
    try:
        keys = None if arguments.public_key else read_keys(settings.key)
        public = read_public(arguments.public_key) if keys is None else keys.public
        verdict = verify(store, public, read_anchor(settings.anchor), keys, noted, say)
    finally:
        store.close()
    return 0 if verdict.whole else LogDamaged.exit_code, _verdict_json(verdict) if arguments.json else _verdict(verdict)


def log_show(arguments: argparse.Namespace, settings: LogSettings, home: Path) -> Shown:
    """One record, and what became of its replay."""
    store = open_to_read(settings)
    try:
        keys, row = read_keys(settings.key), store.find(arguments.id)
    finally:
        store.close()
    if row is None:
        raise UsageError("no record has this id: it is the request_id of an answer")
    content = json.loads(row.content)
    question = kept_question(row) if arguments.input is None else _question(arguments.input, content, keys)
    found = None if question is None else replay(question, content, home, keys)
    code = LogDamaged.exit_code if found is not None and found.result == "differs" else 0
    if arguments.json:
        return code, {"seq": row.seq, "record": content, "question": question, "replay": _replay_json(found)}
    return code, _shown(row, content, found)


def log_affected(arguments: argparse.Namespace, settings: LogSettings) -> Shown:
    """The records in whose answer a model had a say."""
    digest = arguments.model.lower()
    if len(digest) < SHORTEST_DIGEST or set(digest) - set("0123456789abcdef"):
        raise UsageError(f"--model: expected a sha256, or at least its first {SHORTEST_DIGEST} digits")
    store = open_to_read(settings)
    try:
        found = list(_affected(store.mentioning(f'"{digest}'), digest))
    finally:
        store.close()
    if arguments.json:
        return 0, {"model": digest, "count": len(found), "answers": found}
    lines = [f"{one['at']}  {one['id']}  {one['outcome']:<12} {one['learner']:<9} {one['role']}" for one in found]
    return 0, "\n".join([*lines, f"{len(found)} answers"])


def log_feedback(arguments: argparse.Namespace, home: Path) -> Shown:
    """What became of cards, in the order in which it was said, and how often each came."""
    found = [{**asdict(one), "key": key} for one, key in feedback.kept(home)]
    counts = Counter((str(one["outcome"]), str(one["reason"] or "no reason said")) for one in found)
    if arguments.json:
        told = [{"outcome": outcome, "reason": reason, "count": n} for (outcome, reason), n in counts.most_common()]
        return 0, {"count": len(found), "counts": told, "feedback": found}
    lines = [
        f"{one['happened']}  {one['card']}  {one['outcome']:<10} {one['reason'] or '':<19} {one['key'] or ''}"
        for one in found
    ]
    lines += [f"{n:>6} {outcome}, {reason}" for (outcome, reason), n in counts.most_common()]
    return 0, "\n".join([*lines, f"feedback on {len(found)} cards"])


def _affected(rows: Iterator[Row], digest: str) -> Iterator[dict[str, Any]]:
    """``role`` is champion (its risk was the answer's) or fellow (it stood under ``by_learner``)."""
    for row in rows:
        content = json.loads(row.content)
        for outcome, model in content["models"].items():
            for learner, sha256 in model["by_learner"].items():
                if sha256.startswith(digest):
                    role = "champion" if sha256 == model["sha256"] else "fellow"
                    told = {name: content[name] for name in ("id", "at", "route", "key", "case")}
                    yield {**told, "seq": row.seq, "outcome": outcome, "learner": learner, "role": role}


def _question(path: Path, content: Mapping[str, Any], keys: LogKeys) -> Any:
    question = parse(path.read_bytes())
    if not is_the_question(question, content, keys):
        raise InputRejected("the file does not hold the question that this record is of")
    return question


def _noted(text: str | None) -> Head | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(digest))
    except ValueError:
        raise UsageError("--head: expected NUMBER:HASH, as cemrisk log verify printed it") from None


def _head(head: Head) -> str:
    return f"{head.seq}:{head.hash.hex()}"


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "whole": verdict.whole,
        "records": verdict.records,
        "commits": verdict.commits,
        "head": _head(verdict.head),
        "anchored": verdict.anchored,
        "faults": verdict.faults,
    }


def _verdict(verdict: Verdict) -> str:
    lines = [f"FAULT {fault}" for fault in verdict.faults]
    said = "the log is whole" if verdict.whole else "THE LOG IS NOT WHAT WAS WRITTEN"
    lines += [f"{said}: {verdict.records:,} records in {verdict.commits:,} signed commits"]
    return "\n".join([*lines, f"head {_head(verdict.head)}", "note the head elsewhere; --head checks it next time"])


def _replay_json(found: Replay | None) -> dict[str, Any] | None:
    return None if found is None else {"result": found.result, "why": found.why, "answer": found.answer}


def _shown(row: Row, content: Mapping[str, Any], found: Replay | None) -> str:
    lines = [f"{'seq':<10} {row.seq}"]
    lines += [f"{name:<10} {value if isinstance(value, str) else json.dumps(value)}" for name, value in content.items()]
    if found is None:
        lines.append("replay     the question was not kept: give it with --input FILE")
    else:
        lines.append(f"replay     {found.result}: {found.why}")
    return "\n".join(lines)
