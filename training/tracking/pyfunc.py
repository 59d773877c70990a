"""The thin MLflow face of a saved model, kept as code: rows of the flat registry in, risks out.

Columns are those of the variable dictionary, typed (numbers, true/false, words; empty = unknown). For leakage each row
is a vertebra and the answer has ``risk`` and, where the learner has them, the routes; for refracture rows of one
``patient_id`` (and ``procedure_date``) belong together and each row gets its patient's risks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

import models
from features.build import MOMENT_OF, build
from features.dictionary import VARIABLES
from features.outcome import HORIZON_DAYS, ROUTES
from features.records import to_columns
from models.calibrated import CalibratedRisk


class RiskPyfunc(PythonModel):
    """``predict`` returns one row per input row; ``params={"detection": "CT" | "radiograph"}`` for leakage."""

    def load_context(self, context: Any) -> None:
        folder = Path(context.artifacts["model"])
        self.model: CalibratedRisk = models.load(folder)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return _risks(self.model, model_input, str((params or {}).get("detection", "CT")))


def _risks(model: CalibratedRisk, frame: pd.DataFrame, detection: str) -> pd.DataFrame:
    patient = _patients(frame)
    columns = to_columns(_records(frame))
    if model.outcome == "leakage":
        margins = model.margins(build(columns, "leakage", detection=detection, patient=patient), with_refits=False)
        answer = {"risk": model.risk_of(margins)}
        if model.has_routes:
            answer |= dict(zip([f"leak_{route}" for route in ROUTES], model.routes_of(margins).T, strict=True))
        return pd.DataFrame(answer, index=frame.index)
    matrix = build(columns, model.outcome, moment=MOMENT_OF[model.outcome], patient=patient)
    margins = model.margins(matrix, with_refits=False)
    # Patients come in order of first appearance; give each row its patient's place in that order.
    _, first, code = np.unique(patient, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[code]
    risks = {f"risk_m{months}": model.risk_of(margins, days)[place] for months, days in HORIZON_DAYS.items()}
    return pd.DataFrame(risks, index=frame.index)


def _patients(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.intp]]:
    """An integer per row for each operation of a patient, as in training; a row without patient_id stands alone."""
    keys = [name for name in ("patient_id", "procedure_date") if name in frame]
    if "patient_id" not in keys:
        return np.arange(len(frame))
    found = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(dtype=np.intp)
    alone = frame["patient_id"].isna().to_numpy()
    found[alone] = len(frame) + np.arange(alone.sum())
    return np.asarray(found)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    known = [name for name in frame.columns if name in VARIABLES]
    rows = frame[known].to_dict("records")
    return [{str(name): value for name, value in row.items() if _is_known(value)} for row in rows]


def _is_known(value: Any) -> bool:
    return isinstance(value, frozenset | str) or not pd.isna(value)


set_model(RiskPyfunc())
