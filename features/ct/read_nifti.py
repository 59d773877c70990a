"""NIfTI (.nii, .nii.gz) to plain voxels, in pieces of a bounded size.

The header says how much is to come; not a byte more is unpacked. nibabel reads the header, the voxels are streamed.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import Acquisition, Header, hashed, iso_date, names_agent, write_voxels

Stream = BinaryIO | gzip.GzipFile

_LABEL = re.compile(rb'<Label\b[^>]*\bKey="(\d{1,5})"[^>]*>\s*(?:<!\[CDATA\[)?\s*([^<\]]{1,80})')
_UNIT_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_COLOUR = {128, 2304, 32, 1792, 2048}


def decode_nifti(path: Path, folder: Path, role: str, limits: Limits) -> Header:
    """Writes the voxels of ``path`` to ``folder``; ``role`` is "image" (HU) or "labels" (whole numbers)."""
    with _open(path) as stream:
        try:
            head = stream.read(348)
            header = nib.Nifti1Header.from_fileobj(io.BytesIO(head))  # type: ignore[no-untyped-call]
        except (HeaderDataError, WrapStructError, EOFError, OSError, zlib.error, ValueError) as error:
            raise refuse("not_an_image", "The file is no readable NIfTI: supply .nii or .nii.gz.", role) from error
        # nibabel mends a voxel size of zero to one without a word, hence the bytes as they came
        if not (nib.Nifti1Header(head, check=False)["pixdim"][1:4] > 0).all():  # type: ignore[no-untyped-call]
            raise refuse("no_pixel_spacing", "The voxel size is missing: convert the image again.", role)
        shape = _shape(header, role, limits)
        affine = _affine(header, role)
        names = _skip_to_voxels(stream, header, role)
        dtype = _stored_as(header, role)
        digest = write_voxels(folder, _chunks(stream, header, shape, dtype, role))
    acquisition, date = _sidecar(path, role)
    return Header(
        shape[::-1], (2, 1, 0), dtype, affine.tolist(), "nifti", hashed(digest), acquisition, names, date=date
    )


def _open(path: Path) -> Stream:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _shape(header: Any, role: str, limits: Limits) -> tuple[int, int, int]:
    if int(header["datatype"]) in _COLOUR:
        raise refuse(
            "colour_image", "The image is in colour or complex numbers: supply the CT in Hounsfield units.", role
        )
    dims = [int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])]]
    while len(dims) > 3 and dims[-1] == 1:
        dims.pop()
    if len(dims) != 3 or min(dims) < 2:
        raise refuse("not_a_volume", "Expected one three-dimensional volume of at least 2 voxels a side.", role)
    if _count(dims) * max(2, int(header["bitpix"]) // 8) > limits.decoded_bytes:
        raise refuse(
            "image_too_large",
            f"The file claims more than {limits.decoded_bytes // MIB} MiB of voxels: crop it to the spine.",
            role,
        )
    return dims[0], dims[1], dims[2]


def _count(dims: list[int]) -> int:
    return dims[0] * dims[1] * dims[2]


def _affine(header: Any, role: str) -> NDArray[np.float64]:
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        raise refuse("no_orientation", "The NIfTI has no orientation (sform and qform unset): convert it again.", role)
    try:
        affine = np.asarray(header.get_best_affine(), dtype=float)
    except (ValueError, HeaderDataError) as error:
        raise refuse("no_pixel_spacing", "The NIfTI's geometry is unusable: convert it again.", role) from error
    affine[:3] *= _UNIT_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    steps = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    usable = np.isfinite(affine).all() and (steps > 0.01).all() and (steps < 20).all()
    if not usable or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise refuse("no_pixel_spacing", "The voxel size is missing or impossible: convert the image again.", role)
    return affine


def _skip_to_voxels(stream: Stream, header: Any, role: str) -> dict[int, str]:
    """Reads up to the first voxel; the label names that TotalSegmentator and others leave in the header extension."""
    offset = int(header["vox_offset"]) or 352
    if not 348 <= offset <= 8 * MIB:
        raise refuse("not_an_image", "The NIfTI header is damaged (offset of the voxels): convert it again.", role)
    between = _read(stream, offset - 348, role)
    found = {int(key): name.decode("utf-8", "replace").strip() for key, name in _LABEL.findall(between)}
    return found if role == "labels" else {}


def _read(stream: Stream, size: int, role: str) -> bytes:
    try:
        data = stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        raise refuse("truncated", "The file ends early or is damaged: copy it again.", role) from error
    if len(data) < size:
        raise refuse("truncated", "The file ends early: copy it again.", role)
    return data


def _stored_as(header: Any, role: str) -> str:
    """The smallest type that holds the voxels: what a large scan costs is mostly reading and writing them."""
    plain = _scaling(header) == (1.0, 0.0)
    if role == "labels":
        return "uint8" if plain and int(header["datatype"]) == 2 else "int16"
    return "int16" if plain and int(header["datatype"]) in (4, 2, 256) else "float32"


def _scaling(header: Any) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) else 0.0


def _chunks(stream: Stream, header: Any, shape: tuple[int, int, int], dtype: str, role: str) -> Iterator[NDArray[Any]]:
    stored = header.get_data_dtype()
    slope, intercept = _scaling(header)
    left, most = shape[0] * shape[1] * shape[2], 4 * MIB
    while left:
        count = min(left, most)
        values = np.frombuffer(_read(stream, count * stored.itemsize, role), dtype=stored)
        left -= count
        if (slope, intercept) != (1.0, 0.0):
            values = values * slope + intercept
        yield _checked(values, dtype, role)


def _checked(values: NDArray[Any], dtype: str, role: str) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise refuse("not_finite", "The image holds values that are no numbers: export it again.", role)
    if role == "labels" and values.dtype != np.uint8 and not _are_labels(values):
        raise refuse("not_labels", "The label map holds values that are no whole label numbers: supply labels.", role)
    return values.astype(dtype, copy=False)


def _are_labels(values: NDArray[Any]) -> bool:
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    return whole and bool((values >= 0).all()) and bool((values <= 32767).all())


def _sidecar(path: Path, role: str) -> tuple[Acquisition, str | None]:
    """Acquisition and date from the JSON that dcm2niix writes beside a NIfTI (BIDS names), if there is one."""
    beside = path.with_name(re.sub(r"\.nii(\.gz)?$", "", path.name) + ".json")
    if role != "image" or not beside.is_file() or beside.stat().st_size > MIB:
        return Acquisition(), None
    try:
        known = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise refuse("bad_sidecar", "The JSON beside the NIfTI cannot be read: repair or remove it.") from error
    if not isinstance(known, dict):
        return Acquisition(), None
    if known.get("Modality", "CT") != "CT":
        raise refuse("not_ct", "The JSON beside the image says that it is no CT: supply a CT.")
    days = (iso_date(str(known.get(n, ""))) for n in ("AcquisitionDate", "AcquisitionDateTime", "StudyDate"))
    kernel = known.get("ConvolutionKernel")
    kernel = kernel[0] if isinstance(kernel, list) and kernel else kernel
    return Acquisition(
        kvp=_number(known.get("KVP")),
        kernel=kernel.strip()[:40] or None if isinstance(kernel, str) else None,
        slice_thickness_mm=_number(known.get("SliceThickness")),
        contrast=names_agent(known.get("ContrastBolusAgent")),
    ), next((day for day in days if day), None)


def _number(value: object) -> float | None:
    """A finite number above 0; whatever else stands there counts as unknown."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < 1e6 else None
