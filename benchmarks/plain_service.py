"""The straightforward service, for comparison: BentoML over lifelines, scikit-learn, xgboost and shap.

Fitted at start on the same simulated patients, with the same predictors; unknowns are filled by the training median. It
answers less than cemrisk does: no intervals, no what-ifs, no routes by any other learner.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import joblib
import numpy as np
import pandas as pd
import shap

HORIZONS_DAYS = [91.0, 365.0, 730.0]


@bentoml.service(name="plain", logging={"access": {"enabled": False}})
class Plain:
    """Both outcomes, all learners, SHAP for the boosted ones."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = joblib.load(Path(os.environ["PLAIN_MODELS"]))
        self.leak_shap = shap.TreeExplainer(self.models["leak_boosted"])
        self.fracture_shap = shap.TreeExplainer(self.models["fracture_boosted"])

    @bentoml.api
    def risk(self, leakage: dict[str, float | None], refracture: dict[str, float | None]) -> dict[str, Any]:
        """Matrix columns in, risks and SHAP values out."""
        leak, fracture = self._frame("leak", leakage), self._frame("fracture", refracture)
        m = self.models
        by_route = {route: float(model.predict_proba(leak)[0, 1]) for route, model in m["leak_logistic"].items()}
        causes = {
            cause: 1 - model.predict_survival_function(fracture, times=HORIZONS_DAYS).to_numpy()[:, 0]
            for cause, model in m["fracture_cox"].items()
        }
        return {
            "leakage": {
                "logistic": by_route,
                "cox": float(1 - m["leak_cox"].predict_survival_function(leak, times=[365.0]).to_numpy()[0, 0]),
                "boosted": float(m["leak_boosted"].predict_proba(leak)[0, 1]),
                "shap": np.asarray(self.leak_shap.shap_values(leak)).ravel().tolist(),
            },
            "refracture": {
                "cox": {cause: risk.tolist() for cause, risk in causes.items()},
                "boosted": float(m["fracture_boosted"].predict_proba(fracture)[0, 1]),
                "shap": np.asarray(self.fracture_shap.shap_values(fracture)).ravel().tolist(),
            },
        }

    def _frame(self, name: str, values: dict[str, float | None]) -> pd.DataFrame:
        columns, medians = self.models[f"{name}_columns"], self.models[f"{name}_medians"]
        row = [medians[c] if values.get(c) is None else values[c] for c in columns]
        return pd.DataFrame([row], columns=columns, dtype=float)
