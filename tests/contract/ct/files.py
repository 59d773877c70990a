"""Writers of test scans: NIfTI and every kind of DICOM, from one volume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from features.ct.volume import Volume

SERIES, STUDY, FRAME_OF_REFERENCE = (
    "1.2.826.0.1.3680043.8.498.1",
    "1.2.826.0.1.3680043.8.498.2",
    "1.2.826.0.1.3680043.8.498.3",
)
TO_LPS = np.array([-1.0, -1.0, 1.0])
SYNTAXES = {
    "plain": ExplicitVRLittleEndian,
    "jpeg2000": JPEG2000Lossless,
    "jpeg_ls": JPEGLSLossless,
    "rle": RLELossless,
    "jpeg": JPEGLosslessSV1,
}


def write_nifti(volume: Volume, path: Path, dtype: str = "int16") -> Path:
    image = nib.Nifti1Image(np.asarray(volume.voxels).astype(dtype), volume.affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def volume_of(path: Path, dtype: str = "int16") -> Volume:
    """A NIfTI of the examples with the orientation right, anterior, superior."""
    image = nib.load(path)
    return Volume(np.asanyarray(image.dataobj).astype(dtype), image.affine)


def base(kind: Any = CTImageStorage) -> FileDataset:
    """A CT dataset without geometry or pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, kind
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Modality = kind, "CT"
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Secret^Name", "SECRET-4711", "", ""
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, SERIES, FRAME_OF_REFERENCE
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.StudyID = ""
    data.SeriesNumber, data.Manufacturer = 1, "none"
    data.KVP, data.ConvolutionKernel, data.SliceThickness = 120, "B30f", 1.0
    data.ReferringPhysicianName = ""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 13, 12, 0
    return data


def write_series(volume: Volume, folder: Path, syntax: str = "plain") -> Path:
    """Classic slices in ``folder``, names in no order, the rescale different from slice to slice."""
    folder.mkdir()
    stored = _stored(volume)
    for k in range(volume.voxels.shape[2]):
        data = base()
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.{k + 1}"
        data.InstanceNumber = k + 1
        data.ImagePositionPatient = _texts(volume.to_mm(np.array([0.0, 0.0, k])) * TO_LPS)
        data.ImageOrientationPatient, data.PixelSpacing = _orientation(volume), _spacing(volume)
        shift = -1200 - k % 3
        data.RescaleSlope, data.RescaleIntercept = 1, shift
        _pixels(data, stored[:, :, k].T - shift, syntax)
        data.save_as(folder / f"{(k * 7919) % 1000003:07d}.dcm", enforce_file_format=True)
    return folder


def edit_all(folder: Path, **values: Any) -> Path:
    """Every file of a series with these elements overwritten."""
    for path in folder.iterdir():
        data = dcmread(path)
        for name, value in values.items():
            setattr(data, name, value)
        data.save_as(path)
    return folder


def write_enhanced(volume: Volume, path: Path) -> Path:
    """One multi-frame file, its frames in reverse order, the rescale different from frame to frame."""
    data = base(EnhancedCTImageStorage)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.9"
    frames = range(volume.voxels.shape[2] - 1, -1, -1)
    data.PerFrameFunctionalGroupsSequence = Sequence([_frame(volume, k) for k in frames])
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing, shared.PixelMeasuresSequence[0].SliceThickness = _spacing(volume), 1.0
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _orientation(volume)
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.NumberOfFrames = volume.voxels.shape[2]
    stored = _stored(volume)
    _pixels(data, np.stack([stored[:, :, k].T + 1300 + k % 3 for k in frames]), "plain")
    data.save_as(path, enforce_file_format=True)
    return path


def _frame(volume: Volume, k: int) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = Sequence([Dataset()])
    group.PlanePositionSequence[0].ImagePositionPatient = _texts(volume.to_mm(np.array([0.0, 0.0, k])) * TO_LPS)
    group.PixelValueTransformationSequence = Sequence([Dataset()])
    transformation = group.PixelValueTransformationSequence[0]
    transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 1, -1300 - k % 3, "HU"
    return group


def write_seg(labels: Volume, series: Path, path: Path, names: dict[int, str]) -> Path:
    """A DICOM segmentation of ``labels`` on the classic ``series``, by highdicom."""
    import highdicom
    import highdicom.seg
    from pydicom.sr.codedict import codes

    slices = sorted((dcmread(p) for p in series.iterdir()), key=lambda d: int(d.InstanceNumber))
    values = [int(v) for v in np.unique(labels.voxels) if v]
    mask = np.stack([(labels.voxels == v) for v in values], axis=-1).transpose(2, 1, 0, 3).astype(np.uint8)
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=n,
            segment_label=names[v],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=getattr(codes.SCT, f"{names[v]}Vertebra"),
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for n, v in enumerate(values, 1)
    ]
    seg = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=mask,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=f"{SERIES}.77",
        series_number=2,
        sop_instance_uid=f"{SERIES}.78",
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="0",
        device_serial_number="0",
    )
    seg.save_as(path)
    return path


def _stored(volume: Volume) -> np.ndarray:
    return np.clip(np.asarray(volume.voxels), -1200, 3390).astype(np.int32)


def _orientation(volume: Volume) -> list[str]:
    steps = volume.affine[:3, :2] / volume.spacing_mm[:2] * TO_LPS[:, None]
    return _texts(steps.T.reshape(-1))


def _spacing(volume: Volume) -> list[str]:
    return _texts(volume.spacing_mm[[1, 0]])


def _texts(values: np.ndarray) -> list[str]:
    return [f"{v:.10f}"[:16] for v in values]


def _pixels(data: Dataset, stored: np.ndarray, syntax: str) -> None:
    data.Rows, data.Columns = stored.shape[-2:]
    data.PixelData = np.ascontiguousarray(stored.astype("<u2")).tobytes()
    data["PixelData"].VR = "OW"
    if syntax == "jpeg":
        _by_gdcm(data)
    elif syntax != "plain":
        data.compress(SYNTAXES[syntax], generate_instance_uid=False)


def _by_gdcm(data: Dataset) -> None:
    """JPEG lossless (process 14, first-order prediction), which pydicom cannot write; read back into ``data``."""
    import tempfile

    import gdcm

    with tempfile.TemporaryDirectory() as name:
        plain, packed = os.path.join(name, "a.dcm"), os.path.join(name, "b.dcm")  # noqa: PTH118
        data.save_as(plain, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(plain)
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(packed)
        assert writer.Write()
        done = dcmread(packed)
        data.PixelData, data.file_meta.TransferSyntaxUID = done.PixelData, done.file_meta.TransferSyntaxUID
        data["PixelData"].is_undefined_length = True
