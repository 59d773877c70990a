"""Mapping files: what each key does, and all faults of a file at once."""

from __future__ import annotations

import pytest

from features.dictionary import VARIABLES
from features.errors import InputRejected, UsageError
from features.registry import read_export
from features.registry.mapping import is_compression_rate, parse_mapping
from features.units import convertible
from tests.exports import write_table

CONTRACT = """
[columns.age_years]
from = "Age"
[columns.sex]
from = "Sex"
values = { "1" = "female", "0" = "male" }
[columns.t_score]
from = "BMD"
scale = -1.0
[columns.fvah_mm]
from = "AH"
unit = "cm"
[columns.leak_routes]
from = "Leakage"
values = { "0" = "none", "1" = "unspecified" }
[columns.procedure_date]
from = "Date"
[columns.patient_id]
from = "No"
[columns.level]
from = "Level"
[constants]
centre_id = "site-1"
leak_modality = "CT"
[dates]
format = "%d/%m/%Y"
"""
HEADER = ["No", "Date", "Level", "Age", "Sex", "BMD", "AH", "Leakage", "Ward"]
CELLS = ["1", "03/02/2024", "l1", "73", "1", "2.6", "2.3", "1", "7"]


def read(tmp_path, mapping=CONTRACT, header=HEADER, *lines):
    path = write_table(tmp_path / "export.csv", [header, *(lines or [CELLS])])
    rules = tmp_path / "mapping.toml"
    rules.write_text(mapping, encoding="utf-8")
    return read_export(path, mapping=rules)


def reasons(export):
    return [row.reasons for row in export.rejected]


def test_the_example_of_the_contract(tmp_path):
    export = read(tmp_path)
    assert export.accepted == [
        {
            "patient_id": "1",
            "centre_id": "site-1",
            "procedure_date": "2024-02-03",
            "level": "L1",
            "age_years": 73.0,
            "sex": "female",
            "t_score": -2.6,
            "fvah_mm": 23.0,
            "leak_routes": frozenset({"unspecified"}),
            "leak_modality": "CT",
            "treated_count": 1,
        }
    ]
    assert export.unmapped == ("Ward",)


def test_a_word_that_values_does_not_name_is_rejected_even_if_it_is_ours(tmp_path):
    export = read(tmp_path, CONTRACT, HEADER, [*CELLS[:4], "female", *CELLS[5:]])
    assert reasons(export) == [("unknown_choice:sex",)]
    assert read(tmp_path, CONTRACT, HEADER, [*CELLS[:4], "", *CELLS[5:]]).accepted[0].get("sex") is None


def test_values_translate_words_of_numbers_and_of_lists(tmp_path):
    mapping = CONTRACT.replace('unit = "cm"', 'unit = "cm"\nvalues = { "n/a" = "" }').replace(
        'values = { "0" = "none", "1" = "unspecified" }', 'separator = ","\nvalues = { vein = "B;S", disc = "D" }'
    )
    export = read(tmp_path, mapping, HEADER, [*CELLS[:6], "n/a", "disc, vein", ""])
    (record,) = export.accepted
    assert "fvah_mm" not in record
    assert record["leak_routes"] == frozenset({"B", "S", "D"})


def test_months_become_the_days_of_the_horizons(tmp_path):
    mapping = CONTRACT + '[columns.last_seen_days]\nfrom = "Months"\nunit = "months"\n'
    for months, days in (("3", 91), ("12", 365), ("24", 730)):
        (record,) = read(tmp_path, mapping, [*HEADER, "Months"], [*CELLS, months]).accepted
        assert record["last_seen_days"] == days
        assert isinstance(record["last_seen_days"], int)


@pytest.mark.parametrize(("direction", "expected"), [("remaining", 72.0), ("lost", 28.0)])
def test_a_compression_rate_needs_its_direction(tmp_path, direction, expected):
    column = '[columns.avhr_pct]\nfrom = "Compression Rate (%)"\n'
    with pytest.raises(InputRejected) as refusal:
        read(tmp_path, CONTRACT + column, [*HEADER, "Compression Rate (%)"], [*CELLS, "72"])
    assert [found.code for found in refusal.value.findings] == ["compression_rate_direction"]
    mapping = f'{CONTRACT}{column}direction = "{direction}"\n'
    (record,) = read(tmp_path, mapping, [*HEADER, "Compression Rate (%)"], [*CELLS, "72"]).accepted
    assert record["avhr_pct"] == expected


@pytest.mark.parametrize(
    "name", ["compression_rate", "CompressionRate", "compress ratio", "Compression-Rate(%)", "压缩率"]
)
def test_compression_rates_are_known_in_any_spelling(name):
    assert is_compression_rate(name)


def test_no_variable_of_the_dictionary_is_taken_for_a_compression_rate():
    names = [name for variable in VARIABLES.values() for name in (variable.name, *variable.aliases)]
    assert not list(filter(is_compression_rate, names))


def test_an_absent_mapped_column_is_an_error(tmp_path):
    with pytest.raises(InputRejected, match="mapping names a column"):
        read(tmp_path, CONTRACT.replace('"AH"', '"Height"'))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("columns = 3", "[columns] must be a table"),
        ("[colums.age_years]\nfrom = 'Age'", "unknown key colums"),
        ("[columns.shoe_size]\nfrom = 'S'", "no such variable"),
        ("[columns.ct_value_hu]\nfrom = 'CT'", "always computed"),
        ("[columns.age_years]\nscale = 1", "needs from"),
        ("[columns.age_years]\nfrom = 'A'\nfactor = 2", "unknown key factor"),
        ("[columns.age_years]\nfrom = 'A'\nscale = true", "scale must be a number"),
        ("[columns.age_years]\nfrom = 'A'\nscale = 0", "scale must be a number"),
        ("[columns.sex]\nfrom = 'A'\nscale = 2", "only a number"),
        ("[columns.sex]\nfrom = 'A'\nvalues = { '1' = 2 }", "values must be"),
        ("[columns.fvah_mm]\nfrom = 'A'\nunit = 'inch'", "unit must be one of mm, cm, m"),
        ("[columns.sex]\nfrom = 'A'\nunit = 'mm'", "no unit"),
        ("[columns.avhr_pct]\nfrom = 'A'\ndirection = 'up'", "direction must be"),
        ("[columns.fvah_mm]\nfrom = 'A'\ndirection = 'lost'", "direction is for"),
        ("[constants]\nsex = 'neither'", "is not a value"),
        ("[constants]\nnobody = '1'", "no such variable"),
        ("[dates]\nformat = '%d/%m'", "day, month and year"),
        ("[redcap]\nexport = 'both'", "export must be"),
        ("[redcap]\nmissing_codes = '-9'", "must be a list"),
        ("[columns.sex]\nfrom = 'A'\n[constants]\nsex = 'male'", "both mapped and constant"),
        ("not toml", "not TOML"),
    ],
)
def test_faults_of_a_mapping_are_named(text, complaint):
    with pytest.raises(UsageError) as caught:
        parse_mapping(text)
    assert complaint in str(caught.value)


def test_all_faults_of_a_mapping_are_named_at_once():
    with pytest.raises(UsageError) as caught:
        parse_mapping("[columns.shoe_size]\nfrom = 'S'\n[dates]\nformat = '%d'\n[redcap]\nexport = 'both'")
    assert len(str(caught.value).splitlines()) == 4


def test_units_convert_to_the_dictionarys_own():
    assert convertible(VARIABLES["fvah_mm"]) == {"mm": 1.0, "cm": 10.0, "m": 1000.0}
    assert convertible(VARIABLES["height_cm"])["m"] == 100.0
    assert convertible(VARIABLES["vitamin_d_nmol_l"])["ng/mL"] == 2.496
    assert convertible(VARIABLES["haemoglobin_g_l"])["g/dL"] == 10.0
    assert all(convertible(variable).get(variable.unit, 1.0) == 1.0 for variable in VARIABLES.values())
