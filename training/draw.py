"""The figures of a trained version: calibration, decision curve, SHAP summary."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Matrix, Predictor
from features.dictionary import VARIABLES
from features.outcome import HORIZON_DAYS, Leakage
from training import figures, metrics
from training.cohort import Cohort
from training.validate import Validated, any_code

Floats = NDArray[np.float64]
_THRESHOLDS = np.arange(0.02, 0.505, 0.02)
#: Simulated rows of a SHAP summary: it is drawn from ranges of the cohort, not from its patients.
_SUMMARY_ROWS = 400


def figures_of(people: Cohort, result: Validated) -> dict[str, bytes]:
    """PNG files by name, drawn from out-of-fold predictions; a boosted version has its SHAP summary too."""
    drawn = _leakage(people, result) if isinstance(people.target, Leakage) else _refracture(people, result)
    if result.learner == "boosted":
        drawn["shap_summary.png"] = shap_summary(people, result)
    return drawn


def _leakage(people: Cohort, result: Validated) -> dict[str, bytes]:
    target = people.target
    assert isinstance(target, Leakage)
    name = f"Leakage, {result.learner}"
    curve = metrics.calibration(result.risk, target.leaked, cluster=target.patient)
    decision = metrics.net_benefit(result.risk, target.leaked, _THRESHOLDS, cluster=target.patient)
    return {
        "calibration.png": figures.render(figures.calibration_figure(result.risk, curve, name, "leak", target.leaked)),
        "decision_curve.png": figures.render(figures.decision_figure({result.learner: decision}, name, "leak")),
    }


def _refracture(people: Cohort, result: Validated) -> dict[str, bytes]:
    target = people.target
    assert not isinstance(target, Leakage)
    code, drawn = any_code(target), {}
    for index, (months, days) in enumerate(HORIZON_DAYS.items()):
        if f"brier_m{months}" not in result.metrics:
            continue
        at = (result.risk[:, index], code, target.days, days)
        name, event = f"Refracture within {months} months, {result.learner}", f"refracture by {months} months"
        curve = metrics.calibration_at(*at, cluster=target.patient)
        decision = metrics.net_benefit_at(*at, _THRESHOLDS, cluster=target.patient)
        drawn[f"calibration_m{months}.png"] = figures.render(
            figures.calibration_figure(result.risk[:, index], curve, name, event)
        )
        drawn[f"decision_curve_m{months}.png"] = figures.render(
            figures.decision_figure({result.learner: decision}, name, event)
        )
    return drawn


def shap_summary(people: Cohort, result: Validated) -> bytes:
    """What each variable adds over simulated rows drawn column by column from the cohort's ranges, by shap's own
    figure.
    """
    import shap
    from matplotlib import pyplot

    matrix = simulated_rows(people.matrix)
    explained = result.model.explain(matrix)
    labels = [_label(predictor) for predictor in PREDICTORS[people.outcome]]
    values = shap.Explanation(explained.contributions, explained.base, matrix.values, feature_names=labels)
    picture = pyplot.figure(figsize=(7.5, 5.5))
    try:
        with _same_jitter():
            shap.plots.beeswarm(values, max_display=len(labels), show=False)
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


def _label(predictor: Predictor) -> str:
    """What the dictionary calls the column, with its unit."""
    variable = VARIABLES[predictor.name]
    return f"{variable.label} ({variable.unit})" if variable.unit not in ("", "count") else variable.label


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
