"""How good a model is on patients whom it has not seen: cross-validation, bootstrap, splits in time and by centre,
subgroups, and contrasts between learners. All of it goes into one record, ``validation.json`` (docs/statistics.md).
"""

from training.validate import record
from training.validate.cross_validation import FOLDS, base_rates
from training.validate.fitting import CLASSES, HORIZONS, LEARNERS
from training.validate.judging import any_code
from training.validate.measuring import measure
from training.validate.whole import Validated, validate

__all__ = [
    "CLASSES",
    "FOLDS",
    "HORIZONS",
    "LEARNERS",
    "Validated",
    "any_code",
    "base_rates",
    "measure",
    "record",
    "validate",
]
