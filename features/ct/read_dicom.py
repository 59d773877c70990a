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
from pydicom.multival import MultiValue
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import DeflatedExplicitVRLittleEndian

from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import Acquisition, Header, hashed, iso_date, names_agent, write_voxels
from features.errors import ImageRejected

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
    headers = [(path, read_header(path, limits)) for path in paths]
    files = [(path, dataset) for path, dataset in headers if dataset is not None and dataset.get("Modality") != "SEG"]
    if not files:
        raise refuse("no_dicom", "No DICOM image was found: give the folder or zip of one CT series.")
    _check_unread([path for path, dataset in headers if dataset is None], {path.suffix.lower() for path, _ in files})
    datasets = [dataset for _, dataset in files]
    _check_kind(datasets)
    _check_size(datasets, limits)
    frames = _sorted(_frames(datasets))
    affine, tilt = _geometry(frames)
    dtype = "int16" if _whole_hu(frames, datasets) else "float32"
    write_voxels(folder, _pixels(files, frames, dtype))
    first = datasets[0]
    shape = (len(frames), int(first.Rows), int(first.Columns))
    return Header(
        shape,
        (2, 1, 0),
        dtype,
        affine.tolist(),
        "dicom",
        hashed(str(first.SeriesInstanceUID)),
        _acquisition(first, tilt),
        frame_of_reference=hashed_uid(first, "FrameOfReferenceUID"),
        series=(hashed(str(first.SeriesInstanceUID)),),
        instances=tuple(uid for dataset in datasets if (uid := hashed_uid(dataset, "SOPInstanceUID"))),
        date=_date(first),
    )


def hashed_uid(dataset: Dataset, keyword: str) -> str | None:
    """A unique identifier as a hash that can be compared, None where the file has none."""
    uid = str(dataset.get(keyword) or "").strip()
    return hashed(uid) if uid else None


def _check_unread(unread: Sequence[Path], suffixes: set[str]) -> None:
    """Refuses a file named as slices are that is no DICOM: the last slice of a series could be missing unseen."""
    damaged = [path for path in unread if path.suffix.lower() in suffixes and not _known_extra(path)]
    if damaged:
        detail = "A file named like the slices is empty or no DICOM: copy the series again, or take the file out."
        raise refuse("truncated", detail)


def _known_extra(path: Path) -> bool:
    """What systems and discs put beside a series."""
    return path.name.startswith(".") or path.name.upper() in {"DICOMDIR", "README", "LICENSE", "VERSION", "LOCKFILE"}


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
    except (MemoryError, ImageRejected):
        raise
    except Exception as error:  # damaged bytes reach every corner of the parser; all mean that it cannot be read
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
        _whole(d, "SamplesPerPixel", 1) != 1 or "MONO" not in str(d.get("PhotometricInterpretation", "MONO"))
        for d in datasets
    ):
        raise refuse("colour_image", "The images are in colour (a screen capture?): give the CT in Hounsfield units.")
    if len({str(dataset.get("SeriesInstanceUID")) for dataset in datasets}) > 1:
        raise refuse("mixed_series", "The folder holds more than one series: give a folder with one series only.")
    if any("Rows" not in d or "Columns" not in d or "BitsAllocated" not in d for d in datasets):
        raise refuse("truncated", "A DICOM file has no image in it or ends early: copy the series again.")
    if len({(_whole(d, "Rows", 0), _whole(d, "Columns", 0)) for d in datasets}) > 1:
        raise refuse("mixed_series", "The slices differ in size: give a folder with one reconstruction only.")


def _check_size(datasets: Sequence[Dataset], limits: Limits) -> None:
    sizes = [_whole(d, "Rows", 0) * _whole(d, "Columns", 0) for d in datasets]
    frames = [_whole(d, "NumberOfFrames", 1) for d in datasets]
    if min(sizes) <= 0 or min(frames) <= 0:
        raise refuse("truncated", "A DICOM file has no image in it or ends early: copy the series again.")
    total = sum(4 * size * count for size, count in zip(sizes, frames, strict=True))
    if total > 2 * limits.decoded_bytes or max(sizes) > 4096**2:
        raise refuse("image_too_large", f"The series claims more than {limits.decoded_bytes // MIB} MiB: crop it.")


def _frames(datasets: Sequence[Dataset]) -> list[Frame]:
    frames: list[Frame] = []
    for number, dataset in enumerate(datasets):
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        if groups is None:
            frames.append(_frame(number, 0, [dataset]))
            continue
        if len(groups) != _whole(dataset, "NumberOfFrames", 1):
            raise refuse("truncated", "A multi-frame file does not describe each of its frames: export it again.")
        shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
        frames += [_frame(number, index, [group, shared[0]]) for index, group in enumerate(groups)]
    return frames


def _frame(file: int, number: int, groups: Sequence[Dataset]) -> Frame:
    place = _numbers(groups, "ImagePositionPatient", "PlanePositionSequence", 3)
    axes = _numbers(groups, "ImageOrientationPatient", "PlaneOrientationSequence", 6)
    steps = _numbers(groups, "PixelSpacing", "PixelMeasuresSequence", 2)
    if place is None or axes is None or not _square(axes):
        raise refuse("no_position", "A slice has no position or orientation: export the original axial series.")
    if steps is None or steps.min() <= 0:
        raise refuse("no_pixel_spacing", "A slice has no pixel spacing: export the original series.")
    slope = _numbers(groups, "RescaleSlope", "PixelValueTransformationSequence", 1)
    intercept = _numbers(groups, "RescaleIntercept", "PixelValueTransformationSequence", 1)
    if slope is None or intercept is None or slope[0] == 0:
        raise refuse("no_rescale", "A slice does not say how its values become Hounsfield units: export the original.")
    unit = _find(groups, "RescaleType", "PixelValueTransformationSequence")
    if unit is not None and str(unit).strip().upper() not in ("", "HU"):
        raise refuse("not_ct", "A slice's values are no Hounsfield units by its own account: give the original CT.")
    return Frame(file, number, place, axes, steps, float(slope[0]), float(intercept[0]))


def _square(axes: Vector) -> bool:
    """Whether row and column direction are unit vectors at a right angle, as DICOM wants them."""
    lengths = [float(np.linalg.norm(part)) for part in (axes[:3], axes[3:])]
    return max(abs(length - 1) for length in lengths) < 1e-2 and abs(float(axes[:3] @ axes[3:])) < 1e-2


def _numbers(groups: Sequence[Dataset], keyword: str, sequence: str, count: int) -> Vector | None:
    """``count`` finite numbers of a slice, None where there are not as many; refuses text, NaN and infinity."""
    try:
        found = _find(groups, keyword, sequence)
        values = [] if found is None else [float(v) for v in (found if isinstance(found, MultiValue) else [found])]
    except (ValueError, TypeError, ArithmeticError) as error:
        # the parser's own message would hold the value
        raise refuse("bad_value", f"{keyword} of a slice is no number: export the series again.") from error
    if not np.isfinite(values).all():
        raise refuse("bad_value", f"{keyword} of a slice is no finite number: export the series again.")
    return np.array(values) if len(values) == count else None


def _whole(dataset: Dataset, keyword: str, default: int) -> int:
    """A whole number of the header, ``default`` where it is absent or empty."""
    try:
        return int(dataset.get(keyword) or default)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise refuse("bad_value", f"{keyword} is no whole number: export the series again.") from error


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
    small = all(_whole(d, "BitsStored", 16) <= 12 or _whole(d, "PixelRepresentation", 0) == 1 for d in datasets)
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
    return Acquisition(
        kvp=_positive(groups, "KVP", "CTXRayDetailsSequence"),
        kernel=_text(groups, "ConvolutionKernel", "CTReconstructionSequence"),
        slice_thickness_mm=_positive(groups, "SliceThickness", "PixelMeasuresSequence"),
        contrast=_contrast(dataset),
        gantry_tilt_deg=tilt,
    )


def _positive(groups: Sequence[Dataset], keyword: str, sequence: str) -> float | None:
    """A number above 0 that says how the scan was made; whatever else stands there counts as unknown."""
    try:
        value = float(_find(groups, keyword, sequence))
    except (ValueError, TypeError, ArithmeticError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def _text(groups: Sequence[Dataset], keyword: str, sequence: str) -> str | None:
    found = _find(groups, keyword, sequence)
    # some makers give several values, the first names the kernel
    first = found[0] if isinstance(found, MultiValue) and found else found
    return str(first).strip()[:40] or None if first is not None else None


def _contrast(dataset: Dataset) -> bool | None:
    if dataset.get("ContrastBolusAgentSequence"):
        return True
    return names_agent(dataset.get("ContrastBolusAgent"))


def _date(dataset: Dataset) -> str | None:
    """The day of the scan, ISO; used to tell before from after an operation, never written anywhere."""
    keywords = ("AcquisitionDate", "AcquisitionDateTime", "StudyDate", "SeriesDate", "ContentDate")
    found = (iso_date(str(dataset.get(keyword) or "")) for keyword in keywords)
    return next((day for day in found if day), None)
