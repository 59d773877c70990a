"""Records become columns with one meaning of unknown for each kind."""

from __future__ import annotations

import numpy as np
import pytest

from features.dictionary import VARIABLES
from features.records import to_columns
from tests.builders import question, record


def test_kinds_become_floats_or_objects() -> None:
    rows = [
        {
            "age_years": 73.0,
            "treated_count": 2,
            "steroid_use": True,
            "level": "L1",
            "leak_routes": frozenset({"B", "D"}),
        },
        {"age_years": None, "steroid_use": False, "level": None},
    ]
    found = to_columns(rows)
    assert list(found) == ["age_years", "steroid_use", "treated_count", "level", "leak_routes"]
    np.testing.assert_array_equal(found["age_years"], [73.0, np.nan])
    np.testing.assert_array_equal(found["treated_count"], [2.0, np.nan])
    np.testing.assert_array_equal(found["steroid_use"], [1.0, 0.0])
    assert found["level"].tolist() == ["L1", None]
    assert found["leak_routes"].tolist() == [frozenset({"B", "D"}), None]
    assert found["age_years"].dtype == np.float64 and found["level"].dtype == object


def test_columns_come_in_the_order_of_the_dictionary_whatever_the_order_of_the_record() -> None:
    backwards = dict(reversed(record().items()))
    assert list(to_columns([backwards])) == [name for name in VARIABLES if name in backwards]


def test_names_select_and_order_and_an_unmentioned_one_has_no_column() -> None:
    assert list(to_columns([question()], ["level", "vbq_score", "age_years"])) == ["level", "age_years"]


def test_no_records_no_columns() -> None:
    assert to_columns([]) == {}


@pytest.mark.parametrize("names", [None, ["level"]])
def test_a_name_that_the_dictionary_lacks_is_refused(names: list[str] | None) -> None:
    with pytest.raises(KeyError, match="colour"):
        to_columns([{"level": "L1", "colour": "red"}], names)
    with pytest.raises(KeyError, match="colour"):
        to_columns([{"level": "L1"}], ["colour"])


@pytest.mark.parametrize("built", [record(), question()])
def test_the_built_records_are_valid(built: dict[str, float | None]) -> None:
    assert [VARIABLES[name].judge(value) for name, value in built.items() if value is not None] == [None] * len(built)
