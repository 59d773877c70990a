"""Files that are whole or absent, and temporary ones that go away however a command ends."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new file beside ``path`` to write to; moved to ``path`` when the block ends well, removed otherwise."""
    path = path.resolve()  # a link stays one, and what it leads to is replaced
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        # mkstemp hides its file from others; the result is a file like any other
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


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
