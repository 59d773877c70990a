"""The outcomes that have a model, and when each is asked about. Needs nothing that is slow to load."""

from __future__ import annotations

from typing import Literal

from features.variable import Moment

Outcome = Literal["leakage", "refracture", "refracture-postop"]

#: When each outcome is asked about: what becomes known later never enters its matrix.
MOMENT_OF: dict[Outcome, Moment] = {
    "leakage": Moment.PLANNED,
    "refracture": Moment.PLANNED,
    "refracture-postop": Moment.POSTOP,
}


def outcomes_at(moment: Moment) -> tuple[Outcome, ...]:
    """The outcomes that have a model asked at the moment."""
    return tuple(outcome for outcome, asked in MOMENT_OF.items() if asked == moment)
