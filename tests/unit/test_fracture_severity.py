"""Height ratios, losses and grades against the papers' formulas and printed means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features import bone_quality, recovery
from features import fracture_severity as fs
from features.derived import Columns
from features.dictionary import VARIABLES
from features.level import REGION, SINS_LOCATION, thoracolumbar_junction
from tests.builders import column, columns

HEIGHTS = {"fvah_mm": 17.2, "adj_ah_above_mm": 26.0, "adj_ah_below_mm": 28.0}


def test_avhr_is_twice_the_height_over_the_sum_of_the_neighbours() -> None:
    found = fs.avhr_pct(columns(HEIGHTS))
    assert found.value == pytest.approx([100 * 2 * 17.2 / (26 + 28)])
    assert found.source.tolist() == ["both_neighbours"]


def test_one_neighbour_stands_alone_and_none_leaves_it_unknown() -> None:
    rows = columns(
        {"fvah_mm": 18.0, "adj_ah_above_mm": 24.0, "adj_ah_below_mm": None},
        {"fvah_mm": 18.0, "adj_ah_above_mm": None, "adj_ah_below_mm": 30.0},
        {"fvah_mm": 18.0, "adj_ah_above_mm": None, "adj_ah_below_mm": None},
        {"fvah_mm": None, "adj_ah_above_mm": 24.0, "adj_ah_below_mm": 30.0},
    )
    found = fs.avhr_pct(rows)
    np.testing.assert_allclose(found.value, [75.0, 60.0, np.nan, np.nan])
    assert found.source.tolist() == ["above_only", "below_only", None, None]


def test_a_stated_ratio_is_taken_and_a_gap_is_computed() -> None:
    found = fs.avhr_pct(columns({**HEIGHTS, "avhr_pct": 64.0}, {**HEIGHTS, "avhr_pct": None}, {"avhr_pct": 80.0}))
    np.testing.assert_allclose(found.value, [64.0, 63.7037037, 80.0])
    assert found.source.tolist() == ["stated", "both_neighbours", "stated"]


def test_mvhr_needs_middle_heights_of_the_neighbours() -> None:
    found = fs.mvhr_pct(columns({"mvh_mm": 12.0, "adj_mh_above_mm": 23.0, "adj_mh_below_mm": 25.0}))
    assert found.value == pytest.approx([50.0])
    assert np.isnan(fs.mvhr_pct(columns({"mvh_mm": 12.0, "adj_ah_above_mm": 23.0})).value).all()


def test_ap_ratio_and_loss_are_opposite_in_direction() -> None:
    # Feng 2022: anterior height 21.2 mm and a ratio of 72.57 % imply a posterior height of 29.2 mm.
    rows = columns({"fvah_mm": 21.2, "pvh_mm": 29.213, "adj_ah_above_mm": 26.5, "adj_ah_below_mm": 26.5})
    assert fs.ap_ratio_pct(rows).value == pytest.approx([72.57], abs=0.01)
    assert fs.compression_loss_pct(rows).value == pytest.approx([20.0])


@pytest.mark.parametrize(
    "loss, grade", [(-8.0, 0), (19.99, 0), (20.0, 1), (25.0, 1), (25.01, 2), (40.0, 2), (40.01, 3), (90.0, 3)]
)
def test_the_ends_of_the_genant_grades(loss: float, grade: int) -> None:
    assert fs.grade_of_loss(column(loss)).tolist() == [grade]
    heights = {"fvah_mm": 25.0 * (1 - loss / 100), "adj_ah_above_mm": 25.0, "adj_ah_below_mm": 25.0}
    assert fs.genant_grade(columns(heights)).value.tolist() == [grade]


@pytest.mark.parametrize("loss, degree", [(32.9, 1), (33.0, 2), (66.0, 2), (66.1, 3)])
def test_the_ends_of_the_compression_degrees(loss: float, degree: int) -> None:
    assert fs.compression_degree(columns({"avhr_pct": 100 - loss})).value.tolist() == [degree]
    assert fs.compression_degree(columns({"avhr_pct": 40.0, "compression_degree": "I"})).value.tolist() == [1]


def test_without_neighbours_the_own_posterior_wall_is_the_reference() -> None:
    normal = fs.NORMAL_RATIOS["L1"][0]
    found = fs.height_loss_pct(columns({"level": "L1", "fvah_mm": 18.0, "pvh_mm": 30.0}))
    assert found.value == pytest.approx([100 * (1 - 18 / (30 * normal))])
    assert found.source.tolist() == ["anterior_posterior_wall"]
    assert np.isnan(fs.height_loss_pct(columns({"level": "S1", "fvah_mm": 18.0, "pvh_mm": 30.0})).value).all()
    assert np.isnan(fs.height_loss_pct(columns({"fvah_mm": 18.0, "pvh_mm": 30.0})).value).all()


def test_the_worst_height_counts_and_is_named() -> None:
    biconcave = {"level": "L2", "mvh_mm": 12.0, "pvh_mm": 28.0, "fvah_mm": 26.0, "adj_ah_above_mm": 27.0}
    found = fs.height_loss_pct(columns(biconcave))
    assert found.value == pytest.approx([100 * (1 - 12 / (28 * fs.NORMAL_RATIOS["L2"][1]))])
    assert found.source.tolist() == ["middle_posterior_wall"]
    assert fs.genant_grade(columns(biconcave)).value.tolist() == [3]


def test_heights_then_the_stated_grade_then_stated_ratios() -> None:
    rows = columns(
        {**HEIGHTS, "genant_grade": "0", "avhr_pct": 95.0},
        {"genant_grade": "1", "avhr_pct": 50.0},
        {"genant_grade": None, "avhr_pct": 50.0},
        {"genant_grade": None, "avhr_pct": None},
    )
    found = fs.genant_grade(rows)
    np.testing.assert_array_equal(found.value, [2, 1, 3, np.nan])
    assert found.source.tolist() == ["heights", "stated", "stated_ratio", None]


def test_severity_is_the_grade_in_words_unless_stated() -> None:
    found = fs.severity(
        columns({"genant_grade": "3"}, {"fracture_severity": "mild", "genant_grade": "3"}, {"level": "L1"})
    )
    np.testing.assert_array_equal(found.value, [3, 1, np.nan])
    assert found.source.tolist() == ["genant_stated", "stated", None]


def test_the_codes_are_the_choices_of_the_dictionary() -> None:
    assert tuple(fs.GENANT_CODES) == VARIABLES["genant_grade"].choices
    assert tuple(fs.SEVERITY_CODES) == VARIABLES["fracture_severity"].choices
    assert tuple(fs.DEGREE_CODES) == VARIABLES["compression_degree"].choices
    assert set(fs.NORMAL_RATIOS) == set(VARIABLES["level"].choices) - {"S1"}


def test_the_means_of_huang_2022_are_severe_by_every_measure() -> None:
    rows = columns({"avhr_pct": 47.36, "mvhr_pct": 53.56})
    assert fs.genant_grade(rows).value.tolist() == [3]
    assert fs.compression_degree(rows).value.tolist() == [2]
    assert fs.height_loss_pct(rows).value == pytest.approx([100 - 47.36])


def test_the_wedge_angle_is_stated_or_unknown_never_guessed_from_heights() -> None:
    rows = columns({"wedge_angle_deg": 24.4}, {"cobb_vertebral_deg": 9.6}, {**HEIGHTS, "pvh_mm": 27.0})
    found = fs.wedge_angle_deg(rows)
    np.testing.assert_allclose(found.value, [24.4, 9.6, np.nan])
    assert found.source.tolist() == ["wedge_angle_deg", "cobb_vertebral_deg", None]


def test_the_wedge_angle_of_a_known_trapezium() -> None:
    depth = 30.0
    for angle in (-10.0, 0.0, 24.4):
        drop = 2 * depth * math.tan(math.radians(angle / 2))
        found = fs.wedge_angle_from_heights(column(27.0 - drop), column(27.0), column(depth))
        assert found == pytest.approx([angle])
    assert np.isnan(fs.wedge_angle_from_heights(column(20.0), column(27.0), column(0.0))).all()


# Table 2 of Zhang 2022, group by group: the differences of the printed means are the printed mean differences.
ZHANG = {
    "aspiration": {
        "avhr": (70.86, 82.24, 79.38, 11.38, 2.86),
        "fvah": (19.69, 22.89, 21.95, 3.20, 0.94),
        "lka": (14.78, 9.87, 11.53, 4.91, 1.66),
        "rka": (10.71, 8.23, 9.18, 2.48, 0.95),
    },
    "conventional": {
        "avhr": (72.63, 80.83, 70.83, 8.20, 10.00),
        "fvah": (19.66, 22.49, 19.80, 2.83, 2.69),
        "lka": (15.31, 11.63, 14.95, 3.68, 3.32),
        "rka": (11.66, 10.28, 12.90, 1.38, 2.62),
    },
}


@pytest.mark.parametrize("group", ZHANG)
def test_recovery_and_loss_reproduce_the_printed_table(group: str) -> None:
    formulas = {
        "avhr": (recovery.avhrr_pct, recovery.avhlr_pct),
        "fvah": (recovery.fvahr_mm, recovery.fvahl_mm),
        "lka": (recovery.kyphosis_recovery_deg, recovery.kyphosis_loss_deg),
        "rka": (recovery.kyphosis_recovery_deg, recovery.kyphosis_loss_deg),
    }
    for measure, (before, after, final, gained, lost) in ZHANG[group].items():
        gain, loss = formulas[measure]
        assert gain(column(before), column(after)) == pytest.approx([gained], abs=0.0051)
        assert loss(column(after), column(final)) == pytest.approx([lost], abs=0.0051)


def test_reduction_is_a_share_of_what_was_lost() -> None:
    found = recovery.reduction_rate_pct(column(15.0, 15.0, 27.0), column(21.0, 27.0, 27.0), column(27.0, 27.0, 27.0))
    np.testing.assert_allclose(found, [50.0, 100.0, np.nan])


def test_recovery_uses_the_same_ratio_as_severity() -> None:
    assert recovery.avhr_pct(column(17.2), column(26.0), column(28.0)) == pytest.approx(
        fs.avhr_pct(columns(HEIGHTS)).value
    )


def test_the_ct_value_is_taken_from_l1_then_the_neighbours_then_the_fractured_body() -> None:
    every: dict[str, float | None] = {"hu_l1": 62.0, "hu_adjacent_mean": 70.0, "hu_index_vertebra": 140.0}
    rows = columns(every, {**every, "hu_l1": None}, {"hu_index_vertebra": 140.0}, {"t_score": -3.0})
    found = bone_quality.ct_value(rows)
    np.testing.assert_array_equal(found.value, [62.0, 70.0, 140.0, np.nan])
    assert found.source.tolist() == ["hu_l1", "hu_adjacent_mean", "hu_index_vertebra", None]
    assert np.isnan(bone_quality.ct_value(columns({"t_score": -3.0})).value).all()


def test_the_level_gives_its_region_its_sins_class_and_the_junction() -> None:
    levels = VARIABLES["level"].choices
    assert set(SINS_LOCATION) == set(levels) and set(REGION) == set(levels) - {"S1"}
    assert set(SINS_LOCATION.values()) < set(VARIABLES["sins_location"].choices)
    assert set(REGION.values()) == set(VARIABLES["level_region"].choices)
    rows: Columns = columns(*({"level": level} for level in ("T10", "T11", "L2", "L3")), {"level": None})
    np.testing.assert_array_equal(thoracolumbar_junction(rows).value, [0, 1, 1, 0, np.nan])
