"""One record again: the same question to the models that answered it must give the same answer, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from features.build import Outcome, outcomes_at
from features.errors import CemriskError
from models.release import find_release
from serving.answer import answer
from serving.query_log.entry import canonical
from serving.query_log.keys import LogKeys
from serving.query_log.store import Row
from serving.schema import MOMENTS, read_question
from serving.served import Served, section_of

#: ``same``: bit for bit. ``same_risks``: but a model was stopped then, and why is not kept. ``differs``: the
#: software or the processor is another. ``not_possible``: see ``why``.
Result = Literal["same", "same_risks", "differs", "not_possible"]


@dataclass(frozen=True, slots=True)
class Replay:
    """``answer``: what the models say now, if they could be asked."""

    result: Result
    why: str
    answer: Mapping[str, Any] | None = None


def is_the_question(question: Any, content: Mapping[str, Any], keys: LogKeys) -> bool:
    """Whether this is the question that the record is of, by its keyed hash."""
    return bool(keys.hash("input", canonical(question)) == content["input"])


def replay(question: Mapping[str, Any], content: Mapping[str, Any], home: Path, keys: LogKeys) -> Replay:
    """Ask the models that the record names, wherever they lie below ``home``, in force or not."""
    try:
        models = {_outcome(name, content["moment"]): model for name, model in content["models"].items()}
        served = {name: _served(home, name, model) for name, model in models.items()}
        found = answer(read_question(question), served, content["id"], content["at"])
    except CemriskError as error:
        return Replay("not_possible", str(error))
    if keys.hash("answer", orjson.dumps(found)) == content["answer"]:
        return Replay("same", "the models give the same answer, bit for bit", found)
    now = {
        "leakage": [one["risk"] for one in found["leakage"] or ()],
        "refracture": (found["refracture"] or {}).get("risk"),
    }
    same = now == {"leakage": content["risks"]["leakage"] or [], "refracture": content["risks"]["refracture"]}
    if same and any(code == "model_stopped" for code, _ in content["warnings"]):
        return Replay("same_risks", "the same risks; why a model was stopped then is not kept", found)
    what = "the risks are the same, other fields differ" if same else "the risks differ"
    return Replay("differs", f"{what}; the record was written by cemrisk {content['software']}", found)


def kept_question(row: Row) -> Any:
    """The question if it was kept, else None."""
    return None if row.kept is None else json.loads(row.kept)


def _outcome(section: str, moment: str) -> Outcome:
    """The outcome whose model filled a section of the answer: at each moment there is one."""
    return next(outcome for outcome in outcomes_at(MOMENTS[moment]) if section_of(outcome) == section)


def _served(home: Path, outcome: Outcome, model: Mapping[str, Any]) -> Served:
    return Served.of(find_release(home, outcome, model["sha256"], model["version"], model["by_learner"]))
