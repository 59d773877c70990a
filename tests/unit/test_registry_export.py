"""Flat exports: files that cannot be used, rows that are rejected, and what is taken from the file itself."""

from __future__ import annotations

import pytest

from features.errors import InputRejected, UsageError
from features.registry import read_export, write_split
from features.registry.text import MAX_BYTES, read_table
from tests.exports import row, write_flat, write_table


def flat(tmp_path, *rows):
    return read_export(write_flat(tmp_path / "export.csv", rows))


def reasons(export):
    return [(one.position, one.reasons) for one in export.rejected]


def warnings(export):
    return {(found.row, found.code, found.variable) for found in export.all_findings if not found.rejects}


def refusal(tmp_path, content, **options):
    path = tmp_path / "export.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputRejected) as caught:
        read_table(path, **options) if options else read_export(path)
    (found,) = caught.value.findings
    return found.code, str(caught.value)


HEADER = "patient_id,level,age_years\n"


@pytest.mark.parametrize(
    ("content", "code", "hint"),
    [
        (b"", "empty_file", "export it again"),
        (b"\xef\xbb\xbf\r\n \n", "empty_file", "export it again"),
        (HEADER, "header_only", "records"),
        ((HEADER + "P1,L1,70\n").encode("utf-16"), "not_utf8", "UTF-16"),
        ((HEADER + "P1,L1,70\n").encode("utf-16-le"), "not_utf8", "UTF-16"),
        ((HEADER + "病人甲,L1,70\n").encode("gb18030"), "not_utf8", "GB18030"),
        ((HEADER + "Müller,L1,70\n").encode("cp1252"), "not_utf8", "Windows-1252"),
        (HEADER + "P1,L1,7\x000\n", "nul_bytes", "CSV (UTF-8)"),
        ("patient_id;level;age_years\nP1;L1;70\n", "not_comma_separated", "commas"),
        (HEADER + 'P1,"L1,70\n', "not_csv", "quote"),
        ("patient_id,level,level\nP1,L1,L2\n", "duplicate_column", "columns 2 and 3"),
        ("patient_id,age_years\nP1,70\n", "missing_column", "level"),
        ("Jane Canary,L1,70\nJohn Canary,L2,71\n", "missing_column", "patient_id"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_what_to_do(tmp_path, content, code, hint):
    found, message = refusal(tmp_path, content)
    assert found == code
    assert hint in message
    assert "Canary" not in message


def test_a_file_beyond_the_cap_is_refused_before_it_is_read(tmp_path):
    assert refusal(tmp_path, HEADER + "P1,L1,70\n" * 200_000, max_bytes=1024**2)[0] == "too_large"
    assert MAX_BYTES >= 100 * 1024**2


def test_no_file_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError):
        read_export(tmp_path / "nowhere.csv")


def test_the_byte_order_mark_of_excel_is_no_part_of_the_first_name(tmp_path):
    path = write_table(tmp_path / "bom.csv", [list(row()), list(row().values())], encoding="utf-8-sig")
    assert len(read_export(path).accepted) == 1


def test_a_plain_row_becomes_a_record(tmp_path):
    export = flat(tmp_path, row(treated_count=""))
    assert export.accepted == [
        {
            "patient_id": "P1",
            "procedure_date": "2024-03-01",
            "level": "L1",
            "age_years": 73.0,
            "sex": "female",
            "leak_routes": frozenset({"B", "D"}),
            "leak_modality": "CT",
            "refracture": "none",
            "last_seen_days": 400,
            "died": False,
            "treated_count": 1,
        }
    ]
    assert export.columns()["age_years"].tolist() == [73.0]


def test_a_comma_at_the_end_shifts_nothing(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("patient_id,level,age_years\nP1,L1,70,\nP2,L2\nP3,L3,71\n,,\n\nP4,L4,72\n", encoding="utf-8")
    export = read_export(path)
    assert reasons(export) == [(1, ("ragged_row:",)), (2, ("ragged_row:",)), (4, ("empty_row:",))]
    assert [(p, r["level"]) for p, r in zip(export.positions, export.accepted, strict=True)] == [(3, "L3"), (5, "L4")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"patient_id": ""}, "required:patient_id"),
        ({"level": ""}, "required:level"),
        ({"level": "L9"}, "unknown_choice:level"),
        ({"age_years": "73,5"}, "not_a_number:age_years"),
        ({"sex": "1"}, "unknown_choice:sex"),
        ({"died": "2"}, "not_a_flag:died"),
        ({"procedure_date": "01/03/2024"}, "not_a_date:procedure_date"),
        ({"procedure_date": "2024-02-30"}, "not_a_date:procedure_date"),
        ({"procedure_date": "20240301"}, "not_a_date:procedure_date"),
        ({"last_seen_days": "30.5"}, "not_an_integer:last_seen_days"),
        ({"leak_routes": "C,S"}, "unknown_choice:leak_routes"),
        ({"leak_modality": ""}, "route_without_modality:leak_modality"),
        ({"refracture": "same", "refracture_days": "-3"}, "refracture_before_procedure:refracture_days"),
        ({"age_years": "45"}, "out_of_scope:age_years"),
        ({"fvah_mm": "1.9"}, "below_limit:fvah_mm"),
    ],
)
def test_a_bad_row_is_rejected_for_its_reason_and_the_others_stay(tmp_path, change, reason):
    export = flat(tmp_path, row(patient_id="P0"), row(**change), row(patient_id="P2"))
    ((position, found),) = reasons(export)
    assert position == 2
    assert reason in found
    assert len(export.accepted) == 2


def test_all_faults_of_a_row_are_named_and_none_that_follows_from_another(tmp_path):
    export = flat(tmp_path, row(age_years="old", refracture="same", refracture_days="soon"))
    assert reasons(export) == [(1, ("not_a_number:age_years", "not_a_number:refracture_days"))]


def test_a_duplicated_vertebra(tmp_path):
    assert reasons(flat(tmp_path, row(), row())) == [(2, ("duplicate_vertebra:level",))]
    export = flat(tmp_path, row(fvah_mm="19"), row(fvah_mm="20"), row(level="L2", fvah_mm=""))
    assert reasons(export) == [(1, ("duplicate_vertebra:level",)), (2, ("duplicate_vertebra:level",))]
    assert export.accepted[0]["treated_count"] == 2  # two levels, however often one is written
    assert export.patient_complete.tolist() == [False]


@pytest.mark.parametrize(
    ("broken", "complete"),
    [
        ({"procedure_date": "2024-09-01", "fvah_mm": "1.9"}, [True, False]),
        ({"procedure_date": "2024-03-01", "fvah_mm": "1.9"}, [False, True]),
        ({"procedure_date": ""}, [False, False]),
        ({"procedure_date": "soon"}, [False, False]),
    ],
)
def test_an_operation_is_complete_whatever_is_rejected_of_another_one(tmp_path, broken, complete):
    later = row(procedure_date="2024-09-01", level="L3")
    export = flat(tmp_path, row(), row(level="L2", **{"procedure_date": "2024-03-01"} | broken), later)
    assert [found.position for found in export.rejected] == [2]
    assert export.patient_complete.tolist() == complete


def test_a_simulated_patient_is_noticed_on_a_rejected_row_too(tmp_path):
    assert flat(tmp_path, row(), row(patient_id="SIM-000001", sex="x")).simulated
    assert not flat(tmp_path, row(), row(patient_id="XSIM-1")).simulated


def test_what_a_patient_has_on_one_row_holds_for_all_rows_of_the_operation(tmp_path):
    export = flat(tmp_path, row(t_score="-3.0"), row(level="L2", procedure_date="", t_score=""))
    assert [record["t_score"] for record in export.accepted] == [-3.0, -3.0]
    assert [record["treated_count"] for record in export.accepted] == [2, 2]
    filled = {(2, "filled_from_patient", name) for name in ("t_score", "procedure_date")}
    assert filled <= warnings(export)


def test_rows_that_disagree_about_their_patient_are_all_rejected(tmp_path):
    export = flat(tmp_path, row(), row(level="L2", age_years="74"), row(patient_id="P2"))
    assert reasons(export) == [(1, ("differs_within_patient:age_years",)), (2, ("differs_within_patient:age_years",))]


def test_two_procedure_dates_are_two_operations(tmp_path):
    rows = [row(), row(procedure_date="2024-09-01", age_years="74"), row(procedure_date="", level="L3")]
    export = flat(tmp_path, *rows)
    assert reasons(export) == [(3, ("operation_unknown:procedure_date",))]
    assert [record["treated_count"] for record in export.accepted] == [1, 1]
    assert (1, "several_operations", "procedure_date") in warnings(export)


def test_seven_vertebrae(tmp_path):
    levels = ["T10", "T11", "T12", "L1", "L2", "L3", "L4"]
    export = flat(tmp_path, *(row(level=level) for level in levels))
    assert {one.reasons for one in export.rejected} >= {("above_limit:treated_count", "too_many_vertebrae:level")}
    assert len(export.rejected) == 7


def test_t_scores_without_their_minus_reject_the_whole_export(tmp_path):
    rows = [row(patient_id=f"P{number}", t_score=score) for number, score in enumerate(["0.9", "2.6", "3.1"])]
    export = flat(tmp_path, *rows)
    assert export.accepted == []
    assert all("t_score_sign:t_score" in one.reasons for one in export.rejected)


def test_what_is_kept_is_judged_as_a_whole_too(tmp_path):
    """Rows rejected for other reasons must not lend their sign to those that stay: the kept ones are read again."""
    low = [row(patient_id=f"P{number}", t_score="-3.0", sex="3") for number in range(3)]
    export = flat(tmp_path, *low, row(patient_id="P8", t_score="0.8"), row(patient_id="P9", t_score="0.9"))
    assert export.accepted == []
    assert export.rows[-1].reasons == ("t_score_sign:t_score",)


def test_columns_that_feed_nothing_are_listed_and_never_an_error(tmp_path):
    export = flat(tmp_path, row(remark="x", compression_rate="71", ct_value_hu="80"))
    assert export.unmapped == ("remark", "compression_rate", "ct_value_hu")
    assert len(export.accepted) == 1
    assert {code for _, code, _ in warnings(export)} == {"compression_rate_ignored", "derived_ignored"}


def test_aliases_are_read_and_never_beside_the_name_itself(tmp_path):
    export = flat(tmp_path, row(refracture="same", time_to_event_days="30"))
    assert export.accepted[0]["refracture_days"] == 30
    with pytest.raises(InputRejected):
        flat(tmp_path, row(refracture="same", time_to_event_days="30", refracture_days="30"))


def test_the_rejected_file_holds_rows_as_they_came(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text('patient_id,level,age_years\nP1,L1," 7O "\nP2,L2,70\nP3,L3,70,\n', encoding="utf-8")
    accepted, rejected = write_split(read_export(path), tmp_path / "out")
    assert rejected.read_text(encoding="utf-8").splitlines() == [
        "row,reasons,patient_id,level,age_years",
        "1,not_a_number:age_years,P1,L1, 7O ",
        "3,ragged_row:,P3,L3,70,",
    ]
    kept = accepted.read_text(encoding="utf-8").splitlines()
    assert kept == ["patient_id,age_years,treated_count,level", "P2,70.0,1,L2"]
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["accepted.csv", "rejected.csv"]


def test_nothing_half_written_stays_when_writing_fails(tmp_path, monkeypatch):
    export = flat(tmp_path, row())
    out = tmp_path / "out"
    write_split(export, out)
    before = (out / "accepted.csv").read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_split(flat(tmp_path, row(level="L2")), out)
    assert (out / "accepted.csv").read_bytes() == before
    assert sorted(one.name for one in out.iterdir()) == ["accepted.csv", "rejected.csv"]
