"""A thousand random tamperings with a query log, by somebody who may write its database and its anchor but has no keys.

    python -m benchmarks.tampering [--rounds 1000]

Each round copies a log of 400 records that keeps its questions, changes it in one way at a random place, verifies it.
Writes benchmarks/results/tampering.md; exit code 1 if one went unnoticed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from features.errors import CemriskError
from serving.query_log.keys import LogKeys
from tests.service import logged
from tests.service.tampering import TAMPERINGS, Tampering

RESULTS = Path(__file__).parent / "results" / "tampering.md"
RECORDS, MOST_IN_COMMIT = 400, 6


def main() -> int:
    """Tamper, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, metavar="N", help="how many tamperings (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random places (1)")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = logged.fill(logged.settings(folder / "log", keep_inputs=True), list(_commits(rng)))
        tried, found = _rounds(arguments.rounds, rng, folder, keys)
    table = _table(tried, found, arguments.seed)
    RESULTS.write_text(table)
    print(table)
    return 0 if tried == found else 1


def _commits(rng: random.Random) -> list[int]:
    sizes: list[int] = []
    while sum(sizes) < RECORDS:
        sizes.append(min(rng.randint(1, MOST_IN_COMMIT), RECORDS - sum(sizes)))
    return sizes


def _rounds(rounds: int, rng: random.Random, folder: Path, keys: LogKeys) -> tuple[Counter[str], Counter[str]]:
    tried: Counter[str] = Counter()
    found: Counter[str] = Counter()
    said = time.monotonic()
    while tried.total() < rounds:
        tampering = rng.choice(TAMPERINGS)
        noticed = _noticed(tampering, rng, folder, keys)
        if noticed is not None:
            tried[tampering.__name__] += 1
            found[tampering.__name__] += noticed
        if time.monotonic() > said + 10:
            said = time.monotonic()
            print(f"{tried.total()} of {rounds}", file=sys.stderr)
    return tried, +found


def _noticed(tampering: Tampering, rng: random.Random, folder: Path, keys: LogKeys) -> bool | None:
    """Whether the change of a fresh copy was found; None if there was nothing to change."""
    copy = Path(shutil.copytree(folder / "log", folder / "copy"))
    place = logged.settings(copy)
    database = sqlite3.connect(place.file)
    try:
        with database:
            if not tampering(rng, database, place):
                return None
        database.close()
        return not logged.verdict(place, keys).whole
    except CemriskError:
        return True  # the log says itself that it cannot be read
    finally:
        database.close()
        shutil.rmtree(copy)


def _table(tried: Counter[str], found: Counter[str], seed: int) -> str:
    rows = [f"| {name.replace('_', ' ')} | {count} | {found[name]} |" for name, count in sorted(tried.items())]
    return "\n".join(
        [
            f"Made by `python -m benchmarks.tampering --rounds {tried.total()} --seed {seed}`.",
            "",
            "| tampering | tried | found |",
            "| --- | ---: | ---: |",
            *rows,
            f"| all | {tried.total()} | {found.total()} |",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
