"""What the faults of ``benchmarks.faults`` have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: How often a fault says how far it is.
TIMES_SAID = 5


@dataclass
class Found:
    """``recoveries``: seconds from each fault to the first answer after it; the rest counts requests and answers."""

    rounds: int
    recoveries: list[float] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    answers: int = 0
    records: int = 0
    note: str = ""


#: A fault: home with released models, empty folder, number of rounds.
Scenario = Callable[[Path, Path, int], Found]


def counted(rounds: int) -> Iterator[int]:
    """The numbers of the rounds; says on standard error now and then how far it is."""
    begin = time.monotonic()
    for number in range(rounds):
        yield number
        done = number + 1
        if done * TIMES_SAID // rounds > number * TIMES_SAID // rounds:
            print(f"  {done} of {rounds} rounds, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
