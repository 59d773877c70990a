"""The warnings that a measured scan can bring: their codes, what each concerns, and its words in a risk answer.

A client sends codes only, so that no answer repeats a client's text. The service reads this: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class CtWarning:
    """What a code says in an answer. ``variable``: the one it concerns, None for several or none in particular.

    ``of_scan``: said of a whole scan, hence without a level; the others are said of one.
    """

    detail: str
    variable: str | None = None
    of_scan: bool = False


#: Every code there is; a report never brings another.
CT_WARNINGS: Mapping[str, CtWarning] = MappingProxyType(
    {
        "acquisition_unknown": CtWarning(
            "the scan does not state its kVp, kernel or contrast: CT values may be off", "ct_value_hu", True
        ),
        "kvp_not_120": CtWarning(
            "the scan was not made at 120 kVp: its CT values differ from those that the models know",
            "ct_value_hu",
            True,
        ),
        "contrast_given": CtWarning(
            "contrast was given: it raises the CT value of bone by some 10 to 30 HU", "ct_value_hu", True
        ),
        "sharp_kernel": CtWarning(
            "a sharp kernel was used: noise and the density of the shell are raised", "ct_value_hu", True
        ),
        "thick_slices": CtWarning("slices or voxels are 3 mm or more: heights are less certain", None, True),
        "gantry_tilt": CtWarning("the gantry was tilted: this was taken into account", None, True),
        "labels_of_other_series": CtWarning(
            "the labels were drawn on another series of the same patient position: look at the picture", None, True
        ),
        "labels_beside_bone": CtWarning(
            "the label does not lie well on the bone that the scan shows: look at the picture before using its values"
        ),
        "no_arch": CtWarning("the label holds no arch: front and back were taken from the scanner's axes"),
        "label_not_one_piece": CtWarning("the label is in pieces: only the largest was measured"),
        "cut_by_field_of_view": CtWarning(
            "the field of view cuts the body: heights and volume were refused, the CT value is of the part seen"
        ),
        "cement_in_body": CtWarning(
            "cement was found: this vertebra has been treated, and nothing was measured for a question before surgery"
        ),
        "cement_proposed": CtWarning(
            "what the scan shows of the cement (volume, distribution, leaks) is a proposal, to be confirmed by a reader"
        ),
        "no_cement_found": CtWarning("no cement was found in the scan after the operation: nothing is said of it"),
        "metal_or_cement": CtWarning("metal or cement was left out of the region of the CT value", "ct_value_hu"),
        "sclerosis": CtWarning("sclerotic bone was left out of the region of the CT value", "ct_value_hu"),
        "gas": CtWarning("gas was left out of the region of the CT value", "ct_value_hu"),
        "no_ct_value": CtWarning("too little trabecular bone was left for a CT value", "ct_value_hu"),
        "endplate_unsure": CtWarning(
            "the scan does not show for sure where an endplate lies: heights are those of the label"
        ),
        "few_slices": CtWarning(
            "the body is only a few voxels tall: its CT value holds some of its endplates", "ct_value_hu"
        ),
        "breach_not_assessable": CtWarning(
            "the scan does not show whether the cortex is broken: that is not known from it", "cortical_disruption"
        ),
        "beyond_limits": CtWarning("a value was measured beyond its possible range and left out"),
        "not_measured": CtWarning("this vertebra could not be measured"),
    }
)


def entry(code: str, level: str | None, detail: str) -> dict[str, str | None]:
    """One warning of a report. ``KeyError`` for a code that no answer could put into words."""
    known = CT_WARNINGS[code]
    return {"code": code, "level": None if known.of_scan else level, "detail": detail}
