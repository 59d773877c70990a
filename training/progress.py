"""Progress of long work on a terminal."""

from __future__ import annotations

import sys

from tqdm import tqdm


class Bar:
    """One bar on standard error for each thing that is done: call it with what, how much is done, and of how much."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None or what != self._what:
            self._close()
            self._what = what
            self._bar = tqdm(total=total, desc=what, unit="step", file=sys.stderr, mininterval=0.5)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
