"""What the log keeps of an answer: no value of the patient, no identifier, but all that finds and replays it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from serving.query_log.keys import LogKeys

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer. ``question``: as it stands in the body of ``/v1/risk``; ``sent``: the answer's JSON.

    ``route``: by which way it came; ``key_id``: of the access key, None without keys.
    """

    question: Mapping[str, Any]
    answer: Mapping[str, Any]
    sent: bytes
    route: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One record to append: ``content`` is its JSON, ``kept`` the question itself if the operator wants it kept."""

    id: str
    content: bytes
    kept: bytes | None


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no blanks: the same question hashes alike, however it was written."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def entry_of(answered: Answered, keys: LogKeys, keep_inputs: bool, software: str) -> Entry:
    """The record of an answer."""
    question, answer = canonical(answered.question), answered.answer
    case_id = answered.question.get("case_id")
    leakage, refracture = answer["leakage"], answer["refracture"]
    content = {
        "format": FORMAT,
        "id": answer["request_id"],
        "at": answer["answered_at"],
        "route": answered.route,
        "key": answered.key_id,
        "moment": answer["moment"],
        "detection": answer["detection"],
        "input": keys.hash("input", question),
        "case": None if case_id is None else keys.hash("case", str(case_id).encode()),
        "kept": keep_inputs,
        "risks": {
            "leakage": None if leakage is None else [one["risk"] for one in leakage],
            "refracture": None if refracture is None else refracture["risk"],
        },
        "answer": keys.hash("answer", answered.sent),
        "models": {outcome: _model(identity) for outcome, identity in answer["models"].items()},
        "warnings": [[one["code"], one["variable"]] for one in answer["warnings"]],
        "software": software,
    }
    return Entry(content["id"], canonical(content), question if keep_inputs else None)


def _model(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a released bundle from all others: the champion, and every model that had a say in the answer."""
    return {
        "version": identity["version"],
        "learner": identity["learner"],
        "sha256": identity["sha256"],
        "by_learner": {learner: one["sha256"] for learner, one in identity["by_learner"].items()},
    }
