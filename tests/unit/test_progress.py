"""Progress: a bar for who looks on, few lines for a file."""

from __future__ import annotations

import io
import sys

import pytest

from training import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(bar: progress.Bar) -> None:
    for what in ("reading", "fitting"):
        for done in range(1_001):
            bar(what, done, 1_000)


def test_a_file_gets_a_line_at_the_start_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    run(progress.Bar())
    assert said.getvalue().splitlines() == [
        f"{what}: {done}/1000" for what in ("reading", "fitting") for done in (0, 1000)
    ]


def test_long_work_is_heard_of_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.0)
    run(progress.Bar())
    assert len(said.getvalue().splitlines()) == 2_002


def test_a_terminal_gets_a_bar_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    run(progress.Bar())
    assert "fitting: 100%" in said.getvalue() and "\r" in said.getvalue()
