"""Labels that do not belong to the scan, and scans that are no CT, are not measured silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.ct.agreement import check_bone, check_origin
from features.ct.decode import decode
from features.ct.labels import Labels, understand
from features.ct.limits import Limits
from features.ct.raw import Header
from features.ct.volume import Volume
from features.errors import ImageRejected
from tests.contract.ct.files import SERIES, edit_all, volume_of, write_seg, write_series

DATA = Path(__file__).parents[2] / "data" / "ct"
NAMES = {19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}
LEVELS = ("L2", "L3", "L4")


@pytest.fixture(scope="module")
def real() -> tuple[Volume, Volume]:
    return volume_of(DATA / "example_ct.nii.gz"), volume_of(DATA / "example_vertebrae.nii.gz")


def moved(labels: Volume, by_mm: tuple[float, float, float]) -> Labels:
    """The labels beside their place, padded, so that grid and shape are no longer the scan's."""
    affine = labels.affine.copy()
    affine[:3, 3] += by_mm - affine[:3, :3] @ np.full(3, 2.0)
    return understand(Volume(np.pad(labels.voxels, 2), affine), {}, "verse", {})


def test_labels_in_place_bring_no_warning(real: tuple[Volume, Volume], trio: tuple[Volume, Volume]) -> None:
    assert check_bone(real[0], moved(real[1], (0, 0, 0)), LEVELS) == []
    for level in LEVELS:
        assert check_bone(real[0], moved(real[1], (0, 0, 0)), (level,)) == []
    found = understand(trio[1], {}, "verse", {})
    assert check_bone(trio[0], found, tuple(found.boxes)) == []


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("step", [-12.0, -6.0, 6.0, 12.0])
def test_labels_beside_the_bone_are_refused(real: tuple[Volume, Volume], axis: int, step: float) -> None:
    by = np.zeros(3)
    by[axis] = step
    with pytest.raises(ImageRejected) as caught:
        check_bone(real[0], moved(real[1], tuple(by)), LEVELS)
    assert caught.value.findings[0].code == "labels_not_on_bone"


def test_one_label_beside_the_bone_among_right_ones_is_warned_of(real: tuple[Volume, Volume]) -> None:
    voxels = np.array(real[1].voxels)
    wrong = np.roll(np.where(voxels == 21, 1, 0), 3, axis=1)
    voxels[voxels == 21] = 0
    voxels[(wrong == 1) & (voxels == 0)] = 21
    found = understand(Volume(voxels, real[1].affine), {}, "verse", {})
    assert check_bone(real[0], found, ("L1", "L2", "L3", "L4", "L5")) == ["L2"]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda hu: hu + 1024, "not_ct"),
        (lambda hu: hu / 2, "not_ct"),
        (lambda hu: np.clip(600 - hu, 0, 1000), "not_ct"),
        (lambda hu: -hu, "labels_not_on_bone"),
        (lambda hu: np.full_like(hu, 40), "labels_not_on_bone"),
    ],
)
def test_grey_values_of_no_ct_are_refused(real: tuple[Volume, Volume], made: object, code: str) -> None:
    changed = Volume(made(real[0].voxels.astype(np.float32)), real[0].affine)  # type: ignore[operator]
    with pytest.raises(ImageRejected) as caught:
        check_bone(changed, understand(real[1], {}, "verse", {}), LEVELS)
    assert caught.value.findings[0].code == code


def read(path: Path, folder: Path, role: str) -> Header:
    place = folder / f"{path.name}-{role}"
    place.mkdir()
    return decode(path, place, role, Limits())


@pytest.fixture(scope="module")
def headers(real: tuple[Volume, Volume], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Header]:
    """Headers as read from files: a series, a segmentation of it, and of copies with other identifiers."""
    folder = tmp_path_factory.mktemp("origin")
    scan, labels = (Volume(v.voxels[:, :, 40:46], v.affine) for v in real)
    changes = {
        "own": {},
        "other_frame": {"FrameOfReferenceUID": f"{SERIES}.90"},
        "other_series": {"SeriesInstanceUID": f"{SERIES}.91"},
        "unknown_frame": {"SeriesInstanceUID": f"{SERIES}.92", "FrameOfReferenceUID": ""},
    }
    found = {}
    for name, change in changes.items():
        series = edit_all(write_series(scan, folder / name), **change)
        found[name] = read(series, folder, "image")
        if name == "own":
            found["seg"] = read(write_seg(labels, series, folder / "seg.dcm", NAMES), folder, "labels")
    return found


def test_a_segmentation_of_the_series_is_taken(headers: dict[str, Header]) -> None:
    assert check_origin(headers["own"], headers["seg"]) == []
    assert headers["seg"].series == headers["own"].series and headers["seg"].frame_of_reference
    assert set(headers["seg"].instances) <= set(headers["own"].instances)
    assert "1.2.826" not in repr(headers)


def test_a_segmentation_of_another_scan_is_refused(headers: dict[str, Header]) -> None:
    for name in ("other_frame", "unknown_frame"):
        with pytest.raises(ImageRejected) as caught:
            check_origin(headers[name], headers["seg"])
        assert caught.value.findings[0].code == "labels_other_scan"


def test_a_segmentation_of_another_series_in_the_same_coordinates_is_warned_of(headers: dict[str, Header]) -> None:
    assert check_origin(headers["other_series"], headers["seg"]) == ["labels_of_other_series"]
    other_images = replace(headers["own"], instances=("0" * 16,))
    assert check_origin(other_images, headers["seg"]) == ["labels_of_other_series"]
    assert check_origin(replace(headers["other_frame"], source="nifti"), headers["seg"]) == []
