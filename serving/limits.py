"""How much may be asked at once and by whom: counted in each worker by itself, in memory, by the id of the key."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from time import monotonic

from features.errors import CemriskError, UsageError

#: Names of the environment variables, by field of ``Limits``.
VARIABLES: Mapping[str, str] = {
    "questions_per_second": "CEMRISK_RATE",
    "burst": "CEMRISK_BURST",
    "at_once": "CEMRISK_AT_ONCE",
    "at_once_by_key": "CEMRISK_AT_ONCE_BY_KEY",
    "body_seconds": "CEMRISK_BODY_SECONDS",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one worker.

    ``questions_per_second`` of one key in the long run, and how many it may ask in one go (``burst``, at least a full
    batch); requests that are open at the same time, of all and of one key; how long a body may take to arrive.
    """

    questions_per_second: float = 200.0
    burst: float = 2000.0
    at_once: float = 256.0
    at_once_by_key: float = 128.0
    body_seconds: float = 20.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Limits:
        """Read from the environment. Raises ``UsageError`` for what is no positive number."""
        return cls(**{f.name: _positive(environment, VARIABLES[f.name], getattr(cls(), f.name)) for f in fields(cls)})


#: Who waited as long as was said may ask, although sums of times are rounded; in questions.
_ROUNDING = 1e-9


class Limited(CemriskError):
    """Asked too much; ``Retry-After`` says in how many seconds it is worth trying again."""

    http_status = 429

    def __init__(self, code: str, message: str, seconds: float) -> None:
        super().__init__(message)
        self.code = code
        self.headers: Mapping[str, str] = {"Retry-After": str(max(1, math.ceil(seconds)))}


class Busy(Limited):
    """The worker has too much to do for anybody."""

    http_status = 503


class Meter:
    """A bucket of questions for each key that is refilled at a steady rate, and a count of what is open."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        self._open: dict[str | None, int] = {}
        self._all = 0

    def charge(self, key_id: str | None, questions: int) -> None:
        """Take so many questions from the key's bucket. Raises ``Limited``, and then takes nothing.

        Where no keys are in use only the machine itself asks, and it may ask as much as it can.
        """
        if key_id is None:
            return
        limits, now = self.limits, self._clock()
        left, since = self._left.get(key_id, (limits.burst, now))
        left = min(limits.burst, left + (now - since) * limits.questions_per_second)
        short = questions - left
        refused = short > _ROUNDING
        self._left[key_id] = (left if refused else left - questions, now)
        if refused:
            # More than the bucket holds can never be had at once; the time until it is full is all that can be said.
            seconds = min(short, limits.burst - left) / limits.questions_per_second
            raise Limited("too_many_questions", "this key asks more than it may; see Retry-After", seconds)

    @contextmanager
    def held(self, key_id: str | None) -> Iterator[None]:
        """Count a request as open. Raises ``Busy``, or ``Limited`` if it is this key that has too many open."""
        mine = self._open.get(key_id, 0)
        if self._all >= self.limits.at_once:
            raise Busy("busy", "the service has as many requests open as it can take; see Retry-After", 1)
        if key_id is not None and mine >= self.limits.at_once_by_key:
            raise Limited("too_many_at_once", "this key has too many requests open at once; wait for answers", 1)
        self._open[key_id], self._all = mine + 1, self._all + 1
        try:
            yield
        finally:
            self._all -= 1
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]


def _positive(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"{name} must be a positive number")
    return value
