"""The figures of a trained version: summary, calibration, decision curve, SHAP summary."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import Matrix
from features.outcome import Leakage
from training import competing_risks, figures
from training.cohort import Cohort
from training.promote import SUFFIX
from training.report import evaluation, panels
from training.report.evaluation import Flow
from training.report.look import looks
from training.report.words import horizon, labels
from training.validate import Validated

Floats = NDArray[np.float64]
#: Simulated rows of a SHAP summary: it is drawn from ranges of the cohort, not from its patients.
_SUMMARY_ROWS = 400


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run shows of its evaluation. ``figures``: file name -> PNG; ``documents``: file name -> text."""

    figures: dict[str, bytes]
    documents: dict[str, str]


def show(people: Cohort, result: Validated, flow: Flow) -> Shown:
    """The figures of a run with its summary, and the aggregates that its report is drawn from later."""
    looked = looks(people, result)
    kept = evaluation.evaluation(people, looked, flow)
    drawn = figures_of(people, result, kept["horizons"])
    documents = {evaluation.NAME: json.dumps(kept, allow_nan=False)}
    if not isinstance(people.target, Leakage):
        documents[competing_risks.NAME] = json.dumps(
            competing_risks.as_json(people.target, result.detail), allow_nan=False
        )
    return Shown(drawn, documents)


def figures_of(people: Cohort, result: Validated, horizons: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """PNG files by name, drawn from what is kept of each horizon; a boosted version has its SHAP summary too."""
    drawn: dict[str, bytes] = {}
    for one in horizons:
        drawn |= _of_horizon(people, result, one)
    if result.learner == "boosted":
        drawn["shap_summary.png"] = shap_summary(people, result)
    return drawn


def _of_horizon(people: Cohort, result: Validated, one: Mapping[str, Any]) -> dict[str, bytes]:
    when = "" if one["months"] is None else f" within {horizon(people.outcome, one['months'])}"
    title, end = f"{people.outcome.capitalize()}{when}, {result.learner}", one["suffix"]
    drawn = {
        f"calibration{end}.png": figures.render(panels.calibration_figure(one, result.metrics, title)),
        f"decision_curve{end}.png": figures.render(panels.decision_figure(one, title)),
    }
    if end == SUFFIX[people.outcome]:
        summary = panels.summary_figure(
            one, result.metrics, f"{people.outcome.capitalize()}, {result.learner}: out of sample"
        )
        drawn["summary.png"] = figures.render(summary, dots_per_inch=110)
    return drawn


def shap_summary(people: Cohort, result: Validated) -> bytes:
    """What each variable adds over simulated rows drawn column by column from the cohort's ranges, by shap's own
    figure.
    """
    import shap
    from matplotlib import pyplot

    matrix = simulated_rows(people.matrix)
    explained = result.model.explain(matrix)
    named = list(labels(people.outcome).values())
    values = shap.Explanation(explained.contributions, explained.base, matrix.values, feature_names=named)
    picture = pyplot.figure(figsize=(7.5, 5.5))
    try:
        with _same_jitter():
            shap.plots.beeswarm(values, max_display=len(named), show=False)
        pyplot.xlabel(f"contribution to the risk ({explained.scale.replace('_', ' ')})")
        pyplot.title(f"{people.outcome.capitalize()}, boosted: simulated rows")
        content = io.BytesIO()
        pyplot.gcf().savefig(content, dpi=120, bbox_inches="tight", metadata={"Software": None})
        return content.getvalue()
    finally:
        pyplot.close(picture)


@contextmanager
def _same_jitter() -> Iterator[None]:
    """shap scatters points by NumPy's global generator: the same figure for the same model, and the caller's state
    untouched.
    """
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def simulated_rows(matrix: Matrix, rows: int = _SUMMARY_ROWS) -> Matrix:
    """Rows that are no patient's: each column drawn by itself, from few values or between coarse quantiles."""
    rng = np.random.default_rng(0)
    columns = [_simulated_column(matrix.values[:, index], rows, rng) for index in range(len(matrix.columns))]
    return Matrix(matrix.columns, np.column_stack(columns), np.arange(rows))


def _simulated_column(values: Floats, rows: int, rng: np.random.Generator) -> Floats:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.full(rows, np.nan)
    distinct: Any = np.unique(known)
    if len(distinct) <= 8:
        return rng.choice(known, rows)
    levels = np.linspace(0.05, 0.95, 10)
    return np.interp(rng.uniform(0.05, 0.95, rows), levels, np.quantile(known, levels))
