"""What was asked and answered, counted: how risks and inputs are distributed, so that a drift can be seen.

Each value only adds one to the count of the interval that it lies in. The histograms of ``/metrics`` are made of these
counts and have no sum: the difference of two sums is what one patient had; here nothing of the kind can be read back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count
from pathlib import Path
from typing import Any

from features.build import PREDICTORS
from features.dictionary import VARIABLES
from features.variable import Scope, Variable
from serving.query_log import Answered, LogSettings, QueryLog
from serving.schema import MOMENTS, accepted_variables
from serving.served import HORIZONS_MONTHS
from serving.tally import Tally

#: Upper ends of the intervals; each belongs to the interval that it ends.
RISK_EDGES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
#: Intervals that the plausible range of a number is cut into.
INTERVALS = 6


class MeteredLog(QueryLog):
    """The query log, which also counts what it keeps: every answer goes through it."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._tally = Tally(_SIZE, "answers")

    def begin(self, settings: LogSettings, counts: Path | None = None) -> None:
        """As the log does; ``counts``: the folder in which all workers count, None if there is but this one."""
        super().begin(settings)
        self._tally.share(counts)

    async def keep(self, *answered: Answered) -> None:
        """As the log does; what could not be kept is not counted."""
        await super().keep(*answered)
        self.count(answered)

    def count(self, answered: Iterable[Answered]) -> None:
        """Add one to the counts of each risk and of each value."""
        cells = self._tally.ready()
        for one in answered:
            for place in chain(risk_places(one.answer), input_places(one.question, one.answer["moment"])):
                cells[place] += 1

    def lines(self) -> str:
        """All counts as lines of ``/metrics``."""
        return "\n".join(_lines(self._tally.totals())) + "\n"


@dataclass(frozen=True, slots=True)
class _Histogram:
    """``first``: where the counts by interval begin; there is one more than edges, for what lies beyond them."""

    first: int
    edges: tuple[float, ...]

    def place(self, value: float) -> int:
        return self.first + bisect_left(self.edges, value)

    def lines(self, metric: str, labels: str, totals: Sequence[int]) -> Iterator[str]:
        up_to = list(accumulate(totals[self.first : self.first + len(self.edges) + 1]))
        for edge, counted in zip((*self.edges, "+Inf"), up_to, strict=True):
            yield f'{metric}_bucket{{{labels},le="{edge}"}} {counted}'
        yield f"{metric}_count{{{labels}}} {up_to[-1]}"


@dataclass(frozen=True, slots=True)
class _Input:
    """Where the counts of one variable stand: how often it was said, and what it was."""

    said: int
    values: _Histogram | None
    choices: Mapping[Any, int]

    def places(self, value: Any) -> tuple[int, ...]:
        if self.values is not None:
            return self.said, self.values.place(value)
        return self.said, *(self.choices[one] for one in (value if isinstance(value, list) else (value,)))


def risk_places(answer: Mapping[str, Any]) -> Iterator[int]:
    """Of each risk in an answer."""
    for vertebra in answer["leakage"] or ():
        yield _RISKS["leakage", ""].place(vertebra["risk"])
    refracture = answer["refracture"]
    if refracture:
        outcome = "refracture" if answer["moment"] == "preop" else "refracture-postop"
        for months, risk in zip(refracture["horizons_months"], refracture["risk"], strict=True):
            yield _RISKS[outcome, str(months)].place(risk)


def input_places(question: Mapping[str, Any], moment: str) -> Iterator[int]:
    """Of who was asked about, and of each variable that was said and a model reads; the vertebrae's once for each."""
    yield _ASKED[moment, "patient"]
    yield from _said(question["patient"])
    for vertebra in question["vertebrae"]:
        yield _ASKED[moment, "vertebra"]
        yield from _said(vertebra)


def _said(facts: Mapping[str, Any]) -> Iterator[int]:
    for name, value in facts.items():
        found = _INPUTS.get(name)
        if found is not None and value is not None:
            yield from found.places(value)


def _lines(totals: Sequence[int]) -> Iterator[str]:
    yield from _head("cemrisk_risk", "Risks that were answered; a sum would tell single ones", "histogram")
    for (outcome, months), risk in _RISKS.items():
        yield from risk.lines("cemrisk_risk", f'outcome="{outcome}",months="{months}"', totals)
    yield from _head("cemrisk_input", "Numbers that were asked with; without a sum", "histogram")
    for name, found in _INPUTS.items():
        if found.values is not None:
            yield from found.values.lines("cemrisk_input", f'variable="{name}"', totals)
    yield from _head("cemrisk_input_choice_total", "Choices that were asked with", "counter")
    for name, found in _INPUTS.items():
        for choice, place in found.choices.items():
            yield f'cemrisk_input_choice_total{{variable="{name}",choice="{_label(choice)}"}} {totals[place]}'
    asked = {name: sum(totals[place] for place in places) for name, places in _ASKED_OF.items()}
    yield from _head("cemrisk_input_asked_total", "How often a variable could have been said", "counter")
    for name in _INPUTS:
        yield f'cemrisk_input_asked_total{{variable="{name}"}} {asked[name]}'
    yield from _head("cemrisk_input_unknown_total", "How often a variable was not said", "counter")
    for name, found in _INPUTS.items():
        unknown = max(0, asked[name] - totals[found.said])  # below 0 for a moment, if it is said while this is read
        yield f'cemrisk_input_unknown_total{{variable="{name}"}} {unknown}'


def _head(metric: str, text: str, kind: str) -> tuple[str, str]:
    return f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"


def _label(choice: str | bool) -> str:
    return choice if isinstance(choice, str) else str(choice).lower()


def model_lines(models: Mapping[str, Mapping[str, Any]]) -> str:
    """How each model stands, with its digest, as lines of ``/metrics``; from ``Shelf.status``."""
    lines = [*_head("cemrisk_model", "How a model stands: 1 for the state it is in", "gauge")]
    for outcome, one in models.items():
        labels = {"outcome": outcome, **{name: one.get(name, "") for name in ("state", "version", "learner", "sha256")}}
        lines.append("cemrisk_model{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "} 1")
    return "\n".join(lines) + "\n"


def _edges(variable: Variable) -> tuple[float, ...]:
    """Over the plausible range; a few whole numbers have an interval each."""
    low, high = variable.plausible_low, variable.plausible_high
    assert low is not None and high is not None, variable.name
    steps = int(high - low) if variable.kind == "integer" and high - low <= INTERVALS else INTERVALS
    return tuple(float(f"{low + (high - low) * step / steps:.3g}") for step in range(steps + 1))


_PLACES = count()


def _histogram(edges: tuple[float, ...]) -> _Histogram:
    return _Histogram(min([next(_PLACES) for _ in range(len(edges) + 1)]), edges)


def _input(variable: Variable) -> _Input:
    numeric = variable.kind in ("number", "integer")
    choices = (True, False) if variable.kind == "flag" else variable.choices
    values = _histogram(_edges(variable)) if numeric else None
    return _Input(next(_PLACES), values, {choice: next(_PLACES) for choice in choices})


_RISKS = {("leakage", ""): _histogram(RISK_EDGES)} | {
    (outcome, str(months)): _histogram(RISK_EDGES)
    for outcome in ("refracture", "refracture-postop")
    for months in HORIZONS_MONTHS
}
_READ = {name for predictors in PREDICTORS.values() for predictor in predictors for name in predictor.reads}
_SCOPES: tuple[Scope, ...] = ("patient", "vertebra")
#: Names of what is counted, by moment and scope.
_COUNTED = {
    (moment, scope): [v.name for v in accepted_variables(scope, known) if v.name in _READ]
    for moment, known in MOMENTS.items()
    for scope in _SCOPES
}
_INPUTS = {name: _input(VARIABLES[name]) for name in dict.fromkeys(chain(*_COUNTED.values()))}
_ASKED = {group: next(_PLACES) for group in _COUNTED}
_ASKED_OF = {name: [_ASKED[group] for group, names in _COUNTED.items() if name in names] for name in _INPUTS}
_SIZE = next(_PLACES)
