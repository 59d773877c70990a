"""Valid records in one call: what the tests vary is all that they have to say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.dictionary import Value
from features.records import to_columns

_PATIENT: dict[str, Value] = {
    "patient_id": "p1",
    "centre_id": "c1",
    "procedure_date": "2024-03-05",
    "age_years": 73.0,
    "sex": "female",
    "bmi_kg_m2": 22.5,
    "smoking": "never",
    "steroid_use": False,
    "diabetes": False,
    "malignancy": "none",
    "t_score": -3.1,
    "hu_l1": 62.0,
    "prior_vertebral_fracture": False,
    "treated_count": 1,
    "anti_osteoporosis_plan": "zoledronate",
}

_VERTEBRA: dict[str, Value] = {
    "level": "L1",
    "fvah_mm": 17.2,
    "mvh_mm": 18.0,
    "pvh_mm": 26.5,
    "adj_ah_above_mm": 26.0,
    "adj_ah_below_mm": 28.0,
    "cortical_disruption": True,
    "cortical_disruption_site": frozenset({"anterior"}),
    "intravertebral_cleft": False,
    "basivertebral_foramen": "normal",
    "procedure": "PVP",
    "cement_product_id": "alliment",
    "planned_viscosity": "medium",
    "planned_volume_ml": 4.5,
}

_OUTCOME: dict[str, Value] = {
    "leak_routes": frozenset({"D"}),
    "leak_modality": "CT",
    "leak_detected_days": 1,
    "refracture": "adjacent",
    "refracture_days": 120,
    "last_seen_days": 800,
    "died": False,
}


def patient_facts(**changes: Value | None) -> dict[str, Value | None]:
    """What is the same on all of a patient's vertebrae, before surgery."""
    return {**_PATIENT, **changes}


def vertebra_facts(**changes: Value | None) -> dict[str, Value | None]:
    """What belongs to one treated vertebra, before surgery and planned."""
    return {**_VERTEBRA, **changes}


def question(**changes: Value | None) -> dict[str, Value | None]:
    """A record as it is known before surgery: one patient with one treated vertebra."""
    return {**_PATIENT, **_VERTEBRA, **changes}


def record(**changes: Value | None) -> dict[str, Value | None]:
    """A complete record of a registry: one treated vertebra with its outcomes."""
    return {**_PATIENT, **_VERTEBRA, **_OUTCOME, **changes}


def columns(*rows: dict[str, Value | None], **shared: Value | None) -> dict[str, NDArray[Any]]:
    """Columns of the given rows, or of one row of ``shared`` alone; ``shared`` is added to every row."""
    return to_columns([{**shared, **row} for row in rows or ({},)])


def column(*values: float | None) -> NDArray[np.float64]:
    """A float column, None for unknown."""
    return np.array([np.nan if value is None else value for value in values])
