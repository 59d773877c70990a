"""The fractured vertebra: its level, its classes, its broken walls, what else fills it. Heights are in ``heights``."""

from __future__ import annotations

from functools import partial

from features.variable import Moment, Variable

LEVELS = (*(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6)), "S1")
#: Sites of a break in the bony shell, as CT shows them.
BREAK_SITES = ("anterior", "lateral_left", "lateral_right", "posterior", "superior_endplate", "inferior_endplate")

_fact = partial(Variable, known_at=Moment.PREOP, scope="vertebra", role="predictor")
_flag = partial(_fact, kind="flag")
_category = partial(_fact, kind="category")
_ordinal = partial(_fact, kind="ordinal")
_number = partial(_fact, kind="number")

_METASTASIS = "BMC Musculoskelet Disord 2022, doi 10.1186/s12891-022-05680-4"

_LEVEL = (
    _category(
        name="level",
        label="Level",
        definition="Treated vertebra",
        choices=LEVELS,
        source="66 of 83 at T11 to L2 (Zhang 2022)",
        notes="S1 is a possible answer, yet too rare for the models to say anything particular about it.",
    ),
    _category(
        name="level_region",
        label="Region",
        definition="Region of the spine after Zhang 2022",
        choices=("T1-T10", "T11-L2", "L3-L5"),
        derived=True,
        derivation="from level; S1 belongs to none",
        source="Zhang 2022",
    ),
    _flag(
        name="thoracolumbar_junction",
        label="Thoracolumbar junction",
        definition="The treated vertebra is one of T11 to L2",
        derived=True,
        derivation="level is one of T11, T12, L1, L2",
        source="odds ratio of refracture 3.50 (Liu 2025); no effect in Cao 2016",
    ),
    _category(
        name="sins_location",
        label="SINS location class",
        definition="Location class of the Spinal Instability Neoplastic Score",
        choices=("junctional", "mobile", "semirigid", "rigid"),
        derived=True,
        derivation="from level: T1, T2, T11 to L1, L5, S1 junctional; L2 to L4 mobile; T3 to T10 semirigid",
        source="Fisher 2010",
        notes=f"{_METASTASIS} counts L5 and S1 as semirigid; the original score, used here, as junctional.",
    ),
)

_CLASSES = (
    _flag(
        name="oedema_on_mri",
        label="Marrow oedema",
        definition="High signal on STIR or fat-suppressed T2: the fracture is fresh",
    ),
    _category(
        name="denis_type",
        label="Denis subtype",
        definition="Compression fracture of A both endplates, B the upper, C the lower, D neither (buckled wall)",
        choices=("A", "B", "C", "D"),
        source="Huang 2022 includes type A",
    ),
    _category(
        name="ao_type",
        label="AO Spine type",
        definition="A0 minor, A1 one endplate, A2 split, A3 incomplete burst, A4 complete burst, B band, C translation",
        choices=("A0", "A1", "A2", "A3", "A4", "B", "C"),
        source="Feng 2022 includes A1",
    ),
    _ordinal(
        name="of_type",
        label="OF classification",
        definition="OF1 oedema only; OF2 posterior wall involved by less than a fifth; OF3 by more; "
        "OF4 the body has lost its frame; OF5 distraction or rotation",
        choices=("OF1", "OF2", "OF3", "OF4", "OF5"),
        source="Schnake 2018",
        notes="OF4 and OF5 are out of scope.",
    ),
    _ordinal(
        name="genant_grade",
        label="Genant grade",
        definition="Loss of the worst of anterior, middle and posterior height: "
        "0 below 20 %, 1 from 20 to 25 %, 2 above 25 to 40 %, 3 above 40 %",
        choices=("0", "1", "2", "3"),
        derivation="from height_loss_pct; the stated grade is used where no height is known",
        source="Genant 1993",
        notes="The reference height differs between readers; ours is written down with height_loss_pct.",
    ),
    _ordinal(
        name="fracture_severity",
        label="Fracture severity",
        definition="Genant grade in words",
        choices=("none", "mild", "moderate", "severe"),
        derivation="genant_grade 0, 1, 2, 3 where it is not stated",
        source="one of the five predictors of Chen 2025, which does not define it",
    ),
    _ordinal(
        name="compression_degree",
        label="Compression degree",
        definition="Anterior height lost: I below 33 %, II 33 to 66 %, III above 66 %",
        choices=("I", "II", "III"),
        derivation="from compression_loss_pct where it is not stated",
        source="Zhang 2022: 25, 42 and 16 of 83",
    ),
)

_WALLS = (
    _flag(
        name="intravertebral_cleft",
        label="Intravertebral cleft",
        definition="Gas or fluid cleft within the fractured body",
        measurement="gas on CT, or a fluid sign on MRI",
        source="Zhan 2017: odds ratio of any leak 1.40; Tang 2021; Ma 2021: same-level refracture 2.97",
        notes="Fewer leaks into veins, more through the cortex and into the disc.",
    ),
    _flag(
        name="cortical_disruption",
        label="Cortical fracture",
        definition="A break in any wall or endplate on CT",
        derivation="true where a broken site is named, see cortical_disruption_site, and it is not stated",
        measurement="thin-slice CT with multiplanar reconstruction",
        source="Zhan 2017: odds ratio of leakage 5.56 (1.84 to 16.81); one of the five predictors of Chen 2025",
    ),
    _fact(
        name="cortical_disruption_site",
        label="Broken sites",
        definition="Every wall and endplate that is broken",
        kind="multi",
        choices=BREAK_SITES,
    ),
    _category(
        name="endplate_disruption",
        label="Endplate fracture",
        definition="Which endplates are broken",
        choices=("none", "upper", "lower", "both"),
        notes="The way into the disc.",
    ),
    _category(
        name="posterior_wall_defect",
        label="Posterior wall",
        definition="State of the posterior wall",
        choices=("intact", "breached_no_retropulsion", "retropulsion"),
    ),
    _flag(
        name="cortical_breach",
        label="Any breach",
        definition="The bony shell is broken somewhere",
        derived=True,
        derivation="any of cortical_disruption, its sites, endplate_disruption and posterior_wall_defect says so",
    ),
    _flag(
        name="endplate_breach",
        label="Endplate breach",
        definition="An endplate is broken",
        derived=True,
        derivation="endplate_disruption other than none, or an endplate among cortical_disruption_site",
    ),
    _flag(
        name="posterior_wall_breach",
        label="Posterior wall breach",
        definition="The posterior wall is broken",
        derived=True,
        derivation="posterior_wall_defect other than intact, or posterior among cortical_disruption_site",
    ),
    _flag(
        name="anterior_lateral_breach",
        label="Anterior or lateral breach",
        definition="The anterior or a lateral wall is broken",
        derived=True,
        derivation="anterior, lateral_left or lateral_right among cortical_disruption_site",
    ),
    _flag(
        name="fracture_line_to_wall",
        label="Fracture line reaches a wall",
        definition="A fracture line runs into a wall",
    ),
    _category(
        name="basivertebral_foramen",
        label="Basivertebral foramen",
        definition="The vein's foramen in the posterior wall on CT",
        choices=("not_seen", "normal", "enlarged"),
        source="odds ratio of leakage 3.36 in 160 patients; routes B and S",
    ),
    _flag(
        name="basivertebral_foramen_enlarged",
        label="Enlarged basivertebral foramen",
        definition="The basivertebral foramen is enlarged",
        derived=True,
        derivation="basivertebral_foramen = enlarged",
    ),
    _number(
        name="canal_compromise_pct",
        label="Canal compromise",
        definition="Share of the canal's sagittal diameter taken by bone",
        unit="%",
        lowest=0,
        highest=100,
        plausible_low=0,
        plausible_high=50,
    ),
)

_TUMOUR = (
    _category(
        name="lesion_type",
        label="Lesion type",
        definition="Type of a metastatic lesion",
        choices=("osteolytic", "osteoblastic_related"),
        source=_METASTASIS,
    ),
    _number(
        name="body_invasion_pct",
        label="Tumour share",
        definition="Share of the body's volume taken by tumour",
        unit="%",
        lowest=0,
        highest=100,
        plausible_low=5,
        plausible_high=100,
        source=_METASTASIS,
        notes="The paper's own counts of this variable do not add up, and its labels are probably swapped.",
    ),
    _flag(
        name="posterior_element_involved",
        label="Posterior part involved",
        definition="The posterior body or a pedicle is involved by tumour",
        source=f"42 of 59 ({_METASTASIS})",
    ),
)

_VOLUME = (
    _number(
        name="vertebral_volume_ml",
        label="Volume of the body",
        definition="Volume of the vertebral body as it is now, without the arch",
        unit="ml",
        lowest=5,
        highest=70,
        plausible_low=9,
        plausible_high=55,
        measurement="CT segmentation",
        notes="A segmentation that includes the arch measures something else.",
    ),
    _number(
        name="lost_volume_ml",
        label="Lost volume",
        definition="Volume lost to compression: reference minus measured",
        unit="ml",
        lowest=0,
        highest=40,
        plausible_low=0,
        plausible_high=22,
    ),
    _number(
        name="expected_vertebral_volume_ml",
        label="Expected volume of the body",
        definition="Volume of an uncompressed body of that level and sex",
        unit="ml",
        derived=True,
        derivation="from level and sex by the table of features.injection_volume, approximate",
    ),
    _category(
        name="vertebral_volume_source",
        label="Source of the volume",
        definition="Whether planned_fraction_pct rests on a measured or an expected volume",
        choices=("measured", "expected", "expected_sex_unknown"),
        derived=True,
        derivation="see planned_fraction_pct",
    ),
)

VARIABLES = (*_LEVEL, *_CLASSES, *_WALLS, *_TUMOUR, *_VOLUME)
