"""What cannot be measured is refused with its reason, in bounded memory, and leaves nothing behind."""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from features.ct.decode import decode, unreadable
from features.ct.limits import MIB, Limits
from features.ct.sandbox import opened
from features.ct.volume import Volume
from features.errors import ImageRejected
from tests.contract.ct.files import write_nifti, write_series

SMALL = Limits(decoded_bytes=64 * MIB, file_bytes=32 * MIB, memory_bytes=1536 * MIB, cpu_seconds=30)
SCAN = Volume(np.arange(16 * 12 * 8, dtype=np.int16).reshape(16, 12, 8), np.diag([1.5, 1.5, 2.0, 1.0]))


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left behind is then ours, whoever else works on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def code_of(path: Path, role: str = "image", limits: Limits = SMALL) -> str:
    with pytest.raises(ImageRejected) as caught, opened(path, role, limits):
        pass
    assert list(Path(tempfile.gettempdir()).glob("cemrisk-ct-*")) == []
    assert caught.value.exit_code == 11
    assert len(str(caught.value)) > 20
    (finding,) = caught.value.findings
    return finding.code


def refusal(path: Path, tmp_path: Path, role: str = "image") -> ImageRejected:
    """What the decoder itself refuses, in this process: a child for each of many small files would take minutes."""
    folder = tmp_path / "decoded"
    folder.mkdir(exist_ok=True)
    with pytest.raises(ImageRejected) as caught:
        decode(path, folder, role, SMALL)
    assert (caught.value.exit_code, len(caught.value.findings)) == (11, 1)
    return caught.value


def refused(path: Path, tmp_path: Path, role: str = "image") -> str:
    return refusal(path, tmp_path, role).findings[0].code


def series(tmp_path: Path) -> list[Path]:
    folder = write_series(SCAN, tmp_path / "series")
    return sorted(folder.iterdir(), key=lambda p: int(dcmread(p).InstanceNumber))


def edited(path: Path, change: Callable[[Dataset], Any]) -> None:
    data = dcmread(path)
    change(data)
    data.save_as(path)


def test_a_sound_series_is_read(tmp_path: Path) -> None:
    with opened(series(tmp_path)[0].parent, "image", SMALL) as (volume, _):
        assert np.array_equal(volume.voxels, SCAN.voxels)


def delete(name: str) -> Callable[[Dataset], Any]:
    return lambda data: delattr(data, name)


def put(**values: Any) -> Callable[[Dataset], Any]:
    return lambda data: [setattr(data, name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("which", "change", "code"),
    [
        (3, put(SeriesInstanceUID="1.2.3.4"), "mixed_series"),
        (3, put(ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"]), "mixed_series"),
        (3, put(Modality="MR"), "not_ct"),
        (3, put(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "colour_image"),
        (3, delete("PixelSpacing"), "no_pixel_spacing"),
        (3, put(PixelSpacing=["0", "0"]), "no_pixel_spacing"),
        (3, delete("ImagePositionPatient"), "no_position"),
        (3, delete("RescaleSlope"), "no_rescale"),
        (3, put(ImagePositionPatient=["0", "0", "4.6"]), "uneven_spacing"),
        (3, put(ImagePositionPatient=["0", "0", "4"]), "duplicate_slice"),
        (3, put(Rows=60000, Columns=60000), "mixed_series"),
        (3, delete("PixelData"), "truncated"),
    ],
)
def test_a_series_with_one_bad_slice_is_refused(
    which: int, change: Callable[[Dataset], Any], code: str, tmp_path: Path
) -> None:
    paths = series(tmp_path)
    edited(paths[which], change)
    assert refused(paths[0].parent, tmp_path) == code


def text_in(keyword: str, text: str) -> Callable[[Dataset], Any]:
    """A change that leaves in a number's place what pydicom itself would not write."""

    def change(data: Dataset) -> None:
        element = DataElement(Tag(keyword), "LO", text)
        data.add(element)
        element.VR = "DS"

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (text_in("ImagePositionPatient", "secret\\1\\2"), "bad_value"),
        (text_in("PixelSpacing", "secret\\1"), "bad_value"),
        (text_in("RescaleSlope", "nan"), "bad_value"),
        (text_in("RescaleIntercept", "inf"), "bad_value"),
        (text_in("RescaleSlope", "secret"), "bad_value"),
        (text_in("ImageOrientationPatient", "nan\\0\\0\\0\\1\\0"), "bad_value"),
        (put(ImageOrientationPatient=["0", "0", "0", "0", "0", "0"]), "no_position"),
        (put(PixelSpacing=["1.5"]), "no_pixel_spacing"),
        (put(RescaleType="US"), "not_ct"),
        (put(Rows=0), "mixed_series"),
    ],
)
def test_a_value_that_is_no_number_is_refused_and_not_shown(
    change: Callable[[Dataset], Any], code: str, tmp_path: Path
) -> None:
    paths = series(tmp_path)
    edited(paths[3], change)
    error = refusal(paths[0].parent, tmp_path)
    assert error.findings[0].code == code
    assert "secret" not in str(error) + repr(error.findings)


@pytest.mark.parametrize("content", [b"", b"\0" * 90, b"no DICOM at all " * 40])
@pytest.mark.parametrize("which", [0, 7])
def test_an_unreadable_first_or_last_slice_is_not_skipped(content: bytes, which: int, tmp_path: Path) -> None:
    paths = series(tmp_path)
    paths[which].write_bytes(content)
    assert refused(paths[0].parent, tmp_path) == "truncated"


def test_what_lies_beside_a_series_is_left_aside(tmp_path: Path) -> None:
    folder = series(tmp_path)[0].parent
    for name in ("README", "DICOMDIR", "notes.txt", ".DS_Store", "._0000001.dcm"):
        (folder / name).write_text("beside")
    (tmp_path / "decoded").mkdir()
    assert decode(folder, tmp_path / "decoded", "image", SMALL).shape == (8, 12, 16)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    (tmp_path / "again").mkdir()
    assert decode(packed, tmp_path / "again", "image", SMALL).shape == (8, 12, 16)


def test_a_zip_whose_last_slice_is_damaged_is_refused(tmp_path: Path) -> None:
    paths = series(tmp_path)
    paths[7].write_bytes(b"")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", paths[0].parent))
    assert refused(packed, tmp_path) == "truncated"


@pytest.mark.parametrize("name", ["deflated", "bzip2", "lzma"])
def test_a_zip_with_damaged_contents_is_refused(name: str, tmp_path: Path) -> None:
    kind = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}[name]
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a.dcm", np.random.default_rng(1).integers(0, 9, 60_000, dtype=np.uint8).tobytes())
    raw = bytearray(path.read_bytes())
    raw[60:160] = b"\xff" * 100
    path.write_bytes(raw)
    assert refused(path, tmp_path) == "truncated"


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    paths = series(tmp_path)
    paths[4].unlink()
    assert code_of(paths[0].parent) == "missing_slice"


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_a_truncated_slice_is_refused(keep: float, tmp_path: Path) -> None:
    paths = series(tmp_path)
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: int(len(whole) * keep)])
    assert refused(paths[0].parent, tmp_path) == "truncated"


def test_a_dicom_that_claims_100_gb_is_refused(tmp_path: Path) -> None:
    paths = series(tmp_path)
    for path in paths:
        edited(path, put(Rows=65000, Columns=65000))
    assert code_of(paths[0].parent) == "image_too_large"


def test_a_deflated_dicom_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    paths = series(tmp_path)
    data = dcmread(paths[0])
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.TextValue = "0" * 50_000_000
    data.save_as(paths[0])
    assert paths[0].stat().st_size < MIB
    assert code_of(paths[0].parent) == "deflated"


def zipped(tmp_path: Path, names: dict[str, bytes]) -> Path:
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../../escape.dcm", "/etc/escape.dcm", "a/../../escape.dcm", "..\\escape.dcm"])
def test_a_zip_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    assert code_of(zipped(tmp_path, {name: b"x"})) == "zip_path"
    assert not list(tmp_path.rglob("escape.dcm"))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.dcm": bytes(80 * MIB)})
    assert path.stat().st_size < MIB
    assert code_of(path) == "image_too_large"


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.dcm": bytes(80 * MIB)})
    raw = path.read_bytes().replace(struct.pack("<I", 80 * MIB), struct.pack("<I", 100))
    path.write_bytes(raw)
    assert code_of(path) in {"truncated", "no_dicom"}


def test_a_zip_without_dicom_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert code_of(zipped(tmp_path, {"a.txt": b"hello"})) == "no_dicom"
    path = zipped(tmp_path, {"a.txt": b"hello" * 1000})
    path.write_bytes(path.read_bytes()[:60])
    assert code_of(path) == "truncated"


def nifti(tmp_path: Path, **fields: Any) -> Path:
    """A NIfTI with header fields overwritten after writing."""
    path = write_nifti(SCAN, tmp_path / "scan.nii")
    header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    return path


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"dim": [3, 3000, 3000, 6000, 1, 1, 1, 1]}, "image_too_large"),
        ({"dim": [3, -5, 12, 8, 1, 1, 1, 1]}, "not_a_volume"),
        ({"dim": [4, 16, 12, 4, 2, 1, 1, 1]}, "not_a_volume"),
        ({"datatype": 128, "bitpix": 24}, "colour_image"),
        ({"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, "no_pixel_spacing"),
        ({"sform_code": 0, "qform_code": 0}, "no_orientation"),
        ({"srow_x": [0, 0, 0, 0], "srow_y": [0, 0, 0, 0]}, "no_pixel_spacing"),
        ({"dim": [3, 16, 12, 9, 1, 1, 1, 1]}, "truncated"),
    ],
)
def test_a_bad_nifti_header_is_refused(fields: dict[str, Any], code: str, tmp_path: Path) -> None:
    assert refused(nifti(tmp_path, **fields), tmp_path) == code


def test_no_image_at_all_is_refused(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.nii", tmp_path / "text.nii.gz"
    empty.write_bytes(b"")
    text.write_text("no image " * 100)
    assert code_of(empty) == "not_an_image"
    assert code_of(text) == "not_an_image"
    assert code_of(tmp_path / "absent.nii.gz") == "not_found"
    (tmp_path / "folder").mkdir()
    assert code_of(tmp_path / "folder") == "no_dicom"


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = write_nifti(SCAN, tmp_path / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[:-200])
    assert code_of(path) == "truncated"


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path: Path) -> None:
    """A gigabyte of zeros behind a header of 3 KB of voxels: only those are unpacked; and one that claims all of it."""
    honest = write_nifti(SCAN, tmp_path / "scan.nii").read_bytes()
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", compresslevel=9) as out:
        out.write(honest)
        for _ in range(300):
            out.write(bytes(MIB))
    with opened(path, "image", SMALL) as (volume, _):
        assert np.array_equal(volume.voxels, SCAN.voxels)
    header = nib.Nifti1Header(honest[:348])
    header["dim"] = [3, 30000, 30000, 60, 1, 1, 1, 1]
    with gzip.open(path, "wb") as out:
        out.write(header.binaryblock + bytes(4) + bytes(4 * MIB))
    assert code_of(path, limits=Limits()) == "image_too_large"


#: Opens the images named on its command line and prints the largest memory, in KiB, that a child of it had.
MEASURED = """
import resource, sys
from pathlib import Path
from features.ct.decode import decode
from features.ct.limits import Limits
from features.ct.sandbox import opened
from features.errors import ImageRejected
for name in sys.argv[1:]:
    try:
        with opened(Path(name), "image", Limits()):
            pass
    except ImageRejected:
        pass
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_decoding_is_bounded(tmp_path: Path) -> None:
    """A gigabyte behind an honest header and a header that claims 100 GB, in an interpreter without other children."""
    honest = write_nifti(SCAN, tmp_path / "scan.nii").read_bytes()
    header = nib.Nifti1Header(honest[:348])
    header["dim"] = [3, 30000, 30000, 60, 1, 1, 1, 1]
    bomb, claim = tmp_path / "bomb.nii.gz", tmp_path / "claim.nii.gz"
    for path, start, zeros in ((bomb, honest, 1024), (claim, header.binaryblock + bytes(4), 4)):
        with gzip.open(path, "wb", compresslevel=1) as out:
            out.write(start)
            for _ in range(zeros):
                out.write(bytes(MIB))
    paths = [str(bomb), str(claim)]
    told = subprocess.run([sys.executable, "-c", MEASURED, *paths], capture_output=True, text=True, check=True)
    assert int(told.stdout) * 1024 < 700 * MIB


def test_a_full_disc_is_no_fault_of_the_image() -> None:
    for number, code in ((errno.ENOSPC, "no_room"), (errno.EIO, "unreadable")):
        try:
            raise OSError(number, "SECRET-4711")
        except OSError as error:
            refused = unreadable(error, "image")
        assert [finding.code for finding in refused.findings] == [code] and "SECRET" not in str(refused)
