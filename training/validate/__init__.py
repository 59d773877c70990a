"""How good a model is on patients whom it has not seen: cross-validation, bootstrap, splits in time and by centre,
subgroups, and contrasts between learners. All of it goes into one record, ``validation.json`` (docs/statistics.md).
"""

from training.validate.cross_validation import (
    CLASSES,
    FOLDS,
    HORIZONS,
    LEARNERS,
    Validated,
    any_code,
    base_rates,
    measure,
    validate,
)

__all__ = [
    "CLASSES",
    "FOLDS",
    "HORIZONS",
    "LEARNERS",
    "Validated",
    "any_code",
    "base_rates",
    "measure",
    "validate",
]
