"""What is planned before the operation: decisions, the levers of a what-if. What was done stands in ``course``."""

from __future__ import annotations

from functools import partial

from features.cement_catalogue import CEMENTS
from features.variable import Moment, Variable

PROCEDURES = ("PVP", "PKP", "VBS", "other")
VISCOSITIES = ("low", "medium", "high")
STAGES = ("wire-drawing", "toothpaste", "dough", "staged dough then wire-drawing")
DRUGS = ("none", "bisphosphonate_oral", "zoledronate", "denosumab", "teriparatide", "romosozumab", "other")
#: Where the viscosity state came from; the last three leave it unknown.
VISCOSITY_SOURCES = (
    "planned_viscosity",
    "planned_injection_stage",
    "product_at_minutes",
    "product_class",
    "product_conflict",
    "not_pmma",
    "product_unknown",
)

_plan = partial(Variable, known_at=Moment.PLANNED, scope="vertebra", role="plan")

_TECHNIQUE = (
    _plan(
        name="procedure",
        label="Procedure",
        definition="PVP vertebroplasty, PKP balloon kyphoplasty, VBS vertebral body stenting",
        kind="category",
        choices=PROCEDURES,
        source="leakage 39.3 % after PVP and 28.9 % after PKP, 54.7 and 18.4 % (two meta-analyses)",
    ),
    _plan(
        name="procedure_pkp",
        label="Kyphoplasty",
        definition="A balloon makes room before the cement",
        kind="flag",
        derived=True,
        derivation="procedure = PKP; false for PVP, unknown for VBS and other, which the models do not know",
    ),
    _plan(
        name="approach",
        label="Puncture",
        definition="One or both pedicles",
        kind="category",
        choices=("unilateral", "bilateral"),
        source="bilateral in Zhang 2022",
    ),
    _plan(
        name="staged_perfusion",
        label="Staged perfusion",
        definition="Two injections: dough to seal the breach, then wire-drawing cement",
        kind="flag",
        source="leakage 3.6 and 16.4 % (Huang 2022)",
    ),
    _plan(
        name="haemorrhage_aspiration",
        label="Haemorrhage aspiration",
        definition="3 to 5 ml of fracture haemorrhage aspirated through one pedicle before the cement",
        kind="flag",
        source="leakage 21.4 and 17.1 %, better distribution (Zhang 2022)",
    ),
    _plan(
        name="filling_tube_opening",
        label="Opening of the filler",
        definition="Where the filling tube opens",
        kind="category",
        choices=("forward", "lateral"),
        source="Huang 2022",
    ),
    _plan(
        name="sandwich_level",
        label="Sandwich level",
        definition="One or two intact levels will lie between cemented ones after this session",
        kind="flag",
        scope="patient",
    ),
    Variable(
        name="surgeon_volume",
        label="Surgeon's experience",
        definition="Augmentations by the surgeon before this one",
        kind="integer",
        known_at=Moment.PREOP,
        scope="patient",
        role="predictor",
        unit="count",
        lowest=0,
        highest=10000,
        plausible_low=0,
        plausible_high=3000,
    ),
)

_CEMENT = (
    _plan(
        name="cement_product_id",
        label="Cement",
        definition="Product of the cement catalogue",
        kind="category",
        choices=(*CEMENTS, "other"),
        source="Feng 2022 compares two",
        notes="A product is only the default of the viscosity: a stated state or stage wins.",
    ),
    _plan(
        name="planned_viscosity",
        label="Planned viscosity",
        definition="State of the cement when it will be injected, whatever its brand",
        kind="ordinal",
        choices=VISCOSITIES,
        source="odds ratio of leakage 3.32 for low (Zhan 2017); one of the five predictors of Chen 2025",
    ),
    _plan(
        name="planned_injection_stage",
        label="Planned stage",
        definition="Stage of polymerisation at which the cement will be injected",
        kind="category",
        choices=STAGES,
        source="Huang 2022",
    ),
    _plan(
        name="planned_minutes_after_mixing",
        label="Planned minutes after mixing",
        definition="From the start of mixing to the start of injection",
        kind="number",
        unit="min",
        lowest=0,
        highest=30,
        plausible_low=1,
        plausible_high=18,
        source="a bench test of two products, see the cement catalogue",
    ),
    _plan(
        name="room_temperature_c",
        label="Room temperature",
        definition="Temperature of the operating room, and of the cement before mixing",
        kind="number",
        scope="patient",
        unit="°C",
        lowest=15,
        highest=30,
        plausible_low=17,
        plausible_high=27,
        source="ISO 5833 tests at 23 ± 1 °C",
    ),
    _plan(
        name="viscosity",
        label="Cement viscosity",
        definition="State of the cement at injection that the models use",
        kind="ordinal",
        choices=VISCOSITIES,
        derived=True,
        derivation="planned_viscosity, else planned_injection_stage, else the product's class, see features.cement",
        source="one of the five predictors of Chen 2025",
    ),
    _plan(
        name="viscosity_source",
        label="Source of the viscosity",
        definition="What viscosity was taken from, or why it is unknown",
        kind="category",
        choices=VISCOSITY_SOURCES,
        derived=True,
        derivation="see viscosity",
    ),
    _plan(
        name="planned_volume_ml",
        label="Planned volume",
        definition="Cement to be injected into this vertebra",
        kind="number",
        unit="ml",
        lowest=0.5,
        highest=12,
        plausible_low=1.5,
        plausible_high=9,
        source="injected: means of 4.1 to 6.0 ml (Feng 2022, Zhang 2022, Huang 2022); a predictor of Chen 2025",
        notes="A what-if, never a piece of advice: leakage rises with volume, but volume also follows severity.",
    ),
    _plan(
        name="planned_fraction_pct",
        label="Planned fraction",
        definition="Planned volume as a share of the volume of the vertebral body",
        kind="number",
        unit="%",
        derived=True,
        derivation="100 * planned_volume_ml / vertebral_volume_ml, or / expected_vertebral_volume_ml where none was "
        "measured; vertebral_volume_source says which",
    ),
)

_AFTERCARE = (
    _plan(
        name="anti_osteoporosis_plan",
        label="Planned anti-osteoporosis drug",
        definition="Drug that will be given after surgery",
        kind="category",
        scope="patient",
        choices=DRUGS,
        source="zoledronate after kyphoplasty, randomised: risk ratio 0.35 same level, 0.27 other levels in 36 months",
    ),
    _plan(
        name="anti_osteoporosis_planned",
        label="Anti-osteoporosis drug planned",
        definition="Some anti-osteoporosis drug is planned",
        kind="flag",
        scope="patient",
        derived=True,
        derivation="anti_osteoporosis_plan other than none",
    ),
    _plan(
        name="detection",
        label="Detection",
        definition="How leakage will be looked for",
        kind="category",
        choices=("radiograph", "CT"),
        derived=True,
        derivation="asked by the caller, CT unless said; in training from leak_modality, CT+radiograph counting as CT",
        source="CT finds 1.5 times the leaks of films (Yeom 2003)",
    ),
)

VARIABLES = (*_TECHNIQUE, *_CEMENT, *_AFTERCARE)
