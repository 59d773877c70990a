"""The tables and numbers of docs/methods.md against the code that they describe."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.build import PREDICTORS, Outcome
from features.dictionary import VARIABLES
from models import averaging, boosted, boosting, calibrate, competing, design
from models.interface import Settings
from models.logistic import FEWEST_EVENTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "methods.md"
POOLED = {"any": "any", "highest": "worst", "most": "most", "lowest": "lowest", "sum": "sum", "first": "the patient's"}
DIRECTION = {1: "up", -1: "down", 0: ""}


def table(outcome: Outcome) -> str:
    """The predictors of an outcome as a table; printed by ``python -m tests.unit.test_methods_doc``."""
    last = "pooled" if outcome != "leakage" else "unit"
    lines = [f"| column | from | as | trees | {last} |", "| --- | --- | --- | --- | --- |"]
    for predictor in PREDICTORS[outcome]:
        unit = VARIABLES[predictor.variable].unit if predictor.shape == "continuous" else ""
        reads = ", ".join(f"`{name}`" for name in predictor.reads) or "how leaks are looked for"
        shape = " < ".join(predictor.levels) if predictor.levels else predictor.shape
        trees = DIRECTION[boosted.MONOTONE[outcome].get(predictor.name, 0)]
        pooled = POOLED[predictor.pool] if outcome != "leakage" else unit
        lines.append(f"| `{predictor.name}` | {reads} | {shape} | {trees} | {pooled} |")
    return "\n".join(lines)


@pytest.mark.parametrize("outcome", ["leakage", "refracture", "refracture-postop"])
def test_the_table_of_predictors_is_that_of_the_code(outcome: Outcome) -> None:
    assert table(outcome) in DOCUMENT.read_text()


@pytest.mark.parametrize(
    "said",
    [
        f"quantiles {', '.join(map(str, design.KNOT_QUANTILES))}",
        f"penalties {', '.join(f'{penalty:g}' for penalty in averaging.PENALTIES)}",
        f"strengths {', '.join(f'{strength:g}' for strength in averaging.STRENGTHS)}",
        f"b ~ N(1, {calibrate.SLOPE_SD}²)",
        f"days {', '.join(map(str, competing.GRID_DAYS))}",
        f"depth {', '.join(map(str, boosting.DEPTHS))}",
        f"{boosting.STEP} to {boosting.MOST_ROUNDS} rounds in steps of {boosting.STEP}",
        f"learning rate {boosting.LEARNING_RATE}",
        f"{boosted.BOOSTED_REFITS} refits for trees, {Settings().refits} for the linear models",
        f"{Settings().folds} folds",
        f"fewer than {FEWEST_EVENTS} events",
        f"{boosting.PATIENCE} steps",
    ],
)
def test_the_numbers_are_those_of_the_code(said: str) -> None:
    assert said in " ".join(DOCUMENT.read_text().split())


if __name__ == "__main__":
    for one in ("leakage", "refracture"):
        print(table(one))  # type: ignore[arg-type]  # noqa: T201
