"""The rules across variables: values that both judge and explain themselves.

So the message, the documentation and the check cannot disagree. ``RULES`` look at one record, ``PATIENT_RULES`` at the
vertebrae of one operation, ``EXPORT_RULES`` at a whole file. ``features.check`` applies them; the limits and choices of
single variables are in the dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from features.dictionary import VARIABLES
from features.errors import Finding

#: One treated vertebra, by variable name; unknown is absent or None.
Record = Mapping[str, Any]

LOWEST_AGE_YEARS = 50
MOST_VERTEBRAE = 6
BMI_TOLERANCE_KG_M2 = 0.5
AVHR_TOLERANCE_POINTS = 5.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on one record; the first of ``variables`` is the one that a finding names.

    ``broken`` is asked when all of ``known`` (by default all of ``variables``) have a value.
    """

    code: str
    variables: tuple[str, ...]
    text: str
    broken: Callable[[Record], bool]
    severity: str = "reject"
    known: tuple[str, ...] = ()
    #: The variables that must have a value before the rule can be judged.
    needs: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", self.known or self.variables)

    def judge(self, record: Record) -> Finding | None:
        """The finding, or None if the rule holds or cannot be judged."""
        for name in self.needs:
            if record.get(name) is None:
                return None
        if not self.broken(record):
            return None
        return Finding(self.code, self.variables[0], f"{self.variables[0]}: {self.text}", self.severity)


@dataclass(frozen=True, slots=True)
class PatientRule:
    """A rule across the vertebrae of one operation; ``broken`` gives (index of the record, variable) per fault."""

    code: str
    variables: tuple[str, ...]
    text: str
    broken: Callable[[Sequence[Record]], Iterable[tuple[int, str]]]
    severity: str = "reject"

    def judge(self, records: Sequence[Record]) -> list[Finding]:
        """One finding for each fault; ``row`` is the place in ``records``, the first being 1."""
        return [
            Finding(self.code, variable, f"{variable}: {self.text}", self.severity, index + 1)
            for index, variable in self.broken(records)
        ]


@dataclass(frozen=True, slots=True)
class ExportRule:
    """A rule on a whole export; broken, it rejects every row."""

    code: str
    variables: tuple[str, ...]
    text: str
    broken: Callable[[Sequence[Record]], bool]
    severity: str = "reject"

    def judge(self, records: Sequence[Record]) -> Finding | None:
        """The finding with ``row`` 0, or None."""
        if not self.broken(records):
            return None
        return Finding(self.code, self.variables[0], f"{self.variables[0]}: {self.text}", self.severity)


def _bmi_disagrees(record: Record) -> bool:
    computed = record["weight_kg"] / (record["height_cm"] / 100) ** 2 if record["height_cm"] > 0 else 0.0
    return bool(abs(computed - record["bmi_kg_m2"]) > BMI_TOLERANCE_KG_M2)


def _avhr_disagrees(record: Record) -> bool:
    """AVHR = 2 x fractured anterior height / sum of the neighbours' (Zhang 2022), in percent."""
    neighbours = record["adj_ah_above_mm"] + record["adj_ah_below_mm"]
    if neighbours <= 0:
        return False
    return bool(abs(200 * record["fvah_mm"] / neighbours - record["avhr_pct"]) > AVHR_TOLERANCE_POINTS)


def _endplate_disagrees(record: Record) -> bool:
    sites = record["cortical_disruption_site"]
    stated = record["endplate_disruption"]
    upper = "superior_endplate" in sites and stated in ("none", "lower")
    return upper or ("inferior_endplate" in sites and stated in ("none", "upper"))


_DAYS = ("refracture_days", "refracture")
_SITES = "cortical_disruption_site"
_LEAK = ("leak_modality", "leak_routes")

RULES: tuple[Rule, ...] = (
    Rule(
        "out_of_scope",
        ("malignancy",),
        "the index lesion is a metastasis; the models know osteoporotic fractures only",
        lambda record: record["malignancy"] == "index_lesion",
    ),
    Rule(
        "out_of_scope",
        ("age_years",),
        f"the models know patients of {LOWEST_AGE_YEARS} years and older only",
        lambda record: record["age_years"] < LOWEST_AGE_YEARS,
    ),
    Rule(
        "out_of_scope",
        ("of_type",),
        "OF4 and OF5 are unstable fractures, which the models do not know",
        lambda record: record["of_type"] in ("OF4", "OF5"),
    ),
    Rule(
        "bmi_disagrees",
        ("bmi_kg_m2", "height_cm", "weight_kg"),
        f"differs by more than {BMI_TOLERANCE_KG_M2} kg/m2 from what height and weight give; correct one of them",
        _bmi_disagrees,
    ),
    Rule(
        "avhr_disagrees",
        ("avhr_pct", "fvah_mm", "adj_ah_above_mm", "adj_ah_below_mm"),
        f"differs by more than {AVHR_TOLERANCE_POINTS:g} points from 200 x fvah_mm / (adj_ah_above_mm + "
        "adj_ah_below_mm); it is the height that remains, not the height that is lost",
        _avhr_disagrees,
    ),
    Rule(
        "sites_without_disruption",
        ("cortical_disruption_site", "cortical_disruption"),
        "broken sites are given although cortical_disruption says that nothing is broken",
        lambda record: not record["cortical_disruption"],
    ),
    Rule(
        "endplate_disagrees",
        ("endplate_disruption", "cortical_disruption_site"),
        "cortical_disruption_site names an endplate that endplate_disruption says is intact",
        _endplate_disagrees,
        "warn",
    ),
    Rule(
        "posterior_wall_disagrees",
        ("posterior_wall_defect", "cortical_disruption_site"),
        "cortical_disruption_site names the posterior wall, which posterior_wall_defect says is intact",
        lambda record: record["posterior_wall_defect"] == "intact" and "posterior" in record[_SITES],
        "warn",
    ),
    Rule(
        "route_without_modality",
        _LEAK,
        "a leak route is given without how it was looked for; give CT, radiograph, CT+radiograph, fluoroscopy or "
        "not_stated",
        lambda record: record.get("leak_modality") is None and record["leak_routes"] != {"none"},
        known=("leak_routes",),
    ),
    Rule(
        "no_leak_without_modality",
        _LEAK,
        "no leak was seen, but not how it was looked for: the row trains no leakage model",
        lambda record: record.get("leak_modality") is None and record["leak_routes"] == {"none"},
        "warn",
        known=("leak_routes",),
    ),
    Rule(
        "none_with_routes",
        ("leak_routes",),
        "none cannot stand beside a route",
        lambda record: "none" in record["leak_routes"] and len(record["leak_routes"]) > 1,
    ),
    Rule(
        "unspecified_with_routes",
        ("leak_routes",),
        "unspecified means that no route is known; it cannot stand beside a route",
        lambda record: "unspecified" in record["leak_routes"] and len(record["leak_routes"] - {"none"}) > 1,
    ),
    Rule(
        "leak_before_procedure",
        ("leak_detected_days",),
        "the image that showed the leak cannot come before the procedure; days count from it",
        lambda record: record["leak_detected_days"] < 0,
    ),
    Rule(
        "leak_days_without_leak",
        ("leak_detected_days", "leak_routes"),
        "days to a leak are given although leak_routes is none",
        lambda record: record["leak_routes"] == {"none"},
    ),
    Rule(
        "leak_after_last_seen",
        ("leak_detected_days", "last_seen_days"),
        "the leak was found after the patient was last seen",
        lambda record: record["leak_detected_days"] > record["last_seen_days"],
        "warn",
    ),
    Rule(
        "refracture_before_procedure",
        ("refracture_days",),
        "a refracture comes after the procedure, on day 1 at the earliest; an older fracture is a "
        "prior_vertebral_fracture, not a refracture",
        lambda record: record["refracture_days"] <= 0,
    ),
    Rule(
        "refracture_days_without_refracture",
        _DAYS,
        "days to a refracture are given, but refracture is none or unknown; say same, adjacent or remote, or empty "
        "the days",
        lambda record: record.get("refracture") in (None, "none"),
        known=("refracture_days",),
    ),
    Rule(
        "refracture_without_days",
        _DAYS,
        "a refracture is given without its days from the procedure",
        lambda record: record["refracture"] != "none" and record.get("refracture_days") is None,
        known=("refracture",),
    ),
    Rule(
        "refracture_after_last_seen",
        ("refracture_days", "last_seen_days"),
        "the refracture is dated after the patient was last seen",
        lambda record: record["refracture_days"] > record["last_seen_days"],
    ),
    Rule(
        "died_without_last_seen",
        ("last_seen_days", "died"),
        "a death is given without its day; last_seen_days is the day of death of a patient who died",
        lambda record: record["died"] and record.get("last_seen_days") is None,
        known=("died",),
    ),
    Rule(
        "no_refracture_without_last_seen",
        ("last_seen_days", "refracture"),
        "no refracture was seen, but not until when: the patient trains no refracture model",
        lambda record: record["refracture"] == "none" and record.get("last_seen_days") is None,
        "warn",
        known=("refracture",),
    ),
)


def _too_many(records: Sequence[Record]) -> list[tuple[int, str]]:
    return [(index, "level") for index in range(len(records))] if count_vertebrae(records) > MOST_VERTEBRAE else []


def _duplicates(records: Sequence[Record]) -> list[tuple[int, str]]:
    """Exact copies after the first; where the copies differ nobody can tell which is right, and all are named."""
    by_level: dict[Any, list[int]] = {}
    for index, record in enumerate(records):
        if record.get("level") is not None:
            by_level.setdefault(record["level"], []).append(index)
    faults: list[tuple[int, str]] = []
    for indices in by_level.values():
        if len(indices) > 1:
            known = [_known(records[index]) for index in indices]
            same = all(other == known[0] for other in known)
            faults += [(index, "level") for index in (indices[1:] if same else indices)]
    return faults


def _differing(records: Sequence[Record]) -> list[tuple[int, str]]:
    if len(records) < 2:
        return []
    faults = []
    for name in PATIENT_VARIABLES:
        values = {record[name] for record in records if record.get(name) is not None}
        if len(values) > 1:
            faults += [(index, name) for index, record in enumerate(records) if record.get(name) is not None]
    return faults


def _count_too_low(records: Sequence[Record]) -> list[tuple[int, str]]:
    treated = count_vertebrae(records)
    return [
        (index, "treated_count")
        for index, record in enumerate(records)
        if record.get("treated_count") is not None and record["treated_count"] < treated
    ]


def count_vertebrae(records: Sequence[Record]) -> int:
    """Distinct levels among the rows of one operation; a row whose level is not known counts as one more."""
    levels = [record.get("level") for record in records]
    return len({level for level in levels if level is not None}) + sum(level is None for level in levels)


def _known(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


#: Variables of which a patient has one, whatever the vertebra; the identifiers are what the rows are grouped by.
PATIENT_VARIABLES = tuple(
    name for name, variable in VARIABLES.items() if variable.scope == "patient" and name not in ("patient_id",)
)

PATIENT_RULES: tuple[PatientRule, ...] = (
    PatientRule(
        "duplicate_vertebra",
        ("level",),
        "the vertebra stands twice in the same operation; keep one",
        _duplicates,
    ),
    PatientRule(
        "too_many_vertebrae",
        ("level",),
        f"more than {MOST_VERTEBRAE} vertebrae in one operation; the models know at most {MOST_VERTEBRAE}",
        _too_many,
    ),
    PatientRule(
        "differs_within_patient",
        ("(any variable of the patient)",),
        "a patient has one value, and the rows of the same operation give different ones",
        _differing,
    ),
    PatientRule(
        "treated_count_too_low",
        ("treated_count",),
        "fewer treated vertebrae are stated than the operation has here",
        _count_too_low,
    ),
)


def _t_score_sign(records: Sequence[Record]) -> bool:
    scores = [record["t_score"] for record in records if record.get("t_score") is not None]
    return bool(scores) and median(scores) > 0


EXPORT_RULES: tuple[ExportRule, ...] = (
    ExportRule(
        "t_score_sign",
        ("t_score",),
        "half of the export's T-scores are above 0, so they were printed without their minus; map the column with "
        "scale = -1.0",
        _t_score_sign,
    ),
)
