"""Fits what the plain service answers from: the usual estimators on the same simulated patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer
from xgboost import XGBClassifier

from features.build import Matrix
from features.outcome import CAUSES, ROUTES, Leakage, Refracture

PENALTY = 0.05
TREES = {"n_estimators": 200, "max_depth": 3, "learning_rate": 0.05, "n_jobs": 1}


def fit_plain(leakage: tuple[Matrix, Leakage], refracture: tuple[Matrix, Refracture], path: Path) -> None:
    """Fit and store all models of the plain service."""
    leaks, leaked = leakage
    fractures, fractured = refracture
    x, leak_medians = _frame(leaks)
    z, fracture_medians = _frame(fractures)
    parts = {"any": leaked.leaked, **{route: leaked.routes[:, k] for k, route in enumerate(ROUTES)}}
    models: dict[str, Any] = {
        "leak_columns": list(x), "leak_medians": leak_medians,
        "fracture_columns": list(z), "fracture_medians": fracture_medians,
        "leak_logistic": {name: _logistic(x, y) for name, y in parts.items()},
        "leak_cox": _cox(x, leaked.days, leaked.leaked == 1),
        "leak_boosted": XGBClassifier(**TREES).fit(x, leaked.leaked),
        "fracture_cox": {c: _cox(z, fractured.days, fractured.event_code == k) for k, c in enumerate(CAUSES, start=1)},
        "fracture_boosted": XGBClassifier(**TREES).fit(
            z, (fractured.event_code > 0) & (fractured.event_code < 4) & (fractured.days <= 365)
        ),
    }  # fmt: skip
    joblib.dump(models, path)


def _frame(matrix: Matrix) -> tuple[pd.DataFrame, dict[str, float]]:
    frame = pd.DataFrame(matrix.values, columns=list(matrix.columns))
    medians = {name: float(value) for name, value in frame.median().items()}
    return frame.fillna(medians), medians


def _logistic(x: pd.DataFrame, y: np.ndarray) -> Any:
    told = ~np.isnan(y)
    return make_pipeline(SplineTransformer(n_knots=4, degree=3), LogisticRegression(max_iter=2000)).fit(
        x[told], y[told]
    )


def _cox(x: pd.DataFrame, days: np.ndarray, event: np.ndarray) -> Any:
    timed = ~np.isnan(days)
    frame = x[timed].assign(days=days[timed], event=event[timed])
    return CoxPHFitter(penalizer=PENALTY).fit(frame, "days", "event")
