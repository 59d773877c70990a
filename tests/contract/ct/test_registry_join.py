"""Which scan may fill which row of a registry: by date, by moment, and never with what an operation left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.ct.registry_join import MOST_DAYS_AFTER, MOST_DAYS_BEFORE, Joined, _join_row, join
from features.ct.scan import Scanned, measure
from features.ct.volume import Volume
from features.dictionary import VARIABLES, Moment
from tests.contract.ct.files import write_nifti

DAY = "2021-03-04"


@pytest.fixture(scope="module")
def before(trio: tuple[Volume, Volume], tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """A scan without cement."""
    folder = tmp_path_factory.mktemp("before")
    return measure(write_nifti(trio[0], folder / "ct.nii"), write_nifti(trio[1], folder / "labels.nii"))


@pytest.fixture(scope="module")
def after(treated: tuple[Path, Path]) -> Scanned:
    """A scan with cement in L1."""
    return measure(*treated)


def on(scan: Scanned, day: str | None) -> Scanned:
    return replace(scan, header=replace(scan.header, date=day))


def joined_row(scans: list[Scanned], level: str = "L1", moment: str | None = None, **row: Any) -> Joined:
    joined = Joined([{"patient_id": "anna", "level": level, "procedure_date": DAY, **row}])
    _join_row(joined, 0, 5, scans, moment)
    return joined


def reasons(joined: Joined) -> list[str]:
    assert all(row == 5 for row, _ in joined.rows_withheld)
    return [reason for _, reason in joined.rows_withheld]


def test_a_scan_from_before_fills_what_was_known_before(before: Scanned) -> None:
    joined = joined_row([on(before, "2021-02-20")])
    filled = set(joined.records[0]) - {"patient_id", "level", "procedure_date"}
    assert {"fvah_mm", "hu_l1", "cortical_disruption"} <= filled
    assert joined.filled == len(filled) and reasons(joined) == []
    assert all(VARIABLES[name].known_at <= Moment.PLANNED for name in filled)
    assert joined.provenance[0]["days_from_procedure"] == -12


def test_a_scan_from_after_fills_heights_and_proposes_the_cement(after: Scanned) -> None:
    for day in ("2021-03-05", DAY):  # on the day itself the cement tells
        joined = joined_row([on(after, day)])
        filled = set(joined.records[0]) - {"patient_id", "level", "procedure_date"}
        assert filled == {"fvah_postop_mm", "mvh_postop_mm", "wedge_angle_postop_deg", "rka_postop_deg"}
        (used,) = joined.provenance
        assert used["moment"] == "postop"
        assert {"cement_volume_ml", "leak_routes"} <= set(used["to_be_confirmed_by_a_reader"])
        assert {w["code"] for w in used["warnings"]} >= {"cement_proposed"}


def test_a_level_without_visible_cement_on_the_day_is_withheld_where_others_hold_some(after: Scanned) -> None:
    """The scan may be from after the operation: its heights are then none from before."""
    joined = joined_row([on(after, DAY)], level="L2")
    assert (reasons(joined), joined.filled, joined.provenance) == (["moment_unclear"], 0, [])
    told = joined_row([on(after, DAY)], level="L2", moment="preop")
    assert "fvah_mm" in told.records[0]
    assert "fvah_postop_mm" in joined_row([on(after, DAY)], moment="postop").records[0]


def test_the_warnings_of_a_neighbour_that_a_value_was_read_from_are_told(after: Scanned) -> None:
    (used,) = joined_row([on(after, "2021-03-01")], level="L2").provenance
    assert "adj_ah_above_mm" in used["filled"]
    assert {"code": "cement_in_body", "level": "L1"} in used["warnings"]
    assert all(warning["level"] != "T12" for warning in used["warnings"])


def test_cement_in_a_scan_from_before_is_withheld_from_its_level_alone(after: Scanned) -> None:
    joined = joined_row([on(after, "2021-03-01")])
    assert (reasons(joined), joined.filled) == (["cement_in_level"], 0)
    other = joined_row([on(after, "2021-03-01")], level="L2")
    assert reasons(other) == [] and "hu_index_vertebra" in other.records[0]
    assert other.records[0].get("hu_adjacent_mean") is None, "its only labelled neighbour holds cement"


@pytest.mark.parametrize(
    ("day", "moment", "row", "reason"),
    [
        (None, None, {}, "no_scan_date"),
        ("2021-02-20", None, {"procedure_date": None}, "no_procedure_date"),
        ("2020-10-01", None, {}, "scan_too_old"),
        ("2021-05-01", None, {}, "scan_too_late"),
        ("2021-03-10", "preop", {}, "other_moment"),
        ("2021-02-20", "postop", {}, "other_moment"),
        ("2021-02-20", None, {"level": "L4"}, "level_not_labelled"),
    ],
)
def test_what_may_not_be_used_is_withheld_with_its_reason(
    before: Scanned, day: str | None, moment: str | None, row: dict[str, Any], reason: str
) -> None:
    given = {"level": "L1", **row}
    joined = joined_row([on(before, day)], moment=moment, **given)
    assert (reasons(joined), joined.filled, joined.provenance) == ([reason], 0, [])
    text = json.dumps(joined.summary())
    assert "anna" not in text and (day is None or day not in text)


def test_a_scan_without_a_date_takes_the_moment_that_is_stated(before: Scanned, after: Scanned) -> None:
    assert joined_row([on(before, None)], moment="preop").filled > 5
    assert set(joined_row([on(after, None)], moment="postop").records[0]) >= {"fvah_postop_mm"}
    assert reasons(joined_row([on(after, None)], moment="preop")) == ["cement_in_level"]


def test_the_nearest_scan_of_each_moment_fills(before: Scanned, after: Scanned) -> None:
    far, near = on(before, "2021-01-20"), on(before, "2021-03-01")
    joined = joined_row([far, on(after, "2021-03-06"), near])
    assert [(one["moment"], one["days_from_procedure"]) for one in joined.provenance] == [("postop", 2), ("preop", -3)]
    assert {"fvah_mm", "fvah_postop_mm"} <= set(joined.records[0])


def test_the_limits_count(before: Scanned) -> None:
    assert (MOST_DAYS_BEFORE, MOST_DAYS_AFTER) == (90, 7)
    assert reasons(joined_row([on(before, "2020-12-04")])) == []
    assert reasons(joined_row([on(before, "2020-12-03")])) == ["scan_too_old"]
    assert reasons(joined_row([on(before, "2021-03-11")])) == []
    assert reasons(joined_row([on(before, "2021-03-12")])) == ["scan_too_late"]


def test_one_bad_folder_loses_nothing_of_the_others(
    trio: tuple[Volume, Volume], treated: tuple[Path, Path], tmp_path: Path
) -> None:
    """A damaged scan, labels of nothing, a scan that may not be read, and one patient with two scans."""
    for name in ("a-damaged", "b-empty", "d-looped"):
        (tmp_path / name).mkdir()
        write_nifti(trio[0], tmp_path / name / "image.nii")
        write_nifti(trio[1], tmp_path / name / "labels.nii")
    damaged = tmp_path / "a-damaged" / "image.nii"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    write_nifti(Volume(trio[1].voxels * 0, trio[1].affine), tmp_path / "b-empty" / "labels.nii")
    (tmp_path / "d-looped" / "image.nii").unlink()
    (tmp_path / "d-looped" / "image").symlink_to(tmp_path / "d-looped" / "image")
    for visit, day in (("first", "20210301"), ("second", "20210306")):
        place = tmp_path / "c-two" / visit
        place.mkdir(parents=True)
        (place / "image.json").write_text(json.dumps({"AcquisitionDate": day}))
        if visit == "second":
            (place / "image.nii.gz").write_bytes(treated[0].read_bytes())
            (place / "labels.nii.gz").write_bytes(treated[1].read_bytes())
        else:
            (place / "image.nii.gz").write_bytes(b"damaged too")
            (place / "labels.nii.gz").write_bytes(treated[1].read_bytes())
    names = ["a-damaged", "b-empty", "c-two", "d-looped"]
    rows = [{"patient_id": name, "level": "L1", "procedure_date": DAY} for name in names]
    joined = join(tmp_path, rows, [1, 2, 3, 4], lambda done, total: None)
    assert [(n, code) for n, code, _ in joined.folders_rejected] == [
        (1, "truncated"), (2, "empty_labels"), (3, "not_an_image"), (4, "incomplete"),
    ]  # fmt: skip
    assert "fvah_postop_mm" in joined.records[2] and joined.filled == 4
    assert not any(name in json.dumps(joined.summary()) for name in names)
