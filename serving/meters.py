"""What was asked and answered, counted: how risks and inputs are distributed, so that a drift can be seen.

Each value only adds one to the count of the interval that it lies in. Prometheus' own histograms also keep the sum of
all values, and the difference of two sums is what one patient had; here nothing of the kind can be read back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from features.build import PREDICTORS
from features.dictionary import VARIABLES
from features.variable import Variable
from serving.query_log import Answered, QueryLog

#: Adds one to a count with these labels.
Count = Callable[[tuple[str, ...]], None]

RISK_EDGES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
#: Intervals that the plausible range of a number is cut into.
INTERVALS = 6
UNKNOWN = "unknown"

RISKS = ("cemrisk_risks", "Risks that were answered, by interval", ("outcome", "months", "interval"))
INPUTS = ("cemrisk_inputs", "Values that were asked with, by interval or choice", ("variable", "interval"))


class MeteredLog(QueryLog):
    """The query log, which also counts what it keeps: every answer goes through it."""

    def __init__(self, version: str, risks: Count, inputs: Count) -> None:
        super().__init__(version)
        self._risks, self._inputs = risks, inputs

    async def keep(self, *answered: Answered) -> None:
        """As the log does; what could not be kept is not counted."""
        await super().keep(*answered)
        with suppress(OSError):  # counts lie in files: a full disk must not cost an answer that was kept
            self._count_all(answered)

    def _count_all(self, answered: Iterable[Answered]) -> None:
        for one in answered:
            for labels in risks_of(one.answer):
                self._risks(labels)
            for labels in inputs_of(one.question):
                self._inputs(labels)


def risks_of(answer: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Outcome, horizon in months (empty for leakage) and interval of each risk in an answer."""
    for vertebra in answer["leakage"] or ():
        yield "leakage", "", interval_of(vertebra["risk"], RISK_EDGES)
    refracture = answer["refracture"]
    if refracture:
        for months, risk in zip(refracture["horizons_months"], refracture["risk"], strict=True):
            yield "refracture", str(months), interval_of(risk, RISK_EDGES)


def inputs_of(question: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Variable and interval, choice or ``unknown``, for each that a model reads, the vertebrae's once for each."""
    yield from _counted(question["patient"], _READ["patient"])
    for vertebra in question["vertebrae"]:
        yield from _counted(vertebra, _READ["vertebra"])


def _counted(facts: Mapping[str, Any], variables: Iterable[Variable]) -> Iterator[tuple[str, str]]:
    for variable in variables:
        value = facts.get(variable.name)
        if value is None:
            yield variable.name, UNKNOWN
        elif isinstance(value, list):
            for choice in value:
                yield variable.name, choice
        elif isinstance(value, bool | str):
            yield variable.name, str(value).lower() if isinstance(value, bool) else value
        else:
            yield variable.name, interval_of(value, _EDGES[variable.name])


def interval_of(value: float, edges: tuple[float, ...]) -> str:
    """The interval that holds a value, lower end included, upper end not."""
    place = bisect_right(edges, value)
    if place == 0:
        return f"below {edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g} and above"
    return f"{edges[place - 1]:g} to {edges[place]:g}"


def _edges(variable: Variable) -> tuple[float, ...]:
    low, high = variable.plausible_low, variable.plausible_high
    if low is None or high is None:
        return (0.0,)
    return tuple(float(f"{low + (high - low) * step / INTERVALS:.3g}") for step in range(INTERVALS + 1))


def model_lines(models: Mapping[str, Mapping[str, Any]]) -> str:
    """How each model stands, with its digest, as lines of ``/metrics``; from ``Shelf.status``."""
    lines = ["# HELP cemrisk_model How a model stands: 1 for the state it is in", "# TYPE cemrisk_model gauge"]
    for outcome, one in models.items():
        labels = {"outcome": outcome, **{name: one.get(name, "") for name in ("state", "version", "learner", "sha256")}}
        lines.append("cemrisk_model{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "} 1")
    return "\n".join(lines) + "\n"


_NAMES = {name for predictors in PREDICTORS.values() for predictor in predictors for name in predictor.reads}
_READ = {
    scope: tuple(v for v in VARIABLES.values() if v.name in _NAMES and v.scope == scope and v.role != "outcome")
    for scope in ("patient", "vertebra")
}
_EDGES = {variable.name: _edges(variable) for variables in _READ.values() for variable in variables}
