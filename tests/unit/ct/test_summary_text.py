"""What ``cemrisk ct --registry`` says of thousands of rows stays one line."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from features.ct.command import ranges


def test_runs_of_rows_are_said_as_from_and_to() -> None:
    assert ranges([2, *range(5, 837)]) == "833 (2, 5 to 836)"
    assert ranges([]) == "none"


@given(st.sets(st.integers(1, 60)))
def test_no_row_is_lost_and_none_is_invented(rows: set[int]) -> None:
    said = ranges(sorted(rows))
    if not rows:
        assert said == "none"
        return
    count, listed = said.rstrip(")").split(" (")
    ends = [[int(number) for number in run.split(" to ")] for run in listed.split(", ")]
    assert {row for run in ends for row in range(run[0], run[-1] + 1)} == rows
    assert int(count) == len(rows)
    assert all(after[0] > before[-1] + 1 for before, after in pairwise(ends))
