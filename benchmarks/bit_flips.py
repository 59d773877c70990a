"""Bits of released bundles flipped, each time one: the fault ``bits`` of ``benchmarks.faults``."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fault_rounds import Found, counted
from serving.answer import answer
from serving.schema import read_question
from serving.shelf import Shelf
from tests.service.load import QUESTIONS


def flip_bits(home: Path, folder: Path, rounds: int) -> Found:
    """One bit of a bundle flipped: it is refused, or (a file that is not the model's) its answers are the same."""
    found = Found(rounds)
    homes = [_with_one(home, folder / outcome, outcome) for outcome in ("leakage", "refracture")]
    expected = {own: _answers(_fresh(own)) for own in homes}
    refused = 0
    for _ in counted(rounds):
        own = random.choice(homes)
        file, position, bit = _a_bit(own)
        before = file.read_bytes()
        after = bytearray(before)
        after[position] ^= 1 << bit
        file.write_bytes(after)
        with _quietly():
            shelf = _fresh(own)
        if shelf.get():
            assert _answers(shelf) == expected[own], f"a damaged bundle was served: {file.name}"
        else:
            refused += 1
        file.write_bytes(before)
    found.note = f"{refused} refused, {rounds - refused} in files that are not the model's, without effect"
    return found


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Each refusal is an error in the log, which would hide how far it is."""
    logger = logging.getLogger("cemrisk.serving")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _with_one(home: Path, own: Path, outcome: str) -> Path:
    """A home in which only one outcome is released: the other one need not be loaded each time."""
    shutil.copytree(home / "released" / outcome, own / "released" / outcome)
    return own


def _fresh(home: Path) -> Shelf:
    """As a worker begins."""
    shelf = Shelf()
    shelf.refresh(home)
    return shelf


def _a_bit(home: Path) -> tuple[Path, int, int]:
    """A bit of a bundle in force: a file first, so that small files have their share."""
    files = []
    for outcome in sorted((home / "released").iterdir()):
        bundle = outcome / (outcome / "current").read_text().split()[0]
        files += [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.stat().st_size]
    file = random.choice(files)
    return file, random.randrange(file.stat().st_size), random.randrange(8)


def _answers(shelf: Shelf) -> str:
    return json.dumps([answer(read_question(one), shelf.get(), "", "") for one in QUESTIONS[:2]])
