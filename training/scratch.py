"""Folders for models on their way to MLflow, and the removal of those that a killed training left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.files import locked

#: Only one process of a home at a time makes or sweeps such folders.
LOCK = "scratch.lock"


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A folder ``fit-*`` in ``home``, gone afterwards; locked as long as somebody works in it."""
    with locked(home / LOCK):  # else another training could sweep it away between its making and its lock
        folder = Path(tempfile.mkdtemp(prefix="fit-", dir=home))
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(home: Path) -> None:
    """Remove the folders that a killed training left: those that nobody holds."""
    with locked(home / LOCK):
        for folder in home.glob("fit-*"):
            _remove_if_free(folder)


def _remove_if_free(folder: Path) -> None:
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # its own training was done with it just now
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(held)
