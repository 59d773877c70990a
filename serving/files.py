"""Small files that several processes read while one replaces them: whether one did."""

from __future__ import annotations

from pathlib import Path

#: Inode, time and size: a replaced file differs at least in the first.
Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """What tells one content of a file from the next without reading it; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
