"""From what is known about patients to the matrix that a model reads: pure, the same for training and serving.

For leakage the matrix has one row per treated vertebra, for refracture, asked before or after surgery, one per patient,
made from all the vertebrae treated together: a finding counts if any vertebra has it, of severities the worst counts,
volumes are added, of CT values the lowest counts. Nothing is learned here: every number in a row follows from that
patient alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import after_surgery, bone_quality, cement, cortical_breach, fracture_severity, level
from features.derived import Columns, rows_of
from features.dictionary import Moment
from features.errors import UsageError
from features.moments import MOMENT_OF as MOMENT_OF
from features.moments import Outcome as Outcome
from features.moments import outcomes_at as outcomes_at
from features.predictor import Pool, coded_as, flag, number_of
from features.predictor import Predictor as Predictor

Floats = NDArray[np.float64]

#: Procedures that the models know; a stent (VBS) or another technique is unknown to them.
PROCEDURE_CODES = {"PVP": 0.0, "PKP": 1.0}
DETECTION_CODES = {"radiograph": 0.0, "CT": 1.0, "CT+radiograph": 1.0}


def on_grid(outcome: Outcome, values: Floats) -> Floats:
    """The matrix (n, columns) with every continuous column rounded down to the grid of its predictor."""
    steps = np.array([predictor.resolution for predictor in PREDICTORS[outcome]])
    coarse = np.array(values)
    coarse[:, steps > 0] = np.floor(values[:, steps > 0] / steps[steps > 0]) * steps[steps > 0]
    return coarse


def _bmi(columns: Columns) -> Floats:
    stated = number_of("bmi_kg_m2")(columns)
    if "height_cm" not in columns or "weight_kg" not in columns:
        return stated
    computed = (
        np.asarray(columns["weight_kg"], dtype=float) / (np.asarray(columns["height_cm"], dtype=float) / 100) ** 2
    )
    return np.where(np.isnan(stated), computed, stated)


_HEIGHTS = (
    "genant_grade",
    "fvah_mm",
    "mvh_mm",
    "pvh_mm",
    "adj_ah_above_mm",
    "adj_ah_below_mm",
    "adj_mh_above_mm",
    "adj_mh_below_mm",
    "avhr_pct",
    "mvhr_pct",
    "level",
)
_CT_VALUE = ("hu_l1", "hu_adjacent_mean", "hu_index_vertebra")
_VISCOSITY = (
    "planned_viscosity",
    "planned_injection_stage",
    "cement_product_id",
    "planned_minutes_after_mixing",
    "room_temperature_c",
)
_BREACH = ("cortical_disruption", "cortical_disruption_site", "endplate_disruption", "posterior_wall_defect")

_SHARED = {
    "ct_value_hu": Predictor(
        "ct_value_hu",
        "hu_l1",
        _CT_VALUE,
        "continuous",
        lambda c: bone_quality.ct_value(c).value,
        "lowest",
        resolution=1.0,
    ),
    "genant_grade": Predictor(
        "genant_grade", "genant_grade", _HEIGHTS, "score", lambda c: fracture_severity.genant_grade(c).value, "highest"
    ),
    "planned_volume_ml": Predictor(
        "planned_volume_ml",
        "planned_volume_ml",
        ("planned_volume_ml",),
        "continuous",
        number_of("planned_volume_ml"),
        "sum",
        resolution=0.25,
    ),
    "intravertebral_cleft": Predictor(
        "intravertebral_cleft",
        "intravertebral_cleft",
        ("intravertebral_cleft",),
        "flag",
        number_of("intravertebral_cleft"),
        "any",
    ),
    "procedure_pkp": Predictor(
        "procedure_pkp", "procedure", ("procedure",), "flag", coded_as("procedure", PROCEDURE_CODES), "any"
    ),
    "treated_count": Predictor(
        "treated_count", "treated_count", ("treated_count",), "score", number_of("treated_count"), "highest"
    ),
}


_LEAKAGE = (
    Predictor("detection", "detection", (), "flag", number_of("detection")),
    _SHARED["ct_value_hu"],
    _SHARED["genant_grade"],
    Predictor(
        "viscosity",
        "planned_viscosity",
        _VISCOSITY,
        "levels",
        lambda c: cement.viscosity(c).value,
        levels=("low", "medium", "high"),
    ),
    Predictor(
        "cortical_disruption", "cortical_disruption", _BREACH, "flag", lambda c: cortical_breach.any_breach(c).value
    ),
    _SHARED["planned_volume_ml"],
    _SHARED["intravertebral_cleft"],
    Predictor(
        "basivertebral_foramen_enlarged",
        "basivertebral_foramen",
        ("basivertebral_foramen",),
        "flag",
        lambda c: cortical_breach.basivertebral_foramen_enlarged(c).value,
    ),
    _SHARED["procedure_pkp"],
    _SHARED["treated_count"],
)

_REFRACTURE = (
    Predictor("age_years", "age_years", ("age_years",), "continuous", number_of("age_years"), resolution=1.0),
    Predictor("female", "sex", ("sex",), "flag", coded_as("sex", {"female": 1.0, "male": 0.0})),
    _SHARED["ct_value_hu"],
    Predictor("t_score", "t_score", ("t_score",), "continuous", number_of("t_score"), resolution=0.125),
    Predictor("bmi_kg_m2", "bmi_kg_m2", ("bmi_kg_m2", "height_cm", "weight_kg"), "continuous", _bmi, resolution=0.25),
    flag("steroid_use"),
    Predictor("smoking_current", "smoking", ("smoking",), "flag", coded_as("smoking", {"current": 1.0}, 0.0)),
    flag("diabetes"),
    flag("prior_vertebral_fracture"),
    _SHARED["treated_count"],
    Predictor(
        "thoracolumbar_junction",
        "level",
        ("level",),
        "flag",
        lambda c: level.thoracolumbar_junction(c).value,
        "any",
    ),
    _SHARED["intravertebral_cleft"],
    _SHARED["genant_grade"],
    _SHARED["planned_volume_ml"],
    Predictor(
        "anti_osteoporosis_planned",
        "anti_osteoporosis_plan",
        ("anti_osteoporosis_plan",),
        "flag",
        coded_as("anti_osteoporosis_plan", {"none": 0.0}, 1.0),
    ),
    _SHARED["procedure_pkp"],
)

#: The predictors of each outcome, in the order of the matrix.
PREDICTORS: dict[Outcome, tuple[Predictor, ...]] = {
    "leakage": _LEAKAGE,
    "refracture": _REFRACTURE,
    # What was injected takes the place of what had been planned: the two together only blur each other.
    "refracture-postop": (*(p for p in _REFRACTURE if p.name != "planned_volume_ml"), *after_surgery.PREDICTORS),
}


@dataclass(frozen=True, slots=True)
class Matrix:
    """``values``: float64, shape (rows, columns), NaN where unknown. ``patient``: an integer for each row.

    For leakage the rows are those of the input; for refracture row i is the i-th patient in order of appearance, and
    ``patient`` is simply 0, 1, 2, …
    """

    columns: tuple[str, ...]
    values: Floats
    patient: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, column: str) -> Floats:
        return self.values[:, self.columns.index(column)]

    def keys(self) -> tuple[str, ...]:
        return self.columns

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Matrix:
        """The rows asked for, their patients' numbers kept."""
        return Matrix(self.columns, self.values[rows], self.patient[rows])


def build(
    columns: Columns,
    outcome: Outcome,
    *,
    moment: Moment = Moment.PLANNED,
    detection: str | Floats | None = None,
    patient: NDArray[np.intp] | None = None,
) -> Matrix:
    """The model matrix of an outcome.

    ``columns``: dictionary variables as arrays of one length (an absent one is unknown throughout); what else it holds
    is not read. ``detection``: how leaks are, or were, looked for: ``"CT"``, ``"radiograph"``, or one code per row (1
    CT, 0 radiograph); leakage only. ``patient``: an integer per row; without it all rows are one patient's.

    Raises ``UsageError`` if a predictor would be known only after ``moment``.
    """
    predictors = PREDICTORS[outcome]
    refuse_look_ahead(predictors, moment)
    count = rows_of(columns)
    who = np.zeros(count, dtype=np.intp) if patient is None else patient
    names = tuple(predictor.name for predictor in predictors)
    if outcome == "leakage":
        return Matrix(names, derive({**columns, "detection": detection_codes(detection, count)}, predictors), who)
    pooled = pool_patients(derive(columns, predictors), predictors, who)
    return Matrix(names, pooled, np.arange(len(pooled)))


def derive(columns: Columns, predictors: Sequence[Predictor]) -> Floats:
    """What each predictor says of each row, shape (rows, predictors), nothing pooled; NaN where unknown.

    ``columns`` as ``build`` takes them; for leakage the codes of ``detection`` stand among them.
    """
    values = np.full((rows_of(columns), len(predictors)), np.nan)
    for place, predictor in enumerate(predictors):
        if not predictor.reads or not columns.keys().isdisjoint(predictor.reads):
            values[:, place] = predictor.make(columns)
    return values


def refuse_look_ahead(predictors: Sequence[Predictor], moment: Moment) -> None:
    """Raise if one of the predictors becomes known only after the moment at which the model is asked."""
    late = [predictor.name for predictor in predictors if predictor.known_at > moment]
    if late:
        raise UsageError(f"known only after the moment of the question ({moment.name.lower()}): {', '.join(late)}")


def detection_codes(detection: str | Floats | None, count: int) -> Floats:
    """The column ``detection``, shape (count,), from what ``build`` takes for it."""
    if isinstance(detection, str):
        return np.full(count, DETECTION_CODES[detection])
    if detection is None:
        raise UsageError("detection is needed for leakage: CT or radiograph")
    return np.asarray(detection, dtype=float)


def pool_patients(values: Floats, predictors: Sequence[Predictor], patient: NDArray[np.intp]) -> Floats:
    """One row per patient, in order of first appearance, from the rows of his vertebrae; shape (patients, columns)."""
    step = patient[1:] - patient[:-1]
    if (step > 0).all():  # one vertebra each, the commonest question: nothing to pool
        return values
    if (step < 0).any():
        together = _by_appearance(patient)
        values, step = values[together], np.diff(patient[together])
    starts = np.r_[0, np.flatnonzero(step) + 1]
    pooled = values[starts]
    for pool in dict.fromkeys(predictor.pool for predictor in predictors if predictor.pool != "first"):
        places = [place for place, predictor in enumerate(predictors) if predictor.pool == pool]
        pooled[:, places] = _pool(values[:, places], pool, starts)
    return pooled


def _by_appearance(patient: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows, each patient's together, the patients in order of first appearance."""
    _, first, code = np.unique(patient, return_index=True, return_inverse=True)
    return np.argsort(first[code], kind="stable")


def _pool(values: Floats, pool: Pool, starts: NDArray[np.intp]) -> Floats:
    """Pool each patient's run of rows. An unknown among them leaves open what it could change, and only that."""
    if pool == "sum":
        return np.add.reduceat(values, starts)
    if pool == "any":  # one vertebra that has it settles the matter, otherwise an unknown one leaves it open
        has = np.fmax.reduceat(values, starts)
        return np.where(has == 1, 1.0, np.maximum.reduceat(values, starts))
    return (np.fmin if pool == "lowest" else np.fmax).reduceat(values, starts)
