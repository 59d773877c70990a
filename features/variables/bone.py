"""How strong the bone is: density, CT value, muscle, and the shape of the spine as a whole."""

from __future__ import annotations

from functools import partial

from features.variable import Moment, Variable

_fact = partial(Variable, known_at=Moment.PREOP, role="predictor")
_number = partial(_fact, kind="number")
_patient_flag = partial(_fact, kind="flag", scope="patient")

_HU_MEASUREMENT = (
    "Axial slice through the middle of the body, largest ellipse of trabecular bone without cortex, endplates, "
    "basivertebral plexus, sclerosis or haemangioma; 120 kVp without contrast"
)
#: Where `ct_value_hu` came from.
CT_VALUE_SOURCES = ("hu_l1", "hu_adjacent_mean", "hu_index_vertebra")

VARIABLES = (
    _number(
        name="t_score",
        label="DXA T-score",
        definition="Lumbar or hip T-score, negative when bone is thin",
        scope="patient",
        unit="SD",
        lowest=-8,
        highest=1,
        plausible_low=-5.5,
        plausible_high=0,
        measurement="DXA; say which site and whether the fractured level was left out",
        source="2.60 ± 0.68 and 2.57 ± 1.19, printed without the minus (Feng 2022); below -2.5 by inclusion "
        "(Zhang 2022, Huang 2022)",
        notes="Some exports print the minus of a T-score: an export whose median is above 0 is refused as a whole.",
    ),
    _number(
        name="bmd_g_cm2",
        label="Areal bone mineral density",
        definition="Areal bone mineral density by DXA",
        scope="patient",
        unit="g/cm2",
        lowest=0.2,
        highest=1.8,
        plausible_low=0.35,
        plausible_high=1.2,
        source="cut-off 0.67 (Han 2023)",
    ),
    _number(
        name="qct_mg_cm3",
        label="Volumetric bone mineral density",
        definition="Trabecular bone mineral density by quantitative CT",
        scope="patient",
        unit="mg/cm3",
        lowest=-30,
        highest=300,
        plausible_low=-10,
        plausible_high=170,
        source="56 ± 20 with and 91 ± 38 without a later fracture in one cohort",
    ),
    _number(
        name="hu_l1",
        label="CT value of L1",
        definition="Mean trabecular CT number of L1, or of the nearest unfractured level",
        scope="patient",
        unit="HU",
        lowest=-100,
        highest=500,
        plausible_low=0,
        plausible_high=200,
        measurement=_HU_MEASUREMENT,
        source="58.2 ± 13.8 with and 81.2 ± 16.7 without a later fracture (n = 341); Pickhardt 2013 for the method; "
        "Chen 2025 calls it CT value without saying which vertebra",
        notes="Tube voltage and contrast shift it: see ct_kvp and ct_contrast.",
    ),
    _number(
        name="hu_adjacent_mean",
        label="CT value of the adjacent levels",
        definition="Mean trabecular CT number of the levels above and below the treated one",
        scope="vertebra",
        unit="HU",
        lowest=-100,
        highest=500,
        plausible_low=0,
        plausible_high=200,
        measurement=_HU_MEASUREMENT,
        source="cut-off 64 to 65 HU in two cohorts",
    ),
    _number(
        name="hu_index_vertebra",
        label="CT value of the fractured body",
        definition="Mean trabecular CT number of the fractured vertebra in its least fractured third",
        scope="vertebra",
        unit="HU",
        lowest=-150,
        highest=900,
        plausible_low=0,
        plausible_high=350,
        measurement=_HU_MEASUREMENT,
        notes="Impacted trabeculae raise it: not interchangeable with hu_l1, the last resort of ct_value_hu.",
    ),
    _number(
        name="ct_value_hu",
        label="CT value",
        definition="The CT value that the models use",
        scope="vertebra",
        unit="HU",
        derived=True,
        derivation="hu_l1, else hu_adjacent_mean, else hu_index_vertebra; which one stands in ct_value_source",
        source="one of the five predictors of Chen 2025",
    ),
    _fact(
        name="ct_value_source",
        label="Source of the CT value",
        definition="The variable that ct_value_hu was taken from",
        scope="vertebra",
        kind="category",
        choices=CT_VALUE_SOURCES,
        derived=True,
        derivation="see ct_value_hu",
    ),
    _fact(
        name="ct_kvp",
        label="Tube voltage",
        definition="Tube voltage of the CT that the CT values were read from",
        scope="patient",
        kind="integer",
        unit="kV",
        lowest=70,
        highest=150,
        plausible_low=80,
        plausible_high=140,
        notes="CT numbers of bone rise as the voltage falls; the models assume 120 kV.",
    ),
    _patient_flag(
        name="ct_contrast",
        label="Contrast medium",
        definition="The CT that the CT values were read from was made with intravenous contrast medium",
        notes="Contrast raises the CT number of trabecular bone.",
    ),
    _number(
        name="vbq_score",
        label="Vertebral bone quality by MRI",
        definition="Median T1 signal of L1 to L4 divided by the signal of cerebrospinal fluid at L3",
        scope="patient",
        unit="ratio",
        lowest=0.5,
        highest=12,
        plausible_low=2.5,
        plausible_high=6.5,
        source="4.69 ± 0.35 with and 4.14 ± 0.41 without a later fracture, doi 10.1038/s41598-025-86721-5",
        notes="Falsely high with hyperlipidaemia.",
    ),
    _number(
        name="paraspinal_fat_infiltration",
        label="Paraspinal fat fraction",
        definition="Fat share of the paraspinal muscles at L3 or L4",
        scope="patient",
        unit="%",
        lowest=0,
        highest=100,
        plausible_low=2,
        plausible_high=80,
        measurement="T2 or Dixon MRI",
    ),
    _number(
        name="psoas_muscle_index",
        label="Psoas muscle index",
        definition="Area of both psoas muscles at L3 divided by the square of the height",
        scope="patient",
        unit="cm2/m2",
        lowest=0.5,
        highest=20,
        plausible_low=1,
        plausible_high=12,
    ),
    _patient_flag(name="kissing_spine", label="Kissing spine", definition="Touching spinous processes on imaging"),
    _patient_flag(
        name="scoliosis", label="Degenerative scoliosis", definition="Coronal Cobb angle of at least 10 degrees"
    ),
    _patient_flag(
        name="thoracolumbar_kyphosis",
        label="Thoracolumbar kyphosis",
        definition="Kyphosis of the thoracolumbar junction as recorded by the treating team",
    ),
)
