"""The off switch: an administrator stops one model with a reason, and every worker follows.

A stopped model is named in ``<home>/stopped/<outcome>.json``. The file is small and read whenever it changes; one that
cannot be read stops the model too, because somebody wanted it stopped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.build import Outcome, outcomes_at
from features.dictionary import Moment
from features.errors import NotReady, UsageError
from features.files import sync, write_private
from models.release import OUTCOMES
from serving import files
from serving.served import Served

LONGEST_REASON = 300
#: Begins with no blank, holds no control character; read by JSON Schema and by Python alike.
REASON = r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a model does not answer, since when (ISO 8601, UTC) and by whom: a key's id, or "command line"."""

    why: str
    since: str
    by: str


UNREADABLE = Stop("the file of its off switch cannot be read", "", "")


class Stopped(NotReady):
    """The model that was asked for is stopped."""

    code = "model_stopped"


class Standing(dict[Outcome, Served]):
    """What answers now, and ``stopped``: what would if it were not stopped."""

    def __init__(self, served: Mapping[Outcome, Served], stopped: Mapping[Outcome, Stop]) -> None:
        super().__init__({outcome: one for outcome, one in served.items() if outcome not in stopped})
        self.stopped = stopped


def stop(home: Path, outcome: str, why: str, by: str) -> Stop:
    """Stop the models of an outcome; stopped already, the new reason takes the place of the old."""
    if not is_reason(why):
        raise UsageError(
            f"a reason of 1 to {LONGEST_REASON} characters, without line breaks, is needed: whoever asks will read it"
        )
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = Stop(why, now, by)
    write_private(_path(home, outcome), json.dumps(asdict(made), ensure_ascii=False).encode())
    return made


def is_reason(why: str) -> bool:
    """Whether it can be shown to whoever asks."""
    return len(why) <= LONGEST_REASON and re.fullmatch(REASON, why) is not None


def resume(home: Path, outcome: str) -> bool:
    """Let the models of an outcome answer again; returns whether they were stopped."""
    path = _path(home, outcome)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync(path.parent)
    return True


def stops(home: Path) -> dict[Outcome, Stop]:
    """What is stopped now."""
    found = {outcome: _read(_path(home, outcome)) for outcome in OUTCOMES}
    return {outcome: one for outcome, one in found.items() if one is not None}


def stamps(home: Path) -> tuple[files.Stamp | None, ...]:
    """Differs as soon as ``stops`` could."""
    return tuple(files.stamp(_path(home, outcome)) for outcome in OUTCOMES)


def refusal(standing: Mapping[Outcome, Served], moment: Moment) -> Stopped | None:
    """Why nothing answers a question of the moment, if that is because all that could is stopped."""
    could = outcomes_at(moment)
    stopped = {outcome: one for outcome, one in getattr(standing, "stopped", {}).items() if outcome in could}
    if not stopped or any(outcome in standing for outcome in could):
        return None
    return Stopped("; ".join(_sentence(outcome, one) for outcome, one in stopped.items()))


def require_running(outcome: str, standing: Mapping[Outcome, Served]) -> None:
    """Raise ``Stopped`` if this model is."""
    stopped: Mapping[str, Stop] = getattr(standing, "stopped", {})
    if outcome in stopped:
        raise Stopped(_sentence(outcome, stopped[outcome]))


def say(answer: dict[str, Any], standing: Mapping[Outcome, Served]) -> None:
    """Put the reason in the place of the warning that a model is not there."""
    stopped: Mapping[str, Stop] = getattr(standing, "stopped", {})
    for entry in answer["warnings"]:
        if entry["code"] == "not_released" and entry["outcome"] in stopped:
            detail = _sentence(entry["outcome"], stopped[entry["outcome"]])
            entry.update(code="model_stopped", detail=detail)


def _sentence(outcome: str, one: Stop) -> str:
    return f"the model of {outcome} is stopped: {one.why}"


def _path(home: Path, outcome: str) -> Path:
    if outcome not in OUTCOMES:
        raise UsageError(f"an outcome is one of {', '.join(OUTCOMES)}")
    return home / "stopped" / f"{outcome}.json"


def _read(path: Path) -> Stop | None:
    try:
        return Stop(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError):
        return UNREADABLE
