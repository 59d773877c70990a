"""A DICOM CT series (classic slices or an enhanced multi-frame file) to Hounsfield units, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import DeflatedExplicitVRLittleEndian

from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import Acquisition, Header, hashed, write_voxels

Vector = NDArray[np.float64]
_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: the file and frame that hold it, its place (LPS), and what turns stored values into HU."""

    file: int
    number: int
    position: Vector
    orientation: Vector
    spacing: Vector
    slope: float
    intercept: float


def decode_dicom(paths: Sequence[Path], folder: Path, limits: Limits) -> Header:
    """Writes the HU of one CT series to ``folder``, sorted along the normal; refuses what is not one whole series."""
    files = [(path, dataset) for path in paths if (dataset := read_header(path, limits)) is not None]
    files = [(path, dataset) for path, dataset in files if dataset.get("Modality") != "SEG"]
    if not files:
        raise refuse("no_dicom", "No DICOM image was found: give the folder or zip of one CT series.")
    datasets = [dataset for _, dataset in files]
    _check_kind(datasets)
    _check_size(datasets, limits)
    frames = _sorted(_frames(datasets))
    affine, tilt = _geometry(frames)
    dtype = "int16" if _whole_hu(frames, datasets) else "float32"
    write_voxels(folder, _pixels(files, frames, dtype))
    first = datasets[0]
    shape = (len(frames), int(first.Rows), int(first.Columns))
    identity = hashed(str(first.SeriesInstanceUID))
    return Header(shape, (2, 1, 0), dtype, affine.tolist(), "dicom", identity, _acquisition(first, tilt))


def read_header(path: Path, limits: Limits) -> Dataset | None:
    """The dataset without its pixels, or None for a file that is no DICOM image."""
    if path.stat().st_size > limits.file_bytes:
        raise refuse("image_too_large", f"A file is above {limits.file_bytes // MIB} MiB: export slices one by one.")
    try:
        with path.open("rb") as file:
            read_preamble(file, False)
            # a deflated file would be inflated whole by dcmread, before anything could be checked
            if _read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                raise refuse("deflated", "The DICOM file is deflated as a whole: export it uncompressed.")
        dataset = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    except (EOFError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise refuse("truncated", "A DICOM file ends early or is damaged: copy the series again.") from error
    if dataset.get("SOPClassUID") == "1.2.840.10008.1.3.10":
        return None
    return dataset


def _check_kind(datasets: Sequence[Dataset]) -> None:
    if any("Modality" not in dataset for dataset in datasets):
        raise refuse("truncated", "A DICOM file ends before its header does: copy the series again.")
    if any(dataset.get("Modality") != "CT" for dataset in datasets):
        raise refuse("not_ct", "The series holds images that are no CT: give the folder of the CT series alone.")
    if any(
        int(d.get("SamplesPerPixel", 1)) != 1 or "MONO" not in str(d.get("PhotometricInterpretation", "MONO"))
        for d in datasets
    ):
        raise refuse("colour_image", "The images are in colour (a screen capture?): give the CT in Hounsfield units.")
    if len({str(dataset.get("SeriesInstanceUID")) for dataset in datasets}) > 1:
        raise refuse("mixed_series", "The folder holds more than one series: give a folder with one series only.")
    if any("Rows" not in d or "Columns" not in d or "BitsAllocated" not in d for d in datasets):
        raise refuse("truncated", "A DICOM file has no image in it or ends early: copy the series again.")
    if len({(int(d.Rows), int(d.Columns)) for d in datasets}) > 1:
        raise refuse("mixed_series", "The slices differ in size: give a folder with one reconstruction only.")


def _check_size(datasets: Sequence[Dataset], limits: Limits) -> None:
    total = sum(int(d.Rows) * int(d.Columns) * int(d.get("NumberOfFrames", 1) or 1) * 4 for d in datasets)
    if total > 2 * limits.decoded_bytes or any(int(d.Rows) * int(d.Columns) > 4096**2 for d in datasets):
        raise refuse("image_too_large", f"The series claims more than {limits.decoded_bytes // MIB} MiB: crop it.")


def _frames(datasets: Sequence[Dataset]) -> list[Frame]:
    frames: list[Frame] = []
    for number, dataset in enumerate(datasets):
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        if groups is None:
            frames.append(_frame(number, 0, [dataset]))
            continue
        shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
        frames += [_frame(number, index, [group, shared[0]]) for index, group in enumerate(groups)]
    return frames


def _frame(file: int, number: int, groups: Sequence[Dataset]) -> Frame:
    position = _find(groups, "ImagePositionPatient", "PlanePositionSequence")
    orientation = _find(groups, "ImageOrientationPatient", "PlaneOrientationSequence")
    spacing = _find(groups, "PixelSpacing", "PixelMeasuresSequence")
    if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
        raise refuse("no_position", "A slice has no position or orientation: export the original axial series.")
    if spacing is None or len(spacing) != 2 or min(float(s) for s in spacing) <= 0:
        raise refuse("no_pixel_spacing", "A slice has no pixel spacing: export the original series.")
    slope = _find(groups, "RescaleSlope", "PixelValueTransformationSequence")
    intercept = _find(groups, "RescaleIntercept", "PixelValueTransformationSequence")
    if slope is None or intercept is None or float(slope) == 0:
        raise refuse("no_rescale", "A slice does not say how its values become Hounsfield units: export the original.")
    place, axes, steps = (np.array([float(v) for v in values]) for values in (position, orientation, spacing))
    return Frame(file, number, place, axes, steps, float(slope), float(intercept))


def _find(groups: Sequence[Dataset], keyword: str, sequence: str) -> Any:
    """A value of a slice: at the top level (classic) or in the functional group of its frame or of all frames."""
    for group in groups:
        if group.get(keyword) is not None:
            return group.get(keyword)
        items = group.get(sequence)
        if items and items[0].get(keyword) is not None:
            return items[0].get(keyword)
    return None


def _normal(frame: Frame) -> Vector:
    return np.cross(frame.orientation[:3], frame.orientation[3:])


def _sorted(frames: list[Frame]) -> list[Frame]:
    first = frames[0]
    if any(np.abs(f.orientation - first.orientation).max() > 1e-3 for f in frames):
        raise refuse("mixed_series", "The slices point in different directions: leave the localizer out of the folder.")
    if any(np.abs(f.spacing - first.spacing).max() > 1e-4 for f in frames):
        raise refuse("mixed_series", "The slices differ in pixel spacing: give a folder with one reconstruction only.")
    if len(frames) < 3:
        raise refuse("not_a_volume", "Fewer than three slices were found: give the whole series.")
    return sorted(frames, key=lambda f: float(f.position @ _normal(first)))


def _geometry(frames: Sequence[Frame]) -> tuple[Vector, float]:
    """The RAS affine of (column, row, slice) and the tilt of the gantry in degrees; refuses gaps and doubles."""
    first = frames[0]
    normal = _normal(first)
    along = np.array([f.position @ normal for f in frames])
    steps = np.diff(along)
    usual = float(np.median(steps))
    if usual <= 1e-3 or (steps < 0.05 * usual).any():
        raise refuse("duplicate_slice", "Two slices lie at the same place: remove the double, or give one phase only.")
    if (np.abs(steps - usual) > max(0.01, 0.03 * usual)).any():
        ratio = steps / usual
        if (np.abs(ratio - np.rint(ratio)) < 0.03).all():
            missing = int((np.rint(ratio) - 1).sum())
            raise refuse("missing_slice", f"{missing} slices are missing inside the series: copy the whole series.")
        raise refuse("uneven_spacing", "The slices are not evenly spaced: export an even reconstruction.")
    step = (frames[-1].position - first.position) / (len(frames) - 1)
    line = first.position + np.arange(len(frames))[:, None] * step
    if np.abs(np.array([f.position for f in frames]) - line).max() > 0.5:
        raise refuse("uneven_spacing", "The slices do not lie on a straight line: export an even reconstruction.")
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    columns = [first.orientation[:3] * first.spacing[1], first.orientation[3:] * first.spacing[0], step, first.position]
    affine = np.eye(4)
    affine[:3] = np.stack(columns, axis=-1) * _TO_RAS[:, None]
    return affine, tilt


def _whole_hu(frames: Sequence[Frame], datasets: Sequence[Dataset]) -> bool:
    whole = all(f.slope.is_integer() and f.intercept.is_integer() for f in frames)
    small = all(int(d.get("BitsStored", 16)) <= 12 or int(d.get("PixelRepresentation", 0)) == 1 for d in datasets)
    return whole and small and all(abs(f.slope) == 1 for f in frames)


def _pixels(files: Sequence[tuple[Path, Dataset]], frames: Sequence[Frame], dtype: str) -> Iterator[NDArray[Any]]:
    for frame in frames:
        try:
            stored = next(iter_pixels(files[frame.file][0], indices=[frame.number], raw=True))
        except MemoryError:
            raise
        except Exception as error:  # each decoder has its own errors; all mean that the pixels cannot be had
            raise refuse(
                "truncated", "The pixels of a slice cannot be decoded (file cut short, or damaged): copy it again."
            ) from error
        hu = stored.astype(np.float64) * frame.slope + frame.intercept
        yield np.clip(hu, -32768, 32767).astype(dtype) if dtype == "int16" else hu.astype(dtype)


def _acquisition(dataset: Dataset, tilt: float) -> Acquisition:
    """kVp, kernel, thickness and contrast, wherever a classic or an enhanced file keeps them."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    per_frame = (dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()])[0]
    groups = [dataset, per_frame, shared]
    kvp = _find(groups, "KVP", "CTXRayDetailsSequence")
    kernel = _find(groups, "ConvolutionKernel", "CTReconstructionSequence")
    thickness = _find(groups, "SliceThickness", "PixelMeasuresSequence")
    return Acquisition(
        kvp=float(kvp) if kvp else None,
        kernel=str(kernel)[:40] if kernel else None,
        slice_thickness_mm=float(thickness) if thickness else None,
        contrast=_contrast(dataset),
        gantry_tilt_deg=tilt,
    )


def _contrast(dataset: Dataset) -> bool | None:
    if dataset.get("ContrastBolusAgentSequence"):
        return True
    agent = dataset.get("ContrastBolusAgent")
    if agent is None:
        return None
    return str(agent).strip().upper() not in ("", "NO", "NONE", "N")
