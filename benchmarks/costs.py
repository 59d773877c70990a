"""What processes cost: memory, processor time, open handles; read from /proc, for a process and all below it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests.service.process import lives

#: For processes to end after the one that started them.
END_WITHIN_SECONDS = 10.0


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += tree(int(child))
    return found


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory, and the share of it that is its own if what several use is divided among them (Pss), in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {name.rstrip(":"): int(size[0]) for name, *size in map(str.split, lines) if name in ("Rss:", "Pss:")}
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def handles(pid: int) -> int:
    """Open files, sockets and pipes."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def require_gone(pids: Iterable[int]) -> None:
    """Raise ``RuntimeError`` if one of these processes outlives the service that was told to stop."""
    left, until = set(pids), time.monotonic() + END_WITHIN_SECONDS
    while left := {pid for pid in left if lives(pid)}:
        if time.monotonic() > until:
            raise RuntimeError(f"the service has ended, but not {len(left)} of its processes: {sorted(left)}")
        time.sleep(0.05)
