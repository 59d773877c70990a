"""Temporary files go away however a command ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def tidy_on_stop() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end the program by way of every ``finally``, so that decoded voxels are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for stopped, handler in before.items():
            signal.signal(stopped, handler if handler is not None else signal.SIG_DFL)
