"""Counts that all workers of a service share: each adds to a file of its own, whoever is asked adds up all files.

A count costs a tenth of a microsecond: no lock, no system call. It outlives its worker, as counts must never fall.
"""

from __future__ import annotations

import mmap
import os
from array import array
from contextlib import suppress
from pathlib import Path

_BYTES = 8


class Tally:
    """``size`` counts from 0, by their place. ``kind``: workers share those of one kind, a word for a file name.

    Without a folder, or as long as it takes no file, the counts lie in memory and are of this worker alone.
    """

    def __init__(self, size: int, kind: str) -> None:
        self._size, self._kind = size, kind
        self._folder: Path | None = None
        self.cells: memoryview = memoryview(array("Q", bytes(size * _BYTES)))
        self._path: Path | None = None

    def share(self, folder: Path | None) -> None:
        """Say where the files lie; before the first count, in the worker itself."""
        self._folder = folder

    def ready(self) -> memoryview:
        """The cells to add to."""
        if self._path is None and self._folder is not None:
            with suppress(OSError):  # a full disk must not cost an answer
                self._move_into(self._folder / f"{self._kind}-{os.getpid()}.tally")
        return self.cells

    def totals(self) -> list[int]:
        """Of all workers, of those too that have ended."""
        found = [] if self._path is not None else [self.cells.tolist()]
        for path in () if self._folder is None else self._folder.glob(f"{self._kind}-*.tally"):
            with suppress(OSError):
                read = array("Q", path.read_bytes()[: self._size * _BYTES])
                if len(read) == self._size:
                    found.append(read.tolist())
        return [sum(counts) for counts in zip(*found, strict=True)] or [0] * self._size

    def _move_into(self, path: Path) -> None:
        """Go on with what stands in the file: a worker of before had the same number, and its counts must stay."""
        length = self._size * _BYTES
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, length)  # what is not there would be found out by a deadly signal
            cells = memoryview(mmap.mmap(handle, length)).cast("Q")
        finally:
            os.close(handle)
        for place, count in enumerate(self.cells):
            cells[place] += count
        self.cells, self._path = cells, path
