"""How soon the forker replaces workers: real child processes that only sleep or end."""

from __future__ import annotations

import os
import signal
import time

from serving.forker import FIRST_PAUSE_SECONDS, _Crew
from serving.shares import Share, shares


def _sleep(share: Share) -> int:
    time.sleep(60)
    return 0


def _gone(crew: _Crew) -> None:
    """Wait until one of them was buried."""
    known, until = len(crew.born), time.monotonic() + 10
    while len(crew.born) == known:
        assert time.monotonic() < until
        time.sleep(0.005)
        crew.bury()


def test_who_is_killed_again_and_again_is_replaced_at_once() -> None:
    crew = _Crew(shares(2), _sleep)
    try:
        for _ in range(4):
            crew.fill()
            assert len(crew.born) == 2
            os.kill(next(iter(crew.born)), signal.SIGKILL)
            _gone(crew)
    finally:
        crew.end()


def test_who_ends_by_itself_at_once_is_given_longer_pauses() -> None:
    crew, pauses = _Crew(shares(1), lambda share: 3), []
    for _ in range(3):
        crew.not_before = 0.0
        crew.fill()
        _gone(crew)
        crew.fill()
        assert not crew.born  # not before the pause is over
        pauses.append(crew.pause)
    assert pauses[0] == FIRST_PAUSE_SECONDS and pauses == sorted(set(pauses))
