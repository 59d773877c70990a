"""What the report calls things: predictors, metrics, reasons, causes."""

from __future__ import annotations

from collections.abc import Mapping

from features.build import PREDICTORS, Outcome, Predictor, outcomes_at
from features.dictionary import VARIABLES, Moment

LEARNERS = {"logistic": "logistic regression", "cox": "Cox regression", "boosted": "boosted trees"}
PARTS = {
    "any": "any leak",
    "B": "route B (basivertebral vein)",
    "S": "route S (segmental vein)",
    "C": "route C (cortical defect)",
    "D": "route D (disc)",
    "same": "same level",
    "adjacent": "adjacent level",
    "remote": "remote level",
    "death": "death before any refracture",
}
#: Metrics in the order of the report, calibration first: name, label, what is ideal.
METRICS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Calibration",
        (
            ("oe", "Observed / expected", "1"),
            ("calibration_in_the_large", "Calibration in the large (intercept)", "0"),
            ("calibration_slope", "Calibration slope", "1"),
            ("ici", "ICI: mean distance of curve and diagonal", "0"),
            ("e50", "E50: median distance", "0"),
            ("e90", "E90: 90th centile of the distance", "0"),
            ("emax", "Emax: largest distance", "0"),
        ),
    ),
    (
        "Discrimination",
        (
            ("auc", "AUC", "1"),
            ("concordance", "Concordance (Harrell)", "1"),
            ("concordance_uno", "Concordance (Uno)", "1"),
        ),
    ),
    (
        "Overall accuracy",
        (
            ("brier", "Brier score", "0"),
            ("scaled_brier", "Scaled Brier score", "1"),
            ("log_loss", "Log loss", "0"),
            ("log_loss_base", "Log loss of the base rate", "for comparison"),
        ),
    ),
    (
        "Net benefit",
        (
            ("net_benefit_10", "Acting from a risk of 10 %", "the larger the better"),
            ("net_benefit_20", "Acting from a risk of 20 %", "the larger the better"),
            ("net_benefit_30", "Acting from a risk of 30 %", "the larger the better"),
        ),
    ),
)


def after_surgery(outcome: str) -> bool:
    """Whether the model is asked after the operation, so that its time counts from the landmark."""
    return outcome in outcomes_at(Moment.POSTOP)


def horizon(outcome: str, months: int = 12) -> str:
    """Until when a refracture counts."""
    return f"{months} months" + (" after the landmark" if after_surgery(outcome) else "")


def predictor_label(predictor: Predictor) -> str:
    """What the dictionary calls a column of the matrix, with its unit."""
    variable = VARIABLES.get(predictor.variable)
    if variable is None:
        return predictor.name.replace("_", " ")
    unit = f" ({variable.unit})" if variable.unit not in ("", "count") else ""
    return f"{_OWN.get(predictor.name, variable.label)}{unit}"


#: Columns that are one value of their variable: what that value is.
_OWN: Mapping[str, str] = {
    "female": "Female",
    "procedure_pkp": "Kyphoplasty (PKP) rather than vertebroplasty (PVP)",
    "smoking_current": "Current smoker",
    "basivertebral_foramen_enlarged": "Basivertebral foramen enlarged",
    "thoracolumbar_junction": "A treated level at the thoracolumbar junction",
    "anti_osteoporosis_planned": "Anti-osteoporotic drug planned",
    "detection": "Leaks looked for by CT rather than radiograph",
    "distribution_separated": "Cement separated rather than confluent",
    "solid_lump": "Cement as a solid lump",
    "leak_route": "Worst leak known at the landmark",
}


def labels(outcome: Outcome) -> dict[str, str]:
    """Label of each column of the matrix."""
    return {predictor.name: predictor_label(predictor) for predictor in PREDICTORS[outcome]}


def reason(text: str) -> str:
    """A reason code as words: ``above_limit:age_years`` becomes "above limit: age years"."""
    return text.replace(":", ": ").replace("_", " ")
