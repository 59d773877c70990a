"""REDCap exports: raw and label, with events, repeating instruments, checkboxes, identifiers and missing data codes."""

from __future__ import annotations

import pytest

from features.errors import InputRejected
from features.registry import read_export, write_split
from features.registry.mapping import ExportMapping
from features.registry.project import load_project
from features.registry.redcap import redcap_source
from features.registry.text import read_table
from tests.exports import DICTIONARY_HEADER, FIELDS, base, field, follow_up, vertebra, write_redcap, write_table

ROWS = [
    base("7"),
    vertebra("7", 1, "12", leak_routes___1="1", leak_routes___3="1"),
    vertebra("7", 2, "13", leak_routes___0="1"),
    follow_up("7", refracture="2", refracture_days="120"),
    base("9", sex="2", age_years="81", t_score=""),
    vertebra("9", 1, "11"),
    follow_up("9", died="1"),
]


def read(tmp_path, rows=ROWS, mapping="", **how):
    records, dictionary = write_redcap(tmp_path, rows, **how)
    rules = None
    if mapping:
        rules = tmp_path / "mapping.toml"
        rules.write_text(mapping, encoding="utf-8")
    return read_export(records, dictionary=dictionary, mapping=rules)


def reasons(export):
    return [(row.position, row.reasons) for row in export.rejected]


def test_vertebrae_are_joined_to_their_patient_and_follow_up(tmp_path):
    export = read(tmp_path)
    assert export.rejected == []
    assert export.positions.tolist() == [2, 3, 6]
    assert (len(export.rows), export.joined) == (3, 4)
    first, second, third = export.accepted
    assert first == {
        "patient_id": "7",
        "centre_id": "north_wing",
        "procedure_date": "2024-03-01",
        "age_years": 73.0,
        "sex": "female",
        "steroid_use": False,
        "t_score": -3.1,
        "level": "L1",
        "leak_routes": frozenset({"B", "D"}),
        "leak_modality": "CT",
        "refracture": "adjacent",
        "refracture_days": 120,
        "last_seen_days": 400,
        "died": False,
        "treated_count": 2,
    }
    assert second["leak_routes"] == frozenset({"none"})
    # No box checked is not the same as "none" checked: nobody looked.
    assert "leak_routes" not in third and third["died"] is True and third["treated_count"] == 1


@pytest.mark.parametrize("labelled_header", [False, True])
def test_raw_and_label_exports_give_the_same_records(tmp_path, labelled_header):
    raw = read(tmp_path)
    label = read(tmp_path, export="label", labelled_header=labelled_header)
    assert raw.accepted == label.accepted
    assert raw.positions.tolist() == label.positions.tolist()


def test_a_longer_list_of_events_is_settled_by_the_mapping(tmp_path):
    later = follow_up("7", last_seen_days="900", refracture="", redcap_event_name="two_years_arm_1")
    rows = [*ROWS[:4], later]
    several = ("several_values:last_seen_days",)
    assert reasons(read(tmp_path, rows)) == [(2, several), (3, several)]
    chosen = '[columns.last_seen_days]\nfrom = "last_seen_days"\nevent = "two_years_arm_1"\n'
    export = read(tmp_path, rows, chosen)
    assert {record["last_seen_days"] for record in export.accepted} == {900}


def test_identifiers_are_gone_before_anything_is_written(tmp_path):
    rows = [*ROWS, base("11"), vertebra("11", 1, "99"), base("12", sex="2")]
    for how in ({}, {"export": "label", "labelled_header": True}):
        export = read(tmp_path, rows, **how)
        name, code = ("Sex", "Male") if how else ("sex", "2")
        # The patient without a vertebra is rejected as he came, with each cell under its own heading.
        assert export.rejected[-1].cells[export.source_columns.index(name)] == code
        assert "identifier_dropped" in {found.code for found in export.findings}
        for path in write_split(export, tmp_path / "out"):
            assert "Canary" not in path.read_text(encoding="utf-8")
        assert not any("Canary" in cell for row in export.rows for cell in row.cells)


def test_a_record_id_that_is_an_identifier_is_replaced(tmp_path):
    records, _ = write_redcap(tmp_path, ROWS)
    secret = [field("record_id", "patient", label="Record ID", identifier="y"), *FIELDS[1:]]
    dictionary = write_table(tmp_path / "secret.csv", [DICTIONARY_HEADER, *secret])
    export = read_export(records, dictionary=dictionary)
    assert [record["patient_id"] for record in export.accepted] == ["record-1", "record-1", "record-2"]
    assert "record_id" not in export.source_columns


def test_simulated_patients_stay_simulated_when_their_record_id_is_dropped(tmp_path):
    def named(prefix):
        return [base(f"{prefix}7"), vertebra(f"{prefix}7", 1, "12"), base("8"), vertebra("8", 1, "12")]

    secret = [field("record_id", "patient", label="Record ID", identifier="y"), *FIELDS[1:]]
    dictionary = write_table(tmp_path / "secret.csv", [DICTIONARY_HEADER, *secret])
    export = read_export(write_redcap(tmp_path, named("SIM-"))[0], dictionary=dictionary)
    assert export.simulated
    assert [record["patient_id"] for record in export.accepted] == ["SIM-record-1", "record-2"]
    accepted, _ = write_split(export, tmp_path / "checked")
    assert read_export(accepted).simulated
    assert not read_export(write_redcap(tmp_path, named(""))[0], dictionary=dictionary).simulated


def test_a_dropped_pseudonym_beside_the_record_id_marks_simulated_patients(tmp_path):
    fields = [entry if entry[0] != "full_name" else field("patient_id", "patient", identifier="y") for entry in FIELDS]
    dictionary = write_table(tmp_path / "beside.csv", [DICTIONARY_HEADER, *fields])
    records, _ = write_redcap(tmp_path, ROWS)
    text = records.read_text(encoding="utf-8").replace("full_name", "patient_id")
    assert not read_export(_written(records, text), dictionary=dictionary).simulated
    export = read_export(_written(records, text.replace("Jane Canary", "SIM-000007")), dictionary=dictionary)
    assert export.simulated
    assert not any(str(record["patient_id"]).startswith("SIM-") for record in export.accepted)


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_that_belong_to_nothing_are_rejected_and_counted(tmp_path):
    rows = [base("1"), follow_up("1"), vertebra("2", 1, "12"), *ROWS]
    export = read(tmp_path, rows)
    assert reasons(export) == [(1, ("patient_without_vertebra:",)), (3, ("vertebra_without_patient:",))]
    assert len(export.rows) + export.joined == len(rows)


def test_a_row_without_record_id_is_rejected(tmp_path):
    export = read(tmp_path, [*ROWS, base("")])
    assert reasons(export) == [(8, ("record_id_missing:",))]


def test_missing_data_codes_are_unknown_and_a_projects_own_ones_can_be_named(tmp_path):
    rows = [base("7", age_years="UNK", sex="NASK"), vertebra("7", 1, "12", leak_routes___unk="1"), follow_up("7")]
    (record,) = read(tmp_path, rows).accepted
    assert not {"age_years", "sex", "leak_routes"} & set(record)
    own = [base("7", age_years="-999"), *rows[1:]]
    assert reasons(read(tmp_path, own)) == [(2, ("below_limit:age_years", "out_of_scope:age_years"))]
    (record,) = read(tmp_path, own, '[redcap]\nmissing_codes = ["-999", "UNK"]\n').accepted
    assert "age_years" not in record


def test_codes_and_labels_in_one_export_are_not_guessed_apart(tmp_path):
    rows = [base("7", sex="Female"), *ROWS[1:]]
    with pytest.raises(InputRejected) as refusal:
        read(tmp_path, rows)
    assert [found.code for found in refusal.value.findings] == ["raw_or_label"]
    export = read(tmp_path, rows, '[redcap]\nexport = "raw"\n')
    assert reasons(export) == [(2, ("unknown_choice:sex",)), (3, ("unknown_choice:sex",))]


def test_choices_that_say_nothing_in_our_words_need_the_mapping(tmp_path):
    foreign = [*FIELDS[:4], field("geschlecht", "patient", "radio", choices="1, Frau | 2, Mann"), *FIELDS[5:]]
    dictionary = write_table(tmp_path / "foreign.csv", [DICTIONARY_HEADER, *foreign])
    records, _ = write_redcap(tmp_path, ROWS)
    records.write_text(records.read_text(encoding="utf-8").replace(",sex,", ",geschlecht,"), encoding="utf-8")
    rules = tmp_path / "mapping.toml"
    rules.write_text('[columns.sex]\nfrom = "geschlecht"\n', encoding="utf-8")
    export = read_export(records, dictionary=dictionary, mapping=rules)
    assert {row.reasons for row in export.rejected} == {("unknown_choice:sex",)}
    for values in ('{ "1" = "female", "2" = "male" }', '{ Frau = "female", Mann = "male" }'):
        rules.write_text(f'[columns.sex]\nfrom = "geschlecht"\nvalues = {values}\n', encoding="utf-8")
        export = read_export(records, dictionary=dictionary, mapping=rules)
        assert [record["sex"] for record in export.accepted] == ["female", "female", "male"]


def test_a_choice_that_the_project_does_not_have_is_rejected_where_it_stands(tmp_path):
    rows = [*ROWS[:2], vertebra("7", 2, "44"), *ROWS[3:]]
    export = read(tmp_path, rows)
    assert reasons(export) == [(3, ("unknown_choice:level",))]
    # The patient lost a row, so the other one trains no refracture model; it still counts as treated.
    assert export.patient_complete.tolist() == [False, True]
    assert export.accepted[0]["treated_count"] == 2


def test_a_redcap_export_without_its_dictionary_is_refused(tmp_path):
    records, _ = write_redcap(tmp_path, ROWS)
    with pytest.raises(InputRejected) as refusal:
        read_export(records)
    assert [found.code for found in refusal.value.findings] == ["dictionary_needed"]


def test_a_ragged_row_of_an_export_with_identifiers_is_written_without_cells(tmp_path):
    records, dictionary = write_redcap(tmp_path, ROWS)
    with records.open("a", encoding="utf-8") as stream:
        stream.write("7,Jane Canary,12\n")
    export = read_export(records, dictionary=dictionary)
    assert reasons(export) == [(8, ("ragged_row:",))]
    assert export.rejected[0].cells == ()
    assert export.patient_complete.tolist() == [False, False, True]


def test_required_fields_that_are_empty_are_warned_of(tmp_path):
    export = read(tmp_path, [base("7", age_years=""), *ROWS[1:4]])
    assert {(f.code, f.variable) for row in export.rows for f in row.findings} == {("required_empty", "age_years")}
    assert len(export.accepted) == 2


def project_with(tmp_path, *replaced):
    """The data dictionary with some fields replaced, each by the one of its name."""
    fields = [next((other for other in replaced if other[0] == entry[0]), entry) for entry in FIELDS]
    return write_table(tmp_path / "changed.csv", [DICTIONARY_HEADER, *fields])


def test_a_vertebra_prefers_what_its_own_event_says(tmp_path):
    later = {**base("7", age_years="75"), "redcap_event_name": "follow_up_arm_1"}
    export = read(tmp_path, [*ROWS[:3], later])
    assert [record["age_years"] for record in export.accepted] == [73.0, 73.0]
    assert read(tmp_path, [*ROWS[:3], base("7", age_years="75")]).accepted == []


def test_a_field_marked_as_identifier_reaches_no_row_even_if_a_variable_has_its_name(tmp_path):
    dictionary = project_with(tmp_path, field("procedure_date", "patient", validation="date_dmy", identifier="y"))
    records, _ = write_redcap(tmp_path, ROWS)
    source = redcap_source(read_table(records), load_project(dictionary), ExportMapping())
    assert not any({"procedure_date", "full_name"} & set(row.fields) for row in source.rows)
    export = read_export(records, dictionary=dictionary)
    assert not any("procedure_date" in record for record in export.accepted)
    rules = tmp_path / "mapping.toml"
    rules.write_text('[columns.procedure_date]\nfrom = "Procedure Date"\n', encoding="utf-8")
    with pytest.raises(InputRejected, match="mapping names a column"):
        read_export(records, dictionary=dictionary, mapping=rules)


def test_a_label_that_two_fields_share_names_neither(tmp_path):
    dictionary = project_with(
        tmp_path,
        field("age_years", "patient", label="Number", identifier="y"),
        field("t_score", "patient", label="Number"),
    )
    records, _ = write_redcap(tmp_path, ROWS, export="label", labelled_header=True)
    header = records.read_text(encoding="utf-8").replace("T Score", "Number").replace("Age Years", "Other")
    records.write_text(header, encoding="utf-8")
    export = read_export(records, dictionary=dictionary)
    assert not any("t_score" in record for record in export.accepted)
    # One of the two identifies a patient, and nobody knows which it is.
    assert "Number" not in export.source_columns


def test_labels_and_codes_that_are_both_words_are_not_chosen_between(tmp_path):
    labels = "1, T12 | L1, somewhere | 13, L2"
    dictionary = project_with(tmp_path, field("level", "vertebra", "dropdown", choices=labels))
    records, _ = write_redcap(tmp_path, [ROWS[0], vertebra("7", 1, "13"), vertebra("7", 2, "L1"), ROWS[3]])
    export = read_export(records, dictionary=dictionary)
    assert [row.reasons for row in export.rejected] == [("unknown_choice:level",)] * 2


def test_labels_win_over_codes_because_they_are_what_was_seen_at_entry(tmp_path):
    dictionary = project_with(tmp_path, field("steroid_use", "patient", "radio", choices="1, No | 0, Yes"))
    records, _ = write_redcap(tmp_path, ROWS)
    assert {record["steroid_use"] for record in read_export(records, dictionary=dictionary).accepted} == {True}


def test_one_row_per_vertebra_needs_no_repeating_instrument(tmp_path):
    rows = [{**base(str(n)), **vertebra(str(n), 1, "12"), **follow_up(str(n))} for n in (1, 2)]
    for one in rows:
        one |= {"redcap_repeat_instrument": "", "redcap_repeat_instance": "", "redcap_event_name": ""}
    export = read(tmp_path, rows)
    assert (len(export.accepted), export.joined) == (2, 0)


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (lambda lines: [line[:4] for line in lines], "no column Choices"),
        (lambda lines: [*lines, lines[3]], "row 15 has no field name of its own"),
        (lambda lines: [*lines, lines[3][:5]], "row 15 does not fit"),
    ],
)
def test_a_damaged_data_dictionary_is_refused(tmp_path, spoil, hint):
    records, _ = write_redcap(tmp_path, ROWS)
    dictionary = write_table(tmp_path / "damaged.csv", spoil([list(DICTIONARY_HEADER), *FIELDS]))
    with pytest.raises(InputRejected, match=hint):
        read_export(records, dictionary=dictionary)
