"""A small file system of its own, to be filled to the last byte."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MEGABYTES = 64


@dataclass(frozen=True)
class SmallDisk:
    """``folder``: where it is mounted."""

    folder: Path

    def fill(self) -> None:
        """Until not one byte more can be written."""
        handle = os.open(self.folder / "filling", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (2**20, 2**12, 1):
                while _written(handle, b"\0" * size):
                    pass
        finally:
            os.close(handle)
        assert os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        """Give back what was filled."""
        (self.folder / "filling").unlink()


def _written(handle: int, content: bytes) -> bool:
    try:
        os.write(handle, content)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise
    return True


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mounted there until the end of the block; None where mounting is not allowed (in a container, without rights)."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=700", "tmpfs", str(folder)]
    try:
        allowed = subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        allowed = False
    try:
        yield SmallDisk(folder) if allowed else None
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)
