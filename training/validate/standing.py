"""Whether a version was trained on enough patients to be released (Riley 2020), and what excuses it if not.

Counted are patients, not vertebrae: those of one patient tell less than those of several. The smallest sample follows
from the prevalence in the cohort, the number of candidate terms of the linear design, and the c statistic that honest
models of this field reach: not the one measured here, which in a small registry is luck. Boosted trees need at least
as many (van der Ploeg 2014: rather ten times).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.errors import TooLittleData
from features.outcome import HORIZON_DAYS, Leakage
from models.design import candidate_terms
from training import metrics
from training.cohort import Cohort
from training.sample_size import SampleSize, sample_size
from training.validate.judging import JUDGED_AT, any_code

State = Literal["releasable", "releasable with prior", "not releasable"]

#: Middle of what external validations found (0.62-0.72 for leakage, 0.65-0.77 for refracture).
ANTICIPATED_C = {"leakage": 0.67, "refracture": 0.71}
#: Where the whole interval of the optimism-corrected slope must lie for a prior to stand in for patients.
PRIOR_SLOPE = (0.8, 1.2)


@dataclass(frozen=True, slots=True)
class Standing:
    """``patients`` there are and ``needed``; ``size`` has the conditions, None where no prevalence can be known."""

    state: State
    reason: str
    patients: int
    needed: int | None
    prevalence: float | None
    anticipated_c: float
    size: SampleSize | None
    #: How the names of the judged metrics end.
    end: str

    @property
    def numbers(self) -> dict[str, float]:
        """What the gate looks at."""
        found = {"patients": float(self.patients)}
        if self.needed is not None:
            found["patients_needed"] = float(self.needed)
            found["released_by_prior"] = float(self.state == "releasable with prior")
        return {name + self.end: number for name, number in found.items()}

    def as_json(self) -> dict[str, Any]:
        """The entry ``sample_size`` of validation.json."""
        size = self.size
        return {
            "state": self.state,
            "reason": self.reason,
            "patients": self.patients,
            "needed": self.needed,
            "prevalence": self.prevalence,
            "anticipated_c": self.anticipated_c,
            "parameters": size.parameters if size else None,
            "for_shrinkage": size.for_shrinkage if size else None,
            "for_optimism": size.for_optimism if size else None,
            "for_mean_risk": size.for_mean_risk if size else None,
        }


def standing(people: Cohort, found: Mapping[str, float], how: str, prior: str = "") -> Standing:
    """The standing of a version; ``found``: its metrics, made by ``how`` (cv or bootstrap), ``prior``: its name."""
    outcome = "leakage" if isinstance(people.target, Leakage) else "refracture"
    expected, end = ANTICIPATED_C[outcome], "" if outcome == "leakage" else f"_m{JUDGED_AT}"
    try:
        share = prevalence(people)
    except TooLittleData as error:
        return Standing(
            "not releasable", f"no minimum can be computed: {error}", people.patients, None, None, expected, None, end
        )
    size = sample_size(share, expected, candidate_terms(people.outcome, people.matrix.values))
    state, reason = _decide(people.patients, size.needed, found, how, prior, end)
    return Standing(state, reason, people.patients, size.needed, share, expected, size, end)


def prevalence(people: Cohort) -> float:
    """Share of the rows with any leak, or of any refracture by 12 months (Aalen-Johansen)."""
    if isinstance(people.target, Leakage):
        share = float(people.target.leaked.mean())
    else:
        days = HORIZON_DAYS[JUDGED_AT]
        share = float(metrics.aalen_johansen(any_code(people.target), people.target.days, [days]).value[0])
    if not 0 < share < 1:
        raise TooLittleData("all patients have the same outcome")
    return share


def _decide(
    patients: int, needed: int, found: Mapping[str, float], how: str, prior: str, end: str
) -> tuple[State, str]:
    if patients >= needed:
        return "releasable", ""
    short = f"trained on {patients:,} patients, fewer than the {needed:,} that such a model needs at least (Riley 2020)"
    if not prior:
        return "not releasable", short
    low, high = (found.get(f"calibration_slope{end}{bound}", math.nan) for bound in ("_lo", "_hi"))
    asked = f"{PRIOR_SLOPE[0]} to {PRIOR_SLOPE[1]}"
    if how != "bootstrap":
        return "not releasable", f"{short}; a prior excuses that only beside --bootstrap"
    if PRIOR_SLOPE[0] <= low and high <= PRIOR_SLOPE[1]:
        return "releasable with prior", f"{short}; it starts from the prior {prior}, and its slope keeps to {asked}"
    return "not releasable", f"{short}; its corrected slope ({low:.2f} to {high:.2f}) does not keep to {asked}"
