"""One scan in every format gives one answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.ct.limits import Limits
from features.ct.sandbox import opened
from features.ct.scan import measure_scan
from features.ct.volume import Volume
from tests.contract.ct.files import SYNTAXES, volume_of, write_enhanced, write_nifti, write_seg, write_series

DATA = Path(__file__).parents[2] / "data" / "ct"
NAMES = {19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}


@pytest.fixture(scope="module")
def real() -> tuple[Volume, Volume]:
    """The example scan (its few voxels beyond 13 bits clipped) and its labels."""
    scan = volume_of(DATA / "example_ct.nii.gz")
    return Volume(np.clip(scan.voxels, -1200, 3390), scan.affine), volume_of(DATA / "example_vertebrae.nii.gz")


def few(volume: Volume, count: int) -> Volume:
    return Volume(volume.voxels[:, :, :count], volume.affine)


@pytest.mark.parametrize("syntax", list(SYNTAXES))
def test_each_transfer_syntax_gives_the_same_hu_and_geometry(
    real: tuple[Volume, Volume], syntax: str, tmp_path: Path
) -> None:
    scan = few(real[0], 12)
    series = write_series(scan, tmp_path / "series", syntax)
    with opened(series, "image", Limits()) as (read, header):
        assert np.array_equal(read.voxels, scan.voxels)
        assert np.allclose(read.affine, scan.affine, atol=1e-6)
    assert (header.acquisition.kvp, header.acquisition.kernel) == (120.0, "B30f")


def test_the_whole_scan_as_enhanced_file_zip_and_segmentation_measures_as_nifti(
    real: tuple[Volume, Volume], tmp_path: Path
) -> None:
    scan, labels = real
    series = write_series(scan, tmp_path / "series", "jpeg2000")
    seg = write_seg(labels, series, tmp_path / "labels.dcm", NAMES)
    packed = Path(shutil.make_archive(str(tmp_path / "series"), "zip", series))
    reports = [
        measure_scan(write_nifti(scan, tmp_path / "ct.nii.gz"), DATA / "example_vertebrae.nii.gz", level="L3"),
        measure_scan(packed, seg, level="L3"),
        measure_scan(write_enhanced(scan, tmp_path / "enhanced.dcm"), seg, level="L3"),
    ]
    first, *others = [numbers(report) for report in reports]
    assert len(first) > 8
    for other in others:
        assert other.keys() == first.keys()
        for name, value in first.items():
            assert other[name] == pytest.approx(value, abs=1e-6), name


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    (vertebra,) = report["vertebrae"]
    values = {name: entry["value"] for name, entry in (report["patient"]["values"] | vertebra["values"]).items()}
    # a segmentation holds the labels on a smaller grid, so that only regions in the scan have the same voxels
    digests = {f"{n} roi": e["roi_sha256"] for n, e in vertebra["values"].items() if e["image"] == "image"}
    return {name: value for name, value in values.items() if not isinstance(value, str)} | digests


def test_no_identifier_of_the_patient_reaches_the_report(real: tuple[Volume, Volume], tmp_path: Path) -> None:
    series = write_series(real[0], tmp_path / "series")
    text = str(measure_scan(series, DATA / "example_vertebrae.nii.gz", level="L4"))
    assert "SECRET" not in text
    assert "Secret" not in text
    assert "1.2.826" not in text


def test_a_tilted_gantry_is_kept_in_the_geometry_and_said(real: tuple[Volume, Volume], tmp_path: Path) -> None:
    scan = few(real[0], 8)
    affine = scan.affine.copy()
    affine[1, 2] = 3.0 * np.tan(np.radians(12.0))
    tilted = Volume(scan.voxels, affine)
    with opened(write_series(tilted, tmp_path / "tilted"), "image", Limits()) as (read, header):
        assert np.allclose(read.affine, affine, atol=1e-6)
        assert np.array_equal(read.voxels, scan.voxels)
    assert header.acquisition.gantry_tilt_deg == pytest.approx(12.0, abs=0.01)
