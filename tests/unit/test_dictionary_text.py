"""The dictionary as people read it is the dictionary, all of it."""

from __future__ import annotations

import json
from pathlib import Path

from features import dictionary_text
from features.cement_catalogue import CEMENTS
from features.dictionary import OMITTED, VARIABLES, fingerprint

PAGE = Path(__file__).parents[2] / "docs" / "dictionary.md"


def test_the_page_in_the_docs_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == dictionary_text.markdown(), (
        "docs/dictionary.md is out of date: write it anew with cemrisk dictionary --format markdown"
    )


def test_the_page_has_every_variable_once_every_cement_and_every_omitted_name() -> None:
    rows = [line.split("|")[1].strip() for line in dictionary_text.markdown().splitlines() if line.startswith("| `")]
    assert rows == [f"`{name}`" for name in (*VARIABLES, *OMITTED, *CEMENTS)]


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    for block in dictionary_text.markdown().split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1


def test_the_terminal_table_has_one_line_for_each_variable() -> None:
    lines = dictionary_text.table().splitlines()
    assert [line.split()[0] for line in lines] == ["variable", *VARIABLES]
    assert all(line == line.rstrip() for line in lines)
    assert any("4 to 45 mm" in line for line in lines if line.startswith("fvah_mm"))


def test_the_json_survives_a_round_trip_and_holds_the_limits() -> None:
    found = json.loads(json.dumps(dictionary_text.as_json(), allow_nan=False))
    assert found == dictionary_text.as_json()
    assert found["fingerprint"] == fingerprint()
    by_name = {variable["name"]: variable for variable in found["variables"]}
    assert list(by_name) == list(VARIABLES)
    age = by_name["age_years"]
    assert (age["lowest"], age["highest"], age["plausible_low"], age["known_at"]) == (18, 110, 50, "preop")
    assert by_name["leak_routes"]["choices"] == ["none", "B", "S", "C", "D", "unspecified"]
    assert not any(key.startswith("_") for variable in found["variables"] for key in variable)
