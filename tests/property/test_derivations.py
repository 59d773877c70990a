"""What must hold for every derivation, whatever is known: total, row by row, unknown in unknown out, monotone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import bone_quality, cement, cortical_breach, injection_volume, level
from features import fracture_severity as fs
from features.derived import Columns, Derived
from features.dictionary import VARIABLES, Value, Variable
from features.records import to_columns

DERIVATIONS: tuple[Callable[[Columns], Derived], ...] = (
    bone_quality.ct_value,
    fs.avhr_pct,
    fs.mvhr_pct,
    fs.ap_ratio_pct,
    fs.compression_loss_pct,
    fs.height_loss_pct,
    fs.genant_grade,
    fs.compression_degree,
    fs.severity,
    fs.wedge_angle_deg,
    cement.viscosity,
    cortical_breach.any_breach,
    cortical_breach.endplate_breach,
    cortical_breach.posterior_wall_breach,
    cortical_breach.anterior_lateral_breach,
    cortical_breach.basivertebral_foramen_enlarged,
    injection_volume.expected_vertebral_volume_ml,
    injection_volume.planned_fraction_pct,
    injection_volume.cement_fraction_pct,
    level.thoracolumbar_junction,
)
# fmt: off
INPUTS = (
    "sex", "hu_l1", "hu_adjacent_mean", "hu_index_vertebra", "level", "genant_grade", "fracture_severity",
    "compression_degree", "cortical_disruption", "cortical_disruption_site", "endplate_disruption",
    "posterior_wall_defect", "basivertebral_foramen", "vertebral_volume_ml", "fvah_mm", "mvh_mm", "pvh_mm",
    "adj_ah_above_mm", "adj_ah_below_mm", "adj_mh_above_mm", "adj_mh_below_mm", "avhr_pct", "mvhr_pct",
    "ap_ratio_pct", "wedge_angle_deg", "cobb_vertebral_deg", "cement_product_id", "planned_viscosity",
    "planned_injection_stage", "planned_minutes_after_mixing", "room_temperature_c", "planned_volume_ml",
    "cement_volume_ml", "cement_fraction_pct",
)
# fmt: on
#: Twenty derivations are each given this many cases; the deadline would measure the machine, not the code.
FEW = settings(max_examples=20, deadline=None)
MANY = settings(deadline=None)
EVERY = pytest.mark.parametrize("derive", DERIVATIONS, ids=lambda derive: derive.__name__)


def _values(variable: Variable) -> st.SearchStrategy[Value]:
    if variable.kind == "multi":
        return st.frozensets(st.sampled_from(variable.choices), min_size=1)
    if variable.kind == "flag":
        return st.booleans()
    if variable.choices:
        return st.sampled_from(variable.choices)
    return st.floats(variable.lowest, variable.highest)


RECORDS = st.fixed_dictionaries({}, optional={name: st.none() | _values(VARIABLES[name]) for name in INPUTS})
HEIGHT = st.floats(8, 45)


def _rows(records: list[dict[str, Value | None]]) -> Columns:
    """Columns that always have as many rows as there are records, whatever the records mention."""
    return to_columns([{"age_years": 70.0, **record} for record in records])


def _same(one: Derived, other: Derived) -> None:
    np.testing.assert_array_equal(one.value, other.value)
    assert one.source.tolist() == other.source.tolist()


@EVERY
@FEW
@given(records=st.lists(RECORDS, max_size=6))
def test_total_and_shaped_and_named_wherever_known(
    derive: Callable[[Columns], Derived], records: list[dict[str, Value | None]]
) -> None:
    found = derive(_rows(records))
    assert found.value.shape == found.source.shape == (len(records),)
    assert found.value.dtype == np.float64 and found.source.dtype == object
    assert not np.isinf(found.value).any()
    assert all(source is not None for source in found.source[~np.isnan(found.value)])


def _row(found: Derived, position: int) -> Derived:
    return Derived(found.value[[position]], lambda: found.source[[position]])


@EVERY
@FEW
@given(records=st.lists(RECORDS, min_size=1, max_size=6), order=st.randoms(use_true_random=False))
def test_each_row_by_itself_in_any_order(
    derive: Callable[[Columns], Derived], records: list[dict[str, Value | None]], order: object
) -> None:
    together = derive(_rows(records))
    for position, record in enumerate(records):
        alone = derive(_rows([record]))
        _same(alone, _row(together, position))


@EVERY
def test_nothing_known_gives_nothing(derive: Callable[[Columns], Derived]) -> None:
    nothing = {
        name: np.full(2, np.nan) if VARIABLES[name].kind in ("number", "flag") else np.full(2, None, dtype=object)
        for name in INPUTS
    }
    for columns in ({"age_years": np.array([70.0, 71.0])}, nothing):
        found = derive(columns)
        assert np.isnan(found.value).all() and found.source.tolist() == [None, None]


@EVERY
@FEW
@given(record=RECORDS)
def test_the_columns_are_left_as_they_were(
    derive: Callable[[Columns], Derived], record: dict[str, Value | None]
) -> None:
    columns = _rows([record, {}])
    before = {name: column.copy() for name, column in columns.items()}
    found = derive(columns)
    found.source[:] = "overwritten"
    for name, column in columns.items():
        np.testing.assert_array_equal(column, before[name])


@MANY
@given(height=HEIGHT, lower=HEIGHT, above=HEIGHT, below=HEIGHT)
def test_a_lower_body_is_never_less_broken(height: float, lower: float, above: float, below: float) -> None:
    neighbours: dict[str, Value | None] = {"adj_ah_above_mm": above, "adj_ah_below_mm": below}
    rows = _rows([{"fvah_mm": h, **neighbours} for h in sorted((height, lower))])
    assert np.diff(fs.avhr_pct(rows).value)[0] >= 0
    for measure in (fs.height_loss_pct, fs.genant_grade, fs.compression_degree, fs.severity):
        assert np.diff(measure(rows).value)[0] <= 0


@MANY
@given(height=HEIGHT, above=HEIGHT, below=HEIGHT, scale=st.sampled_from([0.1, 0.5, 2.0, 10.0]))
def test_ratios_do_not_depend_on_the_unit_of_height(height: float, above: float, below: float, scale: float) -> None:
    heights: dict[str, float] = {
        "fvah_mm": height,
        "adj_ah_above_mm": above,
        "adj_ah_below_mm": below,
        "pvh_mm": height,
    }
    plain, scaled = _rows([dict(heights)]), _rows([{name: mm * scale for name, mm in heights.items()}])
    for measure in (fs.avhr_pct, fs.ap_ratio_pct, fs.height_loss_pct):
        assert measure(scaled).value == pytest.approx(measure(plain).value)


@MANY
@given(height=HEIGHT, above=HEIGHT, below=HEIGHT)
def test_the_neighbours_may_be_swapped_and_lost_and_remaining_add_up(height: float, above: float, below: float) -> None:
    rows = _rows(
        [
            {"fvah_mm": height, "adj_ah_above_mm": above, "adj_ah_below_mm": below},
            {"fvah_mm": height, "adj_ah_above_mm": below, "adj_ah_below_mm": above},
        ]
    )
    remaining = fs.avhr_pct(rows).value
    assert remaining[0] == remaining[1]
    np.testing.assert_allclose(remaining + fs.compression_loss_pct(rows).value, 100)


@MANY
@given(record=RECORDS)
def test_a_known_break_of_a_part_is_a_break(record: dict[str, Value | None]) -> None:
    rows = _rows([record])
    parts = (
        cortical_breach.endplate_breach,
        cortical_breach.posterior_wall_breach,
        cortical_breach.anterior_lateral_breach,
    )
    if any(part(rows).value[0] == 1 for part in parts):
        assert cortical_breach.any_breach(rows).value[0] == 1


@MANY
@given(low=st.floats(0.5, 12), high=st.floats(0.5, 12), record=RECORDS)
def test_more_cement_is_a_larger_share(low: float, high: float, record: dict[str, Value | None]) -> None:
    rows = _rows([{**record, "planned_volume_ml": ml} for ml in sorted((low, high))])
    share = injection_volume.planned_fraction_pct(rows).value
    assert np.isnan(share).all() or np.diff(share)[0] >= 0


@MANY
@given(front=HEIGHT, back=HEIGHT, depth=st.floats(15, 50))
def test_a_wedge_turned_round_has_the_opposite_angle(front: float, back: float, depth: float) -> None:
    one, other, deep = (np.array([mm]) for mm in (front, back, depth))
    angle = fs.wedge_angle_from_heights(one, other, deep)
    np.testing.assert_allclose(angle, -fs.wedge_angle_from_heights(other, one, deep))
    assert (angle[0] > 0) == (back > front) and abs(angle[0]) < 180
