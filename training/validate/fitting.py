"""One fit of the whole model building on some rows, and what it says of others: what every validation repeats.

Whatever is learned (knots, scaling, the unknown, tuning, recalibration) is learned inside ``fit``; matrix and outcome
are made once, since nothing in them is learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import HORIZON_DAYS, Leakage
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.boosted import BOOSTED_REFITS
from models.calibrated import CalibratedRisk
from models.interface import Learner
from training.cohort import Cohort

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_] | NDArray[np.intp]

CLASSES: dict[Learner, type[CalibratedRisk]] = {"logistic": LogisticRisk, "cox": CoxRisk, "boosted": BoostedRisk}
LEARNERS: dict[str, tuple[Learner, ...]] = {
    "leakage": ("logistic", "cox", "boosted"),
    "refracture": ("cox", "boosted"),
    "refracture-postop": ("cox", "boosted"),
}
HORIZONS = tuple(HORIZON_DAYS.values())


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says of some rows.

    ``risk``: leakage (n,), refracture (n, horizons) of any; ``detail``: routes (n, 4) or incidences (n, 4, horizons),
    None for a Cox model of leakage and where too few leaks had a known route.
    """

    risk: Floats
    detail: Floats | None


def fit_whole(cohort: Cohort, learner: Learner, settings: Settings) -> CalibratedRisk:
    """The model on all rows, with the refits that its intervals need."""
    chosen = replace(settings, refits=BOOSTED_REFITS) if learner == "boosted" else settings
    model: CalibratedRisk = CLASSES[learner](chosen).fit(cohort.matrix, cohort.target)  # type: ignore[attr-defined]
    return model


def fit_on(cohort: Cohort, learner: Learner, settings: Settings, rows: Rows) -> CalibratedRisk:
    """A model on some rows, without refits; raises ``TooLittleData``."""
    model = CLASSES[learner](replace(settings, refits=0))
    model.fit(cohort.matrix.take(rows), cohort.target.take(rows))  # type: ignore[attr-defined]
    return model


def predict(model: CalibratedRisk, cohort: Cohort, rows: Rows) -> Predicted:
    """What a model says of some rows."""
    margins = model.margins(cohort.matrix.take(rows), with_refits=False)
    if isinstance(cohort.target, Leakage):
        return Predicted(model.risk_of(margins), model.routes_of(margins) if model.has_routes else None)
    risk = np.column_stack([model.risk_of(margins, days) for days in HORIZONS])
    return Predicted(risk, model.incidence_of(margins, HORIZONS))


def tried(cohort: Cohort, learner: Learner, settings: Settings, train: Rows, test: Rows) -> Predicted | str:
    """What a model of the rows ``train`` says of the rows ``test``, or why it could not be fitted."""
    try:
        return predict(fit_on(cohort, learner, settings, train), cohort, test)
    except TooLittleData as error:
        return str(error)
