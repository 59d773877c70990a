"""The planned share of the body, by a measured volume or by an expected one that says so."""

from __future__ import annotations

import numpy as np
import pytest

from features import injection_volume as iv
from features.dictionary import VARIABLES
from tests.builders import columns


def test_a_measured_body_comes_first() -> None:
    found = iv.planned_fraction_pct(columns({"planned_volume_ml": 4.5, "vertebral_volume_ml": 30.0, "level": "L1"}))
    assert found.value == pytest.approx([15.0]) and found.source.tolist() == ["measured"]


def test_an_expected_body_stands_in_and_says_so() -> None:
    rows = columns(
        {"planned_volume_ml": 4.5, "level": "L1", "sex": "female"},
        {"planned_volume_ml": 4.5, "level": "L1", "sex": "male"},
        {"planned_volume_ml": 4.5, "level": "L1"},
        {"planned_volume_ml": 4.5, "level": "S1", "sex": "male"},
        {"planned_volume_ml": 4.5, "sex": "male"},
        {"level": "L1", "sex": "male"},
    )
    found = iv.planned_fraction_pct(rows)
    assert found.source.tolist() == ["expected", "expected", "expected_sex_unknown", None, None, None]
    woman, man, unknown = found.value[:3]
    assert woman == pytest.approx(man * iv.MEN_TO_WOMEN) and man < unknown < woman
    assert np.isnan(found.value[3:]).all()
    assert {source for source in found.source if source} < set(VARIABLES["vertebral_volume_source"].choices)


def test_expected_bodies_have_the_stated_mean_and_order() -> None:
    assert set(iv.RELATIVE_VOLUME) == set(VARIABLES["level"].choices) - {"S1"}
    volumes = iv.expected_vertebral_volume_ml(columns(*({"level": level} for level in iv.RELATIVE_VOLUME))).value
    assert volumes[-5:].mean() == pytest.approx(iv.LUMBAR_MEAN_ML)
    assert (np.diff(volumes[:-1]) > 0).all() and volumes[-1] < volumes[-3]


@pytest.mark.parametrize("sex", ["female", "male"])
def test_expected_bodies_are_possible_measured_ones(sex: str) -> None:
    measured = VARIABLES["vertebral_volume_ml"]
    rows = columns(*({"level": level, "sex": sex} for level in iv.RELATIVE_VOLUME))
    found = [measured.judge(float(volume)) for volume in iv.expected_vertebral_volume_ml(rows).value]
    assert not any(finding is not None and finding.rejects for finding in found)


def test_the_injected_fraction_needs_a_measured_body() -> None:
    rows = columns(
        {"cement_volume_ml": 6.0, "vertebral_volume_ml": 24.0},
        {"cement_volume_ml": 6.0, "level": "L1"},
        {"cement_fraction_pct": 21.0, "cement_volume_ml": 6.0, "vertebral_volume_ml": 24.0},
    )
    found = iv.cement_fraction_pct(rows)
    np.testing.assert_allclose(found.value, [25.0, np.nan, 21.0])
    assert found.source.tolist() == ["measured", None, "stated"]
