"""``cemrisk report``: from a registered version to one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UsageError
from features.files import write_whole
from models.release import OUTCOMES
from training.report import page, source
from training.report.facts import report_facts

if TYPE_CHECKING:
    from training.tracking import Store, Version

#: Under this name a training leaves the report in its run.
NAME = "report.html"


def report(store: Store, outcome: str, number: str | None, out: Path) -> Version:
    """Write the report of a version to ``out`` and say which version it is of.

    Raises ``UsageError`` for an outcome, version or ending that does not exist, ``NotReady`` if nothing was trained.
    """
    if outcome not in OUTCOMES:
        raise UsageError(f"the outcome must be one of {', '.join(OUTCOMES)}")
    page.refuse_unknown_ending(out)
    version = source.chosen(store, outcome, number)
    write_whole(out, text(store, version))
    return version


def text(store: Store, version: Version) -> str:
    """The whole page."""
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    return page.filled("report.html", report_facts(source.read(store, version), now))
