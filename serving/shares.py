"""How many connections each worker holds, known to all of them, so that none takes more than its share.

The kernel wakes every worker for a connection, and whoever comes first may empty the whole queue: two workers would
often answer like one. The numbers lie in memory that the workers share by being forked from one process.
"""

from __future__ import annotations

import mmap

#: Of a worker that takes no connections: it has ended, has not begun, or is about to end.
ABSENT = 2**64 - 1


class Share:
    """One worker's place among all."""

    def __init__(self, held: memoryview, place: int) -> None:
        self._held, self._place = held, place

    def holds(self, connections: int) -> None:
        """Tell the others."""
        self._held[self._place] = connections

    def leave(self) -> None:
        """Nobody need wait for this worker any more."""
        self._held[self._place] = ABSENT

    def comes_first(self) -> bool:
        """Whether no other worker holds fewer connections."""
        return self._held[self._place] == min(self._held)


def shares(workers: int) -> list[Share]:
    """One for each worker, all absent; to be made before they are forked."""
    held = memoryview(mmap.mmap(-1, 8 * workers)).cast("Q")
    for place in range(workers):
        held[place] = ABSENT
    return [Share(held, place) for place in range(workers)]
