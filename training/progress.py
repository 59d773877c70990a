"""Progress of long work: a bar on a terminal, now and then a line where the output goes to a file."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

#: Between two lines about the same work in a file, so that a training of an hour does not fill it.
LINE_EVERY_SECONDS = 60.0


class Bar:
    """One bar on standard error for each thing that is done: call it with what, how much is done, and of how much."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._what = ""
        self._said_at = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        new, self._what = what != self._what, what
        if self._terminal:
            self._draw(new, done, total)
        elif new or done >= total or time.monotonic() - self._said_at >= LINE_EVERY_SECONDS:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{what}: {done}/{total}\n")
            sys.stderr.flush()

    def _draw(self, new: bool, done: int, total: int) -> None:
        if self._bar is None or new:
            self._close()
            self._bar = tqdm(total=total, desc=self._what, unit="step", file=sys.stderr, mininterval=0.5)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
