"""The example scan of TotalSegmentator, beside that project's own read-out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.ct.labels import understand
from features.ct.limits import Limits
from features.ct.measure import measure_all
from features.ct.sandbox import opened
from features.ct.scan import measure_scan

DATA = Path(__file__).parents[2] / "data" / "ct"
LEVELS = ("L1", "L2", "L3", "L4", "L5")
#: The read-out measures at these shares of the depth from behind, we from corner to corner.
THEIR_PLACES = {"anterior": 0.85, "middle": 0.5, "posterior": 0.15}
NAMES = {"anterior": "fvah_mm", "middle": "mvh_mm", "posterior": "pvh_mm"}
CLOSE_MM = 3.0


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    overlay = tmp_path_factory.mktemp("overlay") / "scan.png"
    found = measure_scan(DATA / "example_ct.nii.gz", DATA / "example_vertebrae.nii.gz", overlay=overlay)
    assert overlay.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in overlay.parent.iterdir()] == ["scan.png"]
    return found


@pytest.fixture(scope="module")
def theirs() -> dict[str, float]:
    return dict(json.loads((DATA / "spine_report.json").read_text(encoding="utf-8"))["results"])


def value(report: dict[str, Any], level: str, name: str) -> float:
    (vertebra,) = (v for v in report["vertebrae"] if v["level"] == level)
    return float(vertebra["values"][name]["value"])


@pytest.fixture(scope="module")
def at_their_places() -> dict[tuple[str, str], float]:
    """Heights (mm) between the measured endplates where the read-out measures them."""
    with (
        opened(DATA / "example_ct.nii.gz", "image", Limits()) as (scan, _),
        opened(DATA / "example_vertebrae.nii.gz", "labels", Limits()) as (marked, _),
    ):
        found, failed = measure_all(scan, understand(marked, {}, "verse", {}), LEVELS, lambda _: None)
    assert failed == {}
    heights = {}
    for level, one in found.items():
        assert one.heights is not None
        front, back = one.heights.corners[:2, 0].mean(), one.heights.corners[4:, 0].mean()
        for place, share in THEIR_PLACES.items():
            y = float(back + share * (front - back))
            heights[level, place] = one.plates[0].at(y) - one.plates[1].at(y)
    return heights


def test_thirteen_corner_heights_lie_by_the_read_out_and_the_guide_names_the_others(
    report: dict[str, Any], theirs: dict[str, float]
) -> None:
    apart = {
        (level, place)
        for level in LEVELS
        for place, name in NAMES.items()
        if abs(value(report, level, name) - theirs[f"vertebrae_{level}_height_{place}_mm"]) > CLOSE_MM
    }
    assert len(apart) <= 2
    guide = (Path(__file__).parents[3] / "docs" / "ct.md").read_text(encoding="utf-8")
    words = {"anterior": "in front", "middle": "in the middle", "posterior": "behind"}
    assert all(f"{level} {words[place]}" in guide for level, place in apart)


@pytest.mark.parametrize("level", LEVELS)
def test_where_the_read_out_measures_all_heights_lie_by_it(
    at_their_places: dict[tuple[str, str], float], theirs: dict[str, float], level: str
) -> None:
    for place in THEIR_PLACES:
        gap = at_their_places[level, place] - theirs[f"vertebrae_{level}_height_{place}_mm"]
        assert abs(gap) <= CLOSE_MM, place


@pytest.mark.parametrize("level", LEVELS)
def test_volume_and_ct_value_are_those_of_trabecular_bone(
    report: dict[str, Any], theirs: dict[str, float], level: str
) -> None:
    assert value(report, level, "vertebral_volume_ml") == pytest.approx(
        theirs[f"vertebrae_{level}_volume_ml"], rel=0.06
    )
    hu = value(report, level, "hu_index_vertebra")
    assert 60 < hu < theirs[f"vertebrae_{level}_intensity_median"] + 5


def test_t12_is_cut_and_gets_no_height(report: dict[str, Any]) -> None:
    (t12,) = (v for v in report["vertebrae"] if v["level"] == "T12")
    assert not {"fvah_mm", "mvh_mm", "pvh_mm", "vertebral_volume_ml", "wedge_angle_deg"} & set(t12["values"])
    assert "cut_by_field_of_view" in {w["code"] for w in t12["warnings"]}
    assert 60 < t12["values"]["hu_index_vertebra"]["value"] < 140


def test_the_fractured_l1_is_recognised_and_l2_gives_the_patients_ct_value(report: dict[str, Any]) -> None:
    (l1,) = (v for v in report["vertebrae"] if v["level"] == "L1")
    assert l1["derived"]["genant_grade"]["value"] >= 1
    assert "L2" in report["patient"]["values"]["hu_l1"]["method"]
    assert "sclerosis" in {w["code"] for w in l1["warnings"]}
    assert "adj_ah_above_mm" not in l1["values"]
