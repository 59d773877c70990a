"""Who is counted where, what is left out and said, and what a reader gets in each format."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import TooLittleData, UsageError
from tests.builders import columns, record
from training.cohort_table import Choices, CohortTable, Row, cohort_table, command
from training.cohort_text import as_csv, as_html, as_json, as_text, lines, p_text, write
from training.simulate import command as simulate

LEAK, NONE = frozenset({"D"}), frozenset({"none"})


def people(*rows: dict[str, Any]) -> dict[str, Any]:
    return columns(*(record(**row) for row in rows))


def row_of(table: CohortTable, variable: str) -> Row:
    return next(row for row in table.rows if row.variable == variable)


def four_patients() -> dict[str, Any]:
    """a leaks at one of two vertebrae, b does not, c is not assessed, d does not and is operated on twice."""
    return people(
        {"patient_id": "a", "level": "L1", "leak_routes": LEAK, "age_years": 70.0, "planned_volume_ml": 4.0},
        {"patient_id": "a", "level": "L2", "leak_routes": NONE, "age_years": 70.0, "planned_volume_ml": 5.0},
        {"patient_id": "b", "level": "L1", "leak_routes": NONE, "age_years": 80.0, "planned_volume_ml": 6.0},
        {"patient_id": "c", "level": "L1", "leak_routes": None, "age_years": 90.0},
        {"patient_id": "d", "leak_routes": NONE, "age_years": 61.0, "procedure_date": "2024-09-01"},
        {"patient_id": "d", "leak_routes": NONE, "age_years": 60.0, "procedure_date": "2024-01-01"},
    )


def test_patients_are_counted_once_and_vertebrae_each() -> None:
    found = cohort_table(four_patients(), "leak_routes")
    assert found.groups == ("leak", "no leak")
    assert (found.patients, found.vertebrae) == ((1, 2), (1, 4))
    age, volume = row_of(found, "age_years"), row_of(found, "planned_volume_ml")
    assert (age.scope, [s.known for s in age.groups]) == ("patients", [1, 2])
    assert age.groups[1].mean == (80 + 60) / 2  # the first operation of d
    assert (volume.scope, [s.known for s in volume.groups]) == ("vertebrae", [1, 4])
    assert found.left_out["vertebrae whose group is unknown"] == 1
    assert found.left_out["patients whose group is unknown"] == 1
    assert any("1 further operations" in note for note in found.notes)


def test_a_patient_in_two_groups_is_in_neither_and_said_so() -> None:
    rows = [
        {"patient_id": "a", "level": "L1", "procedure": "PVP"},
        {"patient_id": "a", "level": "L2", "procedure": "PKP"},
        {"patient_id": "b", "procedure": "PVP"},
        {"patient_id": "c", "procedure": "PKP"},
    ]
    found = cohort_table(people(*rows), "procedure")
    assert (found.patients, found.vertebrae) == ((1, 1), (2, 2))
    assert [count for reason, count in found.left_out.items() if "several groups" in reason] == [1]
    assert "several groups" in as_text(found)


def test_unknown_values_are_counted_by_group_and_not_in_shares() -> None:
    rows = [{"patient_id": f"p{n}", "procedure": ("PVP", "PKP")[n % 2]} for n in range(8)]
    rows[0]["diabetes"] = rows[2]["diabetes"] = None  # type: ignore[assignment]
    rows[4]["diabetes"] = True  # type: ignore[assignment]
    rows[1]["t_score"] = None  # type: ignore[assignment]
    found = cohort_table(people(*rows), "procedure")
    assert [s.unknown for s in row_of(found, "diabetes").groups] == [2, 0]
    line = next(line for line in lines(found) if line.label.startswith("Diabetes"))
    assert (line.cells, line.unknown) == (("1 (50.0)", "0 (0.0)"), "2/0")
    assert [s.unknown for s in row_of(found, "t_score").groups] == [0, 1]


def test_every_vertebra_and_patient_is_somewhere() -> None:
    found = cohort_table(four_patients(), "leak_routes")
    unknown = [count for reason, count in found.left_out.items() if reason.startswith("vertebrae")]
    assert sum(found.vertebrae) + sum(unknown) == 6
    for row in found.rows:
        sizes = found.patients if row.scope == "patients" else found.vertebrae
        assert tuple(s.known + s.unknown for s in row.groups) == sizes


def test_skewed_numbers_get_median_and_rank_test_unless_told_otherwise() -> None:
    loss = [1.0, 1, 1, 2, 2, 2, 3, 3, 4, 60] * 2
    rows = [{"patient_id": f"p{n}", "procedure": ("PVP", "PKP")[n // 10], "blood_loss_ml": loss[n]} for n in range(20)]
    found = row_of(cohort_table(people(*rows), "procedure"), "blood_loss_ml")
    assert (found.form, found.comparison.test) == ("median", "Mann-Whitney")
    assert (found.groups[0].median, found.groups[0].q1, found.groups[0].q3) == (2.0, 1.25, 3.0)
    told = row_of(cohort_table(people(*rows), "procedure", Choices(centre="mean")), "blood_loss_ml")
    assert (told.form, told.comparison.test) == ("mean", "Welch t")
    student = cohort_table(people(*rows), "procedure", Choices("mean", equal_variances=True))
    assert row_of(student, "blood_loss_ml").comparison.test == "Student t"
    assert "Student's t test" in student.notes[1]


def test_what_was_not_stated_is_derived_and_what_was_stated_stays() -> None:
    rows = [
        {"patient_id": "a", "procedure": "PVP", "genant_grade": "0"},
        {"patient_id": "b", "procedure": "PKP"},
        {"patient_id": "c", "procedure": "PKP"},
    ]
    found = cohort_table(people(*rows), "procedure")
    grade = row_of(found, "genant_grade")
    assert grade.groups[0].counts == {"0": 1, "1": 0, "2": 0, "3": 0}
    assert grade.groups[1].counts == {"0": 0, "1": 0, "2": 2, "3": 0}  # 17.2 of 27 mm are left
    assert row_of(found, "ct_value_hu").groups[0].mean == 62


def test_courses_hold_each_time_with_its_number_and_the_change_in_those_who_have_both() -> None:
    rows = [
        {"patient_id": "a", "leak_routes": LEAK, "vas_preop": 8.0, "vas_d1": 3.0},
        {"patient_id": "b", "leak_routes": LEAK, "vas_preop": 7.0, "vas_d1": None},
        {"patient_id": "c", "leak_routes": NONE, "vas_preop": 6.0, "vas_d1": 2.0},
        {"patient_id": "d", "leak_routes": NONE, "vas_preop": None, "vas_d1": 2.0},
    ]
    found = cohort_table(people(*rows), "leak_routes")
    (course,) = found.courses
    assert course.times == ("before", "1 day")
    assert [[s.known for s in row.groups] for row in course.rows] == [[2, 1], [1, 2]]
    (change,) = course.changes
    assert [(s.known, s.mean) for s in change.groups] == [(1, -5.0), (1, -4.0)]
    assert not any(row.variable.startswith("vas") for row in found.rows)
    assert "change from before to 1 day" in as_text(found)


def test_a_measure_known_at_one_time_alone_is_an_ordinary_row() -> None:
    rows = [{"patient_id": p, "procedure": g, "vas_preop": 8.0} for p, g in (("a", "PVP"), ("b", "PKP"))]
    found = cohort_table(people(*rows), "procedure")
    assert found.courses == ()
    assert row_of(found, "vas_preop").scope == "patients"


def test_groups_come_in_the_order_of_the_dictionary() -> None:
    viscosities = ("high", "low", "medium", "low")
    rows = [{"patient_id": f"p{n}", "planned_viscosity": v} for n, v in enumerate(viscosities)]
    assert cohort_table(people(*rows), "planned_viscosity").groups == ("low", "medium", "high")
    flags = [{"patient_id": f"p{n}", "diabetes": n == 1} for n in range(3)]
    assert cohort_table(people(*flags), "diabetes").groups == ("yes", "no")
    counts = [{"patient_id": f"p{n}", "treated_count": n % 2 + 1} for n in range(4)]
    assert cohort_table(people(*counts), "treated_count").groups == ("1", "2")


@pytest.mark.parametrize(
    ("by", "error", "said"),
    [
        ("age_years", UsageError, "makes no groups"),
        ("patient_id", UsageError, "makes no groups"),
        ("leak_compartment", UsageError, "makes no groups"),
        ("shoe_size", UsageError, "no variable of the dictionary"),
        ("approach", TooLittleData, "does not say it"),
        ("sex", TooLittleData, "in 1 group"),
    ],
)
def test_what_makes_no_comparison_is_refused(by: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        cohort_table(four_patients(), by)


def test_more_groups_than_can_be_read_are_refused() -> None:
    rows = [{"patient_id": f"p{n}", "centre_id": f"c{n:02d}"} for n in range(13)]
    with pytest.raises(UsageError, match="13 groups"):
        cohort_table(people(*rows), "centre_id")


def test_rows_in_any_order_give_the_same_table() -> None:
    there = four_patients()
    back = {name: values[::-1] for name, values in there.items()}
    assert as_json(cohort_table(there, "leak_routes")) == as_json(cohort_table(back, "leak_routes"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> CohortTable:
    folder = tmp_path_factory.mktemp("cohort")
    simulate(60, 4, folder, None, True, lambda message: None)
    return command(folder / "registry.csv", "leak_routes")


def test_an_export_is_compared_with_its_rejected_rows_counted(simulated: CohortTable) -> None:
    assert simulated.left_out["rows rejected by the check"] > 0
    assert sum(simulated.vertebrae) > 40
    assert any("Simulated patients" in note for note in simulated.notes)


def test_csv_has_one_width_and_every_line(simulated: CohortTable) -> None:
    rows = list(csv.reader(as_csv(simulated).splitlines()))
    wide = [row for row in rows if len(row) == len(simulated.groups) + 4]
    assert len(wide) == 1 + len(list(lines(simulated)))
    assert rows[len(wide) :] == [[note] for note in as_text(simulated).splitlines()[-(len(rows) - len(wide)) :]]


def test_html_is_well_formed_and_stands_alone(simulated: CohortTable) -> None:
    class Reader(HTMLParser):
        depth, cells = 0, 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.depth += tag != "meta"
            self.cells += tag in ("td", "th")
            assert not {"src", "href"} & {name for name, _ in attrs}

        def handle_endtag(self, tag: str) -> None:
            self.depth -= 1

    reader = Reader()
    reader.feed(as_html(simulated))
    assert reader.depth == 0
    assert reader.cells > 5 * len(simulated.rows)


def test_names_from_an_export_are_escaped_for_pages_and_spreadsheets() -> None:
    rows = [{"patient_id": f"p{n}", "centre_id": ("=1+1", "<b>x</b>")[n % 2]} for n in range(4)]
    found = cohort_table(people(*rows), "centre_id")
    assert "<b>x" not in as_html(found)
    header = next(csv.reader(as_csv(found).splitlines()))
    assert any(cell.startswith("'=1+1") for cell in header)


def test_no_identifier_of_a_patient_is_in_any_format(simulated: CohortTable) -> None:
    for content in (as_text(simulated), as_csv(simulated), as_html(simulated), json.dumps(as_json(simulated))):
        assert "SIM-" not in content


def test_json_holds_every_number_and_null_for_none(simulated: CohortTable) -> None:
    found = json.loads(json.dumps(as_json(simulated), allow_nan=False))
    assert len(found["rows"]) == len(simulated.rows)
    assert found["rows"][0]["groups"][0]["mean"] == pytest.approx(simulated.rows[0].groups[0].mean)


@pytest.mark.parametrize("ending", ["csv", "html", "json", "txt"])
def test_the_ending_says_what_is_written(simulated: CohortTable, tmp_path: Path, ending: str) -> None:
    write(simulated, tmp_path / f"t.{ending}")
    content = (tmp_path / f"t.{ending}").read_text(encoding="utf-8")
    starts = {"csv": "variable,", "html": "<!doctype", "json": "{", "txt": "Compared by"}
    assert content.startswith(starts[ending])
    assert content.endswith("\n")


def test_an_ending_that_says_nothing_is_refused(simulated: CohortTable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.html"):
        write(simulated, tmp_path / "t.docx")
    assert not list(tmp_path.iterdir())


def test_p_values_are_printed_as_papers_do() -> None:
    assert [p_text(p) for p in (0.00099, 0.001, 0.0494, 1.0, np.nan)] == ["<0.001", "0.001", "0.049", "1.000", ""]
