"""What an answer says in words, generated from the dictionary: a person reads these, a program reads the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from features.build import PREDICTORS, Predictor
from features.ct.warnings import CT_WARNINGS
from features.dictionary import VARIABLES, Value

#: On the link scale; a smaller contribution moves a risk of 20 % by less than 0.2 points.
HARDLY = 0.01

_POOLED = {
    "highest": "worst vertebra",
    "most": "vertebra with most",
    "lowest": "lowest of the vertebrae",
    "sum": "all vertebrae together",
}

#: Where a derived value was taken from, if that deserves a word: code of the source -> (code of the warning, detail).
SOURCE_NOTES: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ct_value_hu": {
            "hu_adjacent_mean": (
                "ct_value_from_neighbours",
                "the CT value is the mean of the neighbouring vertebrae, since hu_l1 is not known",
            ),
            "hu_index_vertebra": (
                "ct_value_from_index_vertebra",
                "the CT value is that of the fractured vertebra itself, which impaction raises: give hu_l1",
            ),
        },
        "planned_viscosity": {
            "product_conflict": (
                "product_conflict",
                "sources contradict each other about this cement, so its viscosity counts as unknown: state "
                "planned_viscosity",
            ),
            "not_pmma": (
                "product_not_pmma",
                "the models know PMMA cements only, so the viscosity counts as unknown: state planned_viscosity",
            ),
            "product_unknown": (
                "product_unknown",
                "the cement is not in the catalogue, so its viscosity counts as unknown: state planned_viscosity",
            ),
            "product_class": (
                "viscosity_from_product",
                "the viscosity is the product's class; the state at injection counts: state planned_viscosity",
            ),
        },
    }
)


def contribution_text(
    predictor: Predictor, value: Any, contribution: float, vertebrae: int, *, counted: bool = True
) -> str:
    """One line on what a variable does to the risk, beside the reference patient.

    ``counted`` is false for a value that was stated, but counts as unknown because the models do not know it.
    """
    direction = "raises the risk" if contribution > 0 else "lowers the risk"
    if abs(contribution) < HARDLY:
        direction = "hardly changes the risk"
    words = _WORDS[predictor.name]
    if value is None:
        return f"{words.label}: not known; what is known beside it {direction}"
    if not counted:
        return f"{words.label}: {_said(value, words.unit)}, which counts as not known; that {direction}"
    return f"{words.label}: {_said(value, words.unit)}{words.pooled if vertebrae > 1 else ''}; {direction}"


def shown_variable(predictor: Predictor) -> str:
    """The dictionary variable under which a contribution is reported.

    A derived quantity goes by its own name (``ct_value_hu``, wherever it was measured), everything else by that of the
    variable that a person states.
    """
    return predictor.name if predictor.shape == "continuous" else predictor.variable


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of a predictor whoever the patient is: its label, ``" mm"`` or nothing, ``" (worst vertebra)"``."""

    label: str
    unit: str
    pooled: str

    @classmethod
    def of(cls, predictor: Predictor) -> _Words:
        shown = VARIABLES[shown_variable(predictor)]
        unit = f" {shown.unit}" if shown.unit and shown.unit != "count" else ""
        # What a patient has only one of, such as the number of treated vertebrae, is that of no vertebra.
        several = VARIABLES[predictor.variable].scope == "vertebra" and predictor.pool in _POOLED
        return cls(shown.label, unit, f" ({_POOLED[predictor.pool]})" if several else "")


_WORDS = {predictor.name: _Words.of(predictor) for predictors in PREDICTORS.values() for predictor in predictors}


def _said(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    return value if isinstance(value, str) else f"{value:.4g}{unit}"


def evidence(variable: str, value: Value, was: Value | None) -> str:
    """What stands behind a change of plan: ``trial`` or ``association``.

    Trials compared known states: viscosities, and zoledronate with none. They support the direction alone; the model
    has one coefficient for any planned drug, and every number is an association in the registry.
    """
    if was is None:
        return "association"
    if variable == "planned_viscosity":
        return "trial"
    zoledronate = variable == "anti_osteoporosis_plan" and {value, was} == {"none", "zoledronate"}
    return "trial" if zoledronate else "association"


def warning(
    code: str, variable: str | None, level: str | None, detail: str, outcome: str | None = None
) -> dict[str, Any]:
    """One entry of ``warnings``."""
    return {"code": code, "variable": variable, "level": level, "outcome": outcome, "detail": detail}


def ct_warning(code: str, level: str | None) -> dict[str, Any]:
    """What is said of a warning of the scan; ``code`` is one of ``CT_WARNINGS``."""
    known = CT_WARNINGS[code]
    return warning(f"ct_{code}", known.variable, level, f"CT: {known.detail}")


def outside_range_text(predictor: Predictor, low: float, high: float) -> str:
    """``low`` and ``high``: the first and the 99th percentile of the training, which is what a model card holds."""
    words = _WORDS[predictor.name]
    return (
        f"{words.label} lies outside {low:g} to {high:g}{words.unit}, where the central 98 % of the patients lie that "
        "the model was trained on: the risk is an extrapolation"
    )


def not_used_texts(names: Sequence[str]) -> list[dict[str, Any]]:
    """One warning for each variable that was stated for nothing."""
    return [warning("not_used", name, None, f"{name} was read, but no released model uses it") for name in names]
