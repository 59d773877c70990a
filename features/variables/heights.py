"""Shape of the fractured body: heights in mm, what is derived from them, and angles, all before surgery."""

from __future__ import annotations

from functools import partial

from features.variable import Moment, Variable

_fact = partial(Variable, known_at=Moment.PREOP, scope="vertebra", role="predictor")
_number = partial(_fact, kind="number")
_height = partial(_number, unit="mm", highest=45)
_ratio = partial(_number, unit="%", lowest=5, highest=130)
_angle = partial(_number, unit="deg")

HEIGHT_MEASUREMENT = "lateral radiograph or mid-sagittal CT"
#: How `height_loss_pct` got its references.
HEIGHT_LOSS_SOURCES = ("anterior", "middle", "posterior")

_HEIGHTS = (
    _height(
        name="fvah_mm",
        label="Anterior height",
        definition="Anterior height of the fractured body, upper to lower anterior corner",
        lowest=4,
        plausible_low=6,
        plausible_high=34,
        measurement=HEIGHT_MEASUREMENT,
        source="19.7 ± 6.8 and 19.7 ± 5.1 (Zhang 2022); printed in cm by Feng 2022 (2.12 and 2.06)",
    ),
    _height(
        name="mvh_mm",
        label="Middle height",
        definition="Height of the fractured body in its middle",
        lowest=4,
        plausible_low=5,
        plausible_high=32,
        measurement=HEIGHT_MEASUREMENT,
        source="Huang 2022",
    ),
    _number(
        name="pvh_mm",
        label="Posterior height",
        definition="Height of the posterior wall of the fractured body",
        unit="mm",
        lowest=8,
        highest=50,
        plausible_low=16,
        plausible_high=38,
        measurement=HEIGHT_MEASUREMENT,
    ),
    _height(
        name="adj_ah_above_mm",
        label="Anterior height, level above",
        definition="Anterior height of the body above",
        lowest=8,
        plausible_low=16,
        plausible_high=36,
        measurement=HEIGHT_MEASUREMENT,
        notes="Only of an unfractured body; leave it empty if that one is broken too.",
    ),
    _height(
        name="adj_ah_below_mm",
        label="Anterior height, level below",
        definition="Anterior height of the body below",
        lowest=8,
        plausible_low=17,
        plausible_high=38,
        measurement=HEIGHT_MEASUREMENT,
        notes="Only of an unfractured body; leave it empty if that one is broken too.",
    ),
    _height(
        name="adj_mh_above_mm",
        label="Middle height, level above",
        definition="Middle height of the body above",
        lowest=8,
        plausible_low=15,
        plausible_high=35,
        measurement=HEIGHT_MEASUREMENT,
        source="reference of MVHR (Huang 2022)",
    ),
    _height(
        name="adj_mh_below_mm",
        label="Middle height, level below",
        definition="Middle height of the body below",
        lowest=8,
        plausible_low=15,
        plausible_high=36,
        measurement=HEIGHT_MEASUREMENT,
        source="reference of MVHR (Huang 2022)",
    ),
    _number(
        name="instability_mm",
        label="Intravertebral instability",
        definition="Change of anterior height between supine and standing or sitting",
        unit="mm",
        lowest=0,
        highest=20,
        plausible_low=0,
        plausible_high=14,
        source="item of the AVA score, at 5 mm",
    ),
)

_RATIOS = (
    _ratio(
        name="avhr_pct",
        label="Anterior height ratio, remaining",
        definition="Anterior height as a share of the mean anterior height of the two neighbours; 100 is normal",
        plausible_low=18,
        plausible_high=115,
        derivation="100 * 2 * fvah_mm / (adj_ah_above_mm + adj_ah_below_mm) where it is not stated; "
        "with one neighbour, 100 * fvah_mm / that one",
        source="70.9 and 72.6 (Zhang 2022), 47.4 and 46.4 (Huang 2022); the same formula in both",
        notes="Height that REMAINS. A column called compression rate may mean this or its opposite.",
    ),
    _ratio(
        name="mvhr_pct",
        label="Middle height ratio, remaining",
        definition="Middle height as a share of the mean middle height of the two neighbours; 100 is normal",
        plausible_low=20,
        plausible_high=115,
        derivation="100 * 2 * mvh_mm / (adj_mh_above_mm + adj_mh_below_mm) where it is not stated; "
        "with one neighbour, 100 * mvh_mm / that one",
        source="53.6 and 52.5 (Huang 2022)",
    ),
    _ratio(
        name="ap_ratio_pct",
        label="Anterior/posterior ratio, remaining",
        definition="Anterior height as a share of the posterior height of the same body",
        plausible_low=30,
        plausible_high=118,
        derivation="100 * fvah_mm / pvh_mm where it is not stated",
        source="72.6 and 79.6, there called compression rate (Feng 2022)",
        notes="Normal is not 100: T12 89.4 ± 11.0, L1 91.1 ± 10.3, L2 97.0 ± 6.0 in a CT sample.",
    ),
    _number(
        name="compression_loss_pct",
        label="Compression, height lost",
        definition="Anterior height lost",
        unit="%",
        lowest=-30,
        highest=95,
        plausible_low=-15,
        plausible_high=82,
        derived=True,
        derivation="100 - avhr_pct",
        notes="Never read from a column called compression rate without a direction.",
    ),
    _number(
        name="height_loss_pct",
        label="Worst height loss",
        definition="Largest loss of anterior, middle and posterior height against its reference",
        unit="%",
        derived=True,
        derivation="largest of the losses that can be computed: anterior against the neighbours, else against the own "
        "posterior wall; middle against the neighbours, else against the own posterior wall; see "
        "features.fracture_severity",
        source="Genant 1993 for the worst of three heights",
        notes="Negative when every height exceeds its reference.",
    ),
    _fact(
        name="height_loss_source",
        label="Worst height",
        definition="The height that lost most and the reference it was compared with",
        kind="text",
        derived=True,
        derivation="see height_loss_pct",
    ),
)

_ANGLES = (
    _angle(
        name="wedge_angle_deg",
        label="Wedge angle",
        definition="Angle between the extended upper and lower endplates of the fractured body",
        lowest=-15,
        highest=60,
        plausible_low=-5,
        plausible_high=36,
        measurement=HEIGHT_MEASUREMENT,
        source="24.4 ± 2.7 and 25.5 ± 2.4 (Huang 2022); 9.6 and 10.3, there called Cobb angle (Feng 2022)",
        notes="Heights alone give no angle: the depth of the body is needed, see fracture_severity.",
    ),
    _angle(
        name="cobb_vertebral_deg",
        label="Cobb angle of the vertebra",
        definition="Upper to lower endplate of the fractured body, as Feng 2022 measures its Cobb angle",
        lowest=-20,
        highest=60,
        plausible_low=-8,
        plausible_high=36,
        source="9.6 ± 5.9 and 10.3 ± 5.5 (Feng 2022)",
        notes="The same quantity as wedge_angle_deg, kept apart because most Cobb angles span two levels.",
    ),
    _angle(
        name="lka_deg",
        label="Local kyphotic angle",
        definition="Kyphosis at the fractured vertebra as the centre measures it; see lka_n_levels",
        lowest=-30,
        highest=70,
        plausible_low=-10,
        plausible_high=42,
        source="14.8 ± 7.2 and 15.3 ± 8.1 (Zhang 2022), which does not define its span",
    ),
    _fact(
        name="lka_n_levels",
        label="Span of the local angle",
        definition="Number of vertebrae that lka_deg spans",
        kind="integer",
        unit="count",
        lowest=1,
        highest=5,
        plausible_low=1,
        plausible_high=3,
    ),
    _angle(
        name="rka_deg",
        label="Regional kyphotic angle",
        definition="Upper endplate of the level above to lower endplate of the level below",
        lowest=-60,
        highest=90,
        plausible_low=-32,
        plausible_high=56,
        source="10.7 ± 14.7 and 11.7 ± 17.2 (Zhang 2022)",
    ),
    _fact(
        name="focal_kyphosis_ge10",
        label="Focal kyphosis of 10 degrees or more",
        definition="Item of the AVA score",
        kind="flag",
    ),
)

_DISC = (
    _fact(
        name="disc_degeneration_pfirrmann",
        label="Disc degeneration",
        definition="Worse Pfirrmann grade of the two adjacent discs",
        kind="ordinal",
        choices=("1", "2", "3", "4", "5"),
        measurement="T2-weighted MRI",
    ),
)

VARIABLES = (*_HEIGHTS, *_RATIOS, *_ANGLES, *_DISC)
