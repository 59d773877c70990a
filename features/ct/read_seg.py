"""DICOM segmentations to a label map, by highdicom."""

from __future__ import annotations

from pathlib import Path

import highdicom.seg
import numpy as np
from pydicom import Dataset

from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import Header, hashed, write_voxels
from features.ct.read_dicom import hashed_uid

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def decode_seg(path: Path, folder: Path, limits: Limits) -> Header:
    """Writes one label map, valued by segment number, to ``folder``; the segments' names come along."""
    try:
        seg = highdicom.seg.segread(path)
        geometry = seg.get_volume_geometry()
    except MemoryError:
        raise
    except Exception as error:  # a damaged file reaches every corner of the parser
        raise refuse("truncated", "The DICOM segmentation is damaged: export it again.", "labels") from error
    if geometry is None:
        raise refuse("no_position", "The segmentation's frames do not form a volume: export it on the CT.", "labels")
    if int(np.prod(geometry.spatial_shape)) * 2 > limits.decoded_bytes:
        raise refuse("image_too_large", f"The labels claim more than {limits.decoded_bytes // MIB} MiB.", "labels")
    try:
        volume = seg.get_volume(combine_segments=True, rescale_fractional=False, skip_overlap_checks=False)
    except (RuntimeError, ValueError) as error:
        raise refuse("overlapping_labels", "Segments overlap: export one label map.", "labels") from error
    # empty frames are not stored: without a margin every outermost vertebra would seem cut by the field of view
    voxels = np.pad(np.asarray(volume.array, dtype=np.int16), 1)
    origin = np.eye(4)
    origin[:3, 3] = -1.0
    write_voxels(folder, [voxels])
    names = {number: _name(seg.get_segment_description(number)) for number in seg.segment_numbers}
    affine = (_TO_RAS @ volume.affine @ origin).tolist()
    shape = tuple(int(n) for n in voxels.shape)
    series, instances = _drawn_on(seg)
    return Header(
        shape,
        (0, 1, 2),
        "int16",
        affine,
        "dicom-seg",
        hashed(str(seg.SeriesInstanceUID)),
        names=names,
        frame_of_reference=hashed_uid(seg, "FrameOfReferenceUID"),
        series=series,
        instances=instances,
    )


def _drawn_on(seg: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hashed series and images that the segmentation says it was drawn on."""
    series: dict[str, None] = {}
    instances: dict[str, None] = {}
    for item in seg.get("ReferencedSeriesSequence") or []:
        if uid := hashed_uid(item, "SeriesInstanceUID"):
            series[uid] = None
        images = item.get("ReferencedInstanceSequence") or []
        instances |= {uid: None for image in images if (uid := hashed_uid(image, "ReferencedSOPInstanceUID"))}
    for group in seg.get("PerFrameFunctionalGroupsSequence") or []:
        for derivation in group.get("DerivationImageSequence") or []:
            images = derivation.get("SourceImageSequence") or []
            instances |= {uid: None for image in images if (uid := hashed_uid(image, "ReferencedSOPInstanceUID"))}
    return tuple(series), tuple(instances)


def _name(description: Dataset) -> str:
    """The label of a segment, else the meaning of its code."""
    label = str(description.get("SegmentLabel", "")).strip()
    coded = description.get("SegmentedPropertyTypeCodeSequence")
    meaning = str(coded[0].get("CodeMeaning", "")) if coded else ""
    return f"{label}|{meaning}"[:120]
