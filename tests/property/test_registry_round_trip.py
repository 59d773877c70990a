"""Whatever the cells hold: nothing crashes, no row is lost, and what was accepted is accepted again, unchanged."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from features.dictionary import VARIABLES
from features.errors import InputRejected
from features.registry import read_export, report, write_split
from features.registry.text import parse_table
from tests.exports import DICTIONARY_HEADER, FIELDS, HEADINGS, row, write_table

#: Text that a UTF-8 file without NUL can hold.
GARBAGE = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NUMBERS = st.one_of(
    st.integers(-5, 900).map(str),
    st.floats(-10, 130).map(repr),
    st.sampled_from(["-3.1", "−3.1", "2,6", "<0.001", "1e5", "NaN"]),
)


def cells_of(name: str) -> st.SearchStrategy[str]:
    """Mostly what the variable may hold, sometimes anything."""
    variable = VARIABLES[name]
    if variable.kind == "multi":
        fitting = st.lists(st.sampled_from(variable.choices), max_size=3).map(";".join)
    elif variable.choices:
        fitting = st.sampled_from(variable.choices)
    elif variable.kind == "flag":
        fitting = st.sampled_from(["0", "1", "yes", "False"])
    elif variable.kind == "date":
        fitting = st.sampled_from(["2024-03-01", "2024-03-02", "01/03/2024"])
    elif variable.kind == "text":
        fitting = st.sampled_from(["P1", "P2", "P3"])
    else:
        fitting = NUMBERS
    return st.one_of(fitting, fitting, fitting, st.just(""), GARBAGE)


NAMES = [
    *("patient_id", "level", "procedure_date", "age_years", "sex", "t_score", "height_cm", "weight_kg", "bmi_kg_m2"),
    *("cortical_disruption", "cortical_disruption_site", "treated_count", "leak_routes", "leak_modality"),
    *("refracture", "refracture_days", "last_seen_days", "died"),
]
#: Rows that would be accepted, with a few cells replaced: otherwise nearly nothing is accepted.
SPOILT = st.dictionaries(st.sampled_from(NAMES), st.none(), max_size=4).flatmap(
    lambda chosen: st.fixed_dictionaries({name: cells_of(name) for name in chosen})
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SPOILT, min_size=1, max_size=7), st.integers(0, 3))
def test_no_row_is_lost_and_what_is_accepted_stays_accepted(changes, levels):
    rows = [row(patient_id=f"P{i // 3}", level=f"L{i % (levels + 1) + 1}") | c for i, c in enumerate(changes)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = [NAMES, *([one.get(column, "") for column in NAMES] for one in rows)]
        export = read_export(write_table(folder / "export.csv", table))
        assert len(export.rows) == len(rows)
        assert len(export.accepted) + len(export.rejected) == len(export.rows)
        assert [one.position for one in export.rows] == list(range(1, len(rows) + 1))
        assert report.as_text(export, every=True)
        accepted, _ = write_split(export, folder / "out")
        if export.accepted:
            again = read_export(accepted)
            assert again.rejected == []
            assert again.accepted == export.accepted


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(GARBAGE, min_size=len(HEADINGS), max_size=len(HEADINGS)), min_size=1, max_size=4))
def test_garbage_in_a_redcap_export_is_counted_row_by_row(lines):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dictionary = write_table(folder / "dictionary.csv", [DICTIONARY_HEADER, *FIELDS])
        records = write_table(folder / "records.csv", [list(HEADINGS), *lines])
        export = read_export(records, dictionary=dictionary)
        assert len(export.rows) + export.joined == len(lines)
        assert len(export.accepted) + len(export.rejected) == len(export.rows)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_table_or_refused_with_a_reason(text):
    try:
        table = parse_table(text)
    except InputRejected as refusal:
        assert refusal.findings
    else:
        assert all(line.ragged or len(line.cells) == len(table.header) for line in table.lines)
