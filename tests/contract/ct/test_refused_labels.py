"""Labels that cannot be used: the exit code, a reason, and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import cemrisk
from features.ct.agreement import check_bone
from features.ct.labels import Labels
from features.ct.limits import Limits
from features.ct.raw import names_agent
from features.ct.read_nifti import decode_nifti
from features.ct.scan import measure
from features.ct.volume import Volume
from tests.contract.ct.files import write_nifti

VALUE = 20


def refused(trio: tuple[Volume, Volume], labels: Volume, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says on standard error; it ends with exit code 11 and leaves no file."""
    image = write_nifti(trio[0], folder / "ct.nii")
    marked = write_nifti(labels, folder / "labels.nii")
    out, overlay = folder / "out.json", folder / "out.png"
    arguments = ["ct", image, "--labels", marked, "--scheme", "verse", "--out", out, "--overlay", overlay]
    assert cemrisk.main([str(a) for a in arguments]) == 11
    assert sorted(path.name for path in folder.iterdir()) == ["ct.nii", "labels.nii"]
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    return said.err


def test_empty_labels(trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = Volume(np.zeros_like(trio[1].voxels), trio[1].affine)
    assert "holds no label" in refused(trio, empty, tmp_path, capsys)


@pytest.mark.parametrize("padded", [0, 3])
def test_labels_on_a_shifted_grid(
    padded: int, trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = trio[1].affine.copy()
    affine[:3, 3] += np.array([8.0, 0.0, 0.0]) - affine[:3, :3] @ np.full(3, float(padded))
    moved = Volume(np.pad(trio[1].voxels, padded), affine)
    assert ("beside the bone" if padded else "lie beside it") in refused(trio, moved, tmp_path, capsys)


def test_labels_outside_the_scan(
    trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = trio[1].affine.copy()
    affine[:3, 3] += 500.0
    assert "outside the scan" in refused(trio, Volume(np.pad(trio[1].voxels, 1), affine), tmp_path, capsys)


@pytest.mark.parametrize("kind", ["lines", "point", "sheet", "noise"])
def test_labels_that_are_no_vertebra(
    kind: str, trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voxels = np.zeros_like(trio[1].voxels)
    x, y, z = (size // 2 for size in voxels.shape)
    if kind == "lines":
        voxels[x, y, z - 8 : z + 8] = VALUE
        voxels[x + 9, y, z - 8 : z + 8] = VALUE
    elif kind == "point":
        voxels[x, y, z] = VALUE
    elif kind == "sheet":
        voxels[x - 9 : x + 9, y - 9 : y + 9, z] = VALUE
    else:
        voxels[np.random.default_rng(4).random(voxels.shape) < 0.001] = VALUE
    refused(trio, Volume(voxels, trio[1].affine), tmp_path, capsys)


@pytest.mark.parametrize(
    ("agent", "given"), [("NONE", False), ("none ", False), ("No", False), ("", None), ("Iomeron 350", True)]
)
def test_a_sidecar_that_denies_contrast_is_understood(agent: str, given: bool | None, tmp_path: Path) -> None:
    image = write_nifti(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "ct.nii")
    told = {"Modality": "CT", "ContrastBolusAgent": agent, "KVP": float("nan"), "AcquisitionDate": "20210304"}
    (tmp_path / "ct.json").write_text(json.dumps(told))
    header = decode_nifti(image, tmp_path, "image", Limits())
    assert (header.acquisition.contrast, header.acquisition.kvp, header.date) == (given, None, "2021-03-04")
    assert names_agent(None) is None


def test_levels_that_do_not_follow_each_other(
    trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two names exchanged measure as smoothly as right ones."""
    voxels = trio[1].voxels
    exchanged = np.where(voxels == VALUE, VALUE + 1, np.where(voxels == VALUE + 1, VALUE, voxels))
    assert "do not follow each other" in refused(trio, Volume(exchanged, trio[1].affine), tmp_path, capsys)


def test_a_stray_voxel_makes_nothing_large(
    trio: tuple[Volume, Volume], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where labels are only compared with the bone: a box as large as the scan costs gigabytes there."""
    far = [(0, 240), (0, 0), (0, 0)]
    scan, marked = (np.pad(part.voxels, far) for part in trio)
    marked[-1, -1, -1] = VALUE
    seen: list[float] = []

    def watched(image: Volume, labels: Labels, levels: Sequence[str]) -> list[str]:
        sizes = [(part.stop - part.start) * 1.2 for box in labels.boxes.values() for part in box]
        seen.append(max(sizes))
        return check_bone(image, labels, levels)

    monkeypatch.setattr("features.ct.scan.check_bone", watched)
    measure(
        write_nifti(Volume(scan, trio[0].affine), tmp_path / "ct.nii"),
        write_nifti(Volume(marked, trio[1].affine), tmp_path / "labels.nii"),
        level="L1",
        scheme="verse",
    )
    assert max(seen) < 160.0 < 240 * 1.2
