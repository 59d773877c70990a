"""What the models predict, and the other results that a registry keeps."""

from __future__ import annotations

from functools import partial

from features.variable import Moment, Variable
from features.variables.heights import HEIGHT_MEASUREMENT

#: Routes of leakage: basivertebral vein, segmental vein, cortical defect, disc.
ROUTES = ("B", "S", "C", "D")

_leak = partial(Variable, known_at=Moment.POSTOP, scope="vertebra", role="outcome")
_harm = partial(Variable, known_at=Moment.POSTOP, scope="patient", role="outcome")
_later = partial(Variable, known_at=Moment.FOLLOW_UP, scope="patient", role="outcome")
_shape = partial(_later, kind="number", scope="vertebra")

_LEAKAGE = (
    _leak(
        name="leak_routes",
        label="Leakage routes",
        definition="B basivertebral vein, S segmental vein, C cortical defect to the paravertebral space or canal, "
        "D disc through the endplate; none, or unspecified when the route is not recorded",
        kind="multi",
        choices=("none", *ROUTES, "unspecified"),
        source="Yeom 2003 for B, S, C; the disc is counted by itself",
        notes="Empty means not assessed. none and unspecified stand alone. Yeom's C includes the disc; a column "
        "leak_yeom is read as it stands, so map its C where the disc can be told. A yes/no column needs a mapping: "
        "0 none, 1 unspecified.",
        aliases=("leak_yeom",),
    ),
    _leak(
        name="leak_modality",
        label="Detection modality",
        definition="Image on which leakage was looked for",
        kind="category",
        choices=("CT", "radiograph", "CT+radiograph", "fluoroscopy", "not_stated"),
        source="Yeom 2003; Martin 2012",
        notes="Without it rates cannot be compared. fluoroscopy and not_stated train no leakage model.",
    ),
    _leak(
        name="leak_detected_days",
        label="Day of detection",
        definition="Days from the procedure to the image that showed the leak",
        kind="integer",
        unit="days",
        lowest=0,
        highest=3650,
        plausible_low=0,
        plausible_high=365,
        notes="The day somebody looked, not the day it leaked: that is always day 0.",
    ),
    _leak(
        name="leak_route",
        label="Leak known at the landmark",
        definition="Worst leak known at the landmark of the postoperative model: none, not into a disc, or disc",
        kind="ordinal",
        choices=("none", "other", "disc"),
        derived=True,
        derivation="leak_routes: disc if it holds D; unknown where a route is unspecified and where "
        "leak_detected_days is after the landmark of the postoperative model",
    ),
    _leak(
        name="leak_compartment",
        label="Leak compartment",
        definition="Where the cement lies",
        kind="multi",
        choices=("disc", "canal", "foramen", "paravertebral", "vascular", "pedicle_track", "anterior"),
        source="Feng 2022; BMC Musculoskelet Disord 2022, doi 10.1186/s12891-022-05680-4; Chen 2025",
        notes="canal may be B or C, venous plexus B or S: it is kept as recorded and not turned into a route.",
    ),
    _leak(
        name="leak_volume_ml",
        label="Leaked volume",
        definition="Volume of cement outside the cortex",
        kind="number",
        unit="ml",
        lowest=0,
        highest=10,
        plausible_low=0,
        plausible_high=4,
    ),
    _leak(
        name="leak_symptomatic",
        label="Symptomatic leak",
        definition="The leak caused symptoms",
        kind="flag",
        source="0 of 10 (Feng 2022), 3 of 27 (Chen 2025)",
    ),
)

_HARM = (
    _harm(
        name="pulmonary_cement_embolism",
        label="Pulmonary cement embolism",
        definition="Cement in the pulmonary arteries",
        kind="category",
        choices=("none", "asymptomatic", "symptomatic", "not_scanned"),
        source="1 of 100 (Chen 2025); 34 of 1,782 scanned",
    ),
    Variable(
        name="bcis",
        label="Bone cement implantation syndrome",
        definition="Hypoxia, hypotension or loss of consciousness around the injection",
        kind="flag",
        known_at=Moment.INTRAOP,
        scope="patient",
        role="outcome",
    ),
)

_REFRACTURE = (
    _later(
        name="refracture",
        label="First refracture",
        definition="First new fracture after surgery: of a treated vertebra again (same), of a level directly above "
        "or below a treated one (adjacent), of any other (remote), or none until last_seen_days",
        kind="category",
        choices=("none", "same", "adjacent", "remote"),
        source="4 of 30 patients at 1 year (Feng 2022); 16.5 and 18 % in two other series",
        notes="Same level: height loss of 15 % or more, or 10 degrees more kyphosis, or new oedema; say if the rule "
        "is another. Two levels on one image: same before adjacent before remote.",
    ),
    _later(
        name="refracture_days",
        label="Day of the first refracture",
        definition="Days from the procedure to the first refracture; empty if there was none",
        kind="integer",
        unit="days",
        lowest=0,
        highest=7300,
        plausible_low=1,
        plausible_high=3650,
        notes="3, 12 and 24 months are 91, 365 and 730 days; the day itself counts.",
        aliases=("time_to_event_days",),
    ),
    _later(
        name="refracture_detection",
        label="How it was found",
        definition="What led to the diagnosis of the refracture",
        kind="category",
        choices=("symptom+MRI", "scheduled_radiograph", "incidental"),
        notes="Same-level rates run from 3.7 % by symptoms to 31.9 % by radiograph.",
    ),
    _later(
        name="last_seen_days",
        label="Last seen",
        definition="Days from the procedure to the last contact, or to death",
        kind="integer",
        unit="days",
        lowest=0,
        highest=7300,
        plausible_low=1,
        plausible_high=5500,
    ),
    _later(
        name="died",
        label="Died",
        definition="The patient died at last_seen_days",
        kind="flag",
        source="13.4 % of those over 65 within 12 months of a vertebral fracture in one series",
    ),
)


def _pain(name: str, when: str) -> Variable:
    return _later(
        name=name,
        label=f"Pain, {when}",
        definition=f"Pain on the visual analogue scale {when} after surgery",
        kind="number",
        known_at=Moment.FOLLOW_UP if name[4] == "m" else Moment.POSTOP,
        unit="points",
        lowest=0,
        highest=10,
        plausible_low=0,
        plausible_high=8,
        source="1.7 one day after surgery (Feng 2022, Zhang 2022)",
    )


def _disability(name: str, when: str) -> Variable:
    return _later(
        name=name,
        label=f"Oswestry index, {when}",
        definition=f"Oswestry Disability Index {when} after surgery",
        kind="number",
        known_at=Moment.FOLLOW_UP if name[4] == "m" else Moment.POSTOP,
        unit="points",
        lowest=0,
        highest=100,
        plausible_low=0,
        plausible_high=80,
        source="17.8 (Zhang 2022) to 36.7 (Feng 2022) one day after surgery",
    )


_TIMES = (("d1", "1 day"), ("d3", "3 days"), ("m6", "6 months"), ("m12", "12 months"))
_COMPLAINTS = tuple(
    make(f"{prefix}_{suffix}", when)
    for prefix, make in (("vas", _pain), ("odi", _disability))
    for suffix, when in _TIMES
)

_FINAL_SHAPE = (
    _shape(
        name="fvah_final_mm",
        label="Anterior height at last follow-up",
        definition="Anterior height of the treated body at the last follow-up",
        unit="mm",
        lowest=4,
        highest=45,
        plausible_low=8,
        plausible_high=35,
        measurement=HEIGHT_MEASUREMENT,
        source="22.0 and 19.8 (Zhang 2022)",
    ),
    _shape(
        name="mvh_final_mm",
        label="Middle height at last follow-up",
        definition="Middle height of the treated body at the last follow-up",
        unit="mm",
        lowest=4,
        highest=45,
        plausible_low=8,
        plausible_high=34,
        measurement=HEIGHT_MEASUREMENT,
    ),
    _shape(
        name="wedge_angle_final_deg",
        label="Wedge angle at last follow-up",
        definition="Wedge angle of the treated body at the last follow-up",
        unit="deg",
        lowest=-15,
        highest=60,
        plausible_low=-8,
        plausible_high=32,
        source="4.2 and 4.1 (Huang 2022)",
    ),
    _shape(
        name="lka_final_deg",
        label="Local kyphotic angle at last follow-up",
        definition="lka_deg at the last follow-up",
        unit="deg",
        lowest=-30,
        highest=70,
        plausible_low=-10,
        plausible_high=40,
        source="11.5 and 15.0 (Zhang 2022)",
    ),
    _shape(
        name="rka_final_deg",
        label="Regional kyphotic angle at last follow-up",
        definition="rka_deg at the last follow-up",
        unit="deg",
        lowest=-60,
        highest=90,
        plausible_low=-33,
        plausible_high=56,
        source="9.2 and 12.9 (Zhang 2022)",
    ),
    _shape(
        name="avhlr_pct",
        label="Loss of the anterior height ratio",
        definition="AVHR after surgery minus at the last follow-up",
        unit="points",
        lowest=-40,
        highest=60,
        plausible_low=-18,
        plausible_high=38,
        derivation="AVHR of fvah_postop_mm minus AVHR of fvah_final_mm against the same neighbours",
        source="2.9 ± 6.6 and 10.0 ± 9.5 (Zhang 2022)",
    ),
    _shape(
        name="fvahl_mm",
        label="Loss of the anterior height",
        definition="Anterior height after surgery minus at the last follow-up",
        unit="mm",
        lowest=-10,
        highest=20,
        plausible_low=-5,
        plausible_high=10,
        derivation="fvah_postop_mm - fvah_final_mm where it is not stated",
        source="0.9 ± 1.7 and 2.7 ± 2.5 (Zhang 2022)",
    ),
    _shape(
        name="lka_loss_deg",
        label="Loss of the local kyphotic angle",
        definition="Local kyphotic angle at the last follow-up minus after surgery",
        unit="deg",
        lowest=-20,
        highest=45,
        plausible_low=-7,
        plausible_high=13,
        derivation="lka_final_deg - lka_postop_deg where it is not stated",
        source="1.7 ± 3.0 and 3.3 ± 3.1 (Zhang 2022)",
    ),
)

VARIABLES = (*_LEAKAGE, *_HARM, *_REFRACTURE, *_COMPLAINTS, *_FINAL_SHAPE)
