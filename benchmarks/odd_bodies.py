"""How long the service takes to refuse odd requests, each sent ten times, one after the other.

    python -m benchmarks.odd_bodies > benchmarks/results/odd_bodies.md

The time runs from the last byte of the headers to the first byte of the refusal. The release is a small one, made here.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.service.odd import ODD, Odd, send
from tests.service.process import running
from tests.service.released import release_all

ROUNDS = 10
LIMIT_MS = 100.0


@dataclass(frozen=True)
class Row:
    """Milliseconds of one request, and whether it was answered as it should every time."""

    odd: Odd
    median: float
    worst: float
    right: bool


def main() -> int:
    """Print a table; exit code 1 if one of them took longer than the limit or was answered otherwise."""
    helped = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=helped).parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        release_all(home)
        with running(home, Path(name)) as service:
            service.wait_ready()
            host, port = service.url.removeprefix("http://").split(":")
            rows = []
            for odd in ODD:
                print(odd.name, file=sys.stderr)
                replies = [send(odd, (host, int(port))) for _ in range(ROUNDS)]
                right = all(reply.status == odd.status for reply in replies)
                times = sorted(1000 * reply.seconds for reply in replies)
                rows.append(Row(odd, times[ROUNDS // 2], times[-1], right))
    rows.sort(key=lambda row: -row.worst)
    print(_table(rows))
    return 0 if all(row.right and row.worst <= LIMIT_MS for row in rows) else 1


def _table(rows: list[Row]) -> str:
    right, slow = sum(row.right for row in rows), sum(row.worst > LIMIT_MS for row in rows)
    lines = [
        "# Odd requests",
        "",
        f"`python -m benchmarks.odd_bodies`, Python {platform.python_version()}.",
        f"{len(rows)} requests, {ROUNDS} times each;",
        f"answered as expected: {right}; slower than {LIMIT_MS:.0f} ms at the worst: {slow}.",
        "Milliseconds from the end of the headers to the beginning of the refusal.",
        "",
        "| request | answer | median | worst |",
        "| --- | --- | ---: | ---: |",
    ]
    for row in rows:
        lines.append(f"| {row.odd.name} | {row.odd.status} `{row.odd.code}` | {row.median:.1f} | {row.worst:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
