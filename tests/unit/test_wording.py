"""What a contribution is called where several vertebrae are treated."""

from __future__ import annotations

import pytest

from features.build import PREDICTORS
from serving.wording import contribution_text

OF = {predictor.name: predictor for predictor in PREDICTORS["refracture"]}


@pytest.mark.parametrize(
    ("name", "value", "pooled"),
    [
        ("genant_grade", 2, " (worst vertebra)"),
        ("planned_volume_ml", 9.0, " (all vertebrae together)"),
        ("treated_count", 2, ""),  # the patient has one number of them
        ("ct_value_hu", 62.0, ""),
    ],
)
def test_only_what_each_vertebra_has_is_said_to_be_of_some(name: str, value: float, pooled: str) -> None:
    one, two = (contribution_text(OF[name], value, 0.2, vertebrae) for vertebrae in (1, 2))
    assert two == one.replace(";", f"{pooled};") and one.endswith("; raises the risk")
