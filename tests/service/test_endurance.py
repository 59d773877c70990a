"""A short form of `benchmarks.endurance`, whose 200,000 answers take some minutes."""

from __future__ import annotations

import os
import shutil
from mmap import mmap
from pathlib import Path

import pytest

from benchmarks.costs import cpu_seconds, handles, memory_mb, tree
from benchmarks.endurance import GROWTH_MB, Note, endure, growth

ANSWERS = 600


@pytest.mark.slow
def test_neither_memory_nor_handles_grow_with_answers(home: Path, tmp_path: Path) -> None:
    """A handle left by a single answer would be seen, or 10 KB by each; every answer is looked up in the log."""
    own = Path(shutil.copytree(home, tmp_path / "home"))
    notes = endure(own, tmp_path, ANSWERS, workers=1, notes=4)
    memory, more = growth(notes)
    assert memory < GROWTH_MB and more <= 0, notes
    assert notes[-1].log_mb > 0


def test_growth_is_from_the_first_quarter_to_the_last() -> None:
    notes = [Note(n, 0.0, 100.0 + n, 40 + (n == 8), 0.0) for n in range(1, 9)]
    assert growth(notes) == (6.0, 1)
    assert growth(notes[:1]) == (0.0, 0)


def test_what_a_process_costs_is_seen() -> None:
    own = os.getpid()
    before = handles(own)
    with Path("/dev/null").open(), Path("/dev/null").open():
        assert handles(own) == before + 2
    resident, share = memory_mb(own)
    with mmap(-1, 2**26) as fresh:  # an object of this size could lie in memory that the process has freed and kept
        fresh.write(b"x" * 2**26)
        assert memory_mb(own)[0] > resident + 60 and 0 < share <= resident + 1
    assert own in tree(own) and cpu_seconds(own) > 0
