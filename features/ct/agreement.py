"""Whether labels belong to a scan and lie on its bone, and whether the scan's grey values are those of a CT.

A label map on a shifted grid, of another patient, or of an MR scan measures as smoothly as a right one does, so that
nothing but the images themselves can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from features.ct.labels import Labels
from features.ct.limits import refuse
from features.ct.raw import Header
from features.ct.volume import Array, Floats, Volume, grow

#: HU are clipped to this before they are compared: lung beside the spine and cement in it must not decide.
_CLIP_HU = (-100.0, 500.0)
#: The rim of a vertebra (its cortex) stands out from its surroundings by 140 HU and more where labels are right; below
#: the first it is not seen to be bone. Right labels have at least 1.57 times as much contrast in place as 5 mm aside
#: (the example scan; phantoms crushed, osteoporotic and cemented, voxels of 1.2 to 3 mm). Below the second number they
#: are refused, below the third warned of.
LEAST_CONTRAST_HU, REFUSED_SHARE, WARNED_SHARE = 25.0, 0.75, 1.1
#: Muscle, fat, disc and blood around a vertebra, HU: their median lies within.
SOFT_TISSUE_HU = (-200.0, 200.0)
#: Where more than this share of a scan is dark as only gas is, the gas is this dark or darker.
_GAS_SHARE, _DARK_HU, _GAS_HU = 0.05, -300.0, -600.0
_STEPS_MM = (5.0, 10.0, 15.0)
_MOST_POINTS = 1500
_REACH_MM = 7.0


def check_origin(scan: Header, labels: Header) -> list[str]:
    """Compares what DICOM scan and DICOM-SEG say of each other; codes of warnings.

    Raises ``ImageRejected`` where the segmentation was drawn in another frame of reference, or, where that is not
    stated, on another series.
    """
    if scan.source != "dicom" or labels.source != "dicom-seg":
        return []
    known = scan.frame_of_reference is not None and labels.frame_of_reference is not None
    if known and scan.frame_of_reference != labels.frame_of_reference:
        detail = "The segmentation was drawn in another frame of reference: supply the one of this series."
        raise refuse("labels_other_scan", detail, "labels")
    other_series = bool(labels.series) and not set(labels.series) & set(scan.series)
    other_images = bool(labels.instances) and not set(labels.instances) & set(scan.instances)
    if other_series and not known:
        detail = "The segmentation was drawn on another series, and neither says that they share their coordinates."
        raise refuse("labels_other_scan", f"{detail} Supply the one of this series.", "labels")
    return ["labels_of_other_series"] if other_series or other_images else []


def check_bone(scan: Volume, labels: Labels, levels: Sequence[str]) -> list[str]:
    """The levels among ``levels`` that do not lie well on bone; to be warned of.

    Raises ``ImageRejected`` where the grey values are not those of a CT, or where most levels lie beside the bone.
    """
    _check_gas(scan)
    layers = {level: _layers(labels, level) for level in levels}
    seen = {level: found for level, (rim, ring) in layers.items() if (found := _contrasts(scan, rim, ring)) is not None}
    if not seen:
        return []
    _check_soft_tissue(scan, layers)
    in_place = float(np.median([contrasts[0] for contrasts in seen.values()]))
    aside = float(np.median([contrasts[1:].max() for contrasts in seen.values()]))
    shared = float(np.max(np.median([contrasts[1:] for contrasts in seen.values()], axis=0)))
    if in_place < LEAST_CONTRAST_HU and aside < 2 * LEAST_CONTRAST_HU:
        detail = "The labels do not lie on bone: supply the labels of this scan, and a CT in Hounsfield units."
        raise refuse("labels_not_on_bone", detail, "labels")
    if in_place < max(LEAST_CONTRAST_HU, REFUSED_SHARE * shared):
        detail = "The labels lie beside the bone, as if shifted: export scan and labels again, or supply other labels."
        raise refuse("labels_not_on_bone", detail, "labels")
    return [level for level, c in seen.items() if c[0] < max(LEAST_CONTRAST_HU, WARNED_SHARE * float(c[1:].max()))]


def _check_gas(scan: Volume) -> None:
    """Air is a thousand HU below water in every CT, and nothing but gas comes near it."""
    order = np.argsort([-abs(step) for step in scan.voxels.strides])
    stored = scan.voxels.transpose(order)
    slices = np.unique(np.linspace(0, stored.shape[0] - 1, 16).astype(int))
    sample = np.asarray(stored[slices][:, ::4, ::4], dtype=np.float32)
    dark = sample[sample < _DARK_HU]
    if len(dark) > _GAS_SHARE * sample.size and float(np.median(dark)) > _GAS_HU:
        detail = "Air is not where a CT has it (-1000): supply a CT in Hounsfield units."
        raise refuse("not_ct", detail)


def _check_soft_tissue(scan: Volume, layers: Mapping[str, tuple[Floats, Floats]]) -> None:
    around = np.concatenate([_values(scan, ring, (-np.inf, np.inf)) for _, ring in layers.values()])
    if len(around) and not SOFT_TISSUE_HU[0] <= float(np.median(around)) <= SOFT_TISSUE_HU[1]:
        detail = "The tissue around the labels is not where a CT has it (-200 to 200): supply a CT in Hounsfield units."
        raise refuse("not_ct", detail)


def _layers(labels: Labels, level: str) -> tuple[Floats, Floats]:
    """Points (n, 3) in the rim of one label and in the tissue around it, on a grid of about 1.5 mm or the label's."""
    spacing = labels.volume.spacing_mm
    part = labels.volume.crop(grow(labels.boxes[level], _REACH_MM / spacing, labels.volume.voxels.shape))
    every = np.maximum(1, np.round(1.5 / spacing)).astype(int)
    thinned = np.asarray(part.voxels[:: every[0], :: every[1], :: every[2]])
    affine = part.affine @ np.diag([*every.astype(float), 1.0])
    steps = spacing * every
    reach = max(1.5, 1.01 * float(steps.max()))
    own, free = thinned == labels.values[level], thinned == 0
    rim = own & (ndimage.distance_transform_edt(np.pad(own, 1), steps)[1:-1, 1:-1, 1:-1] <= reach)
    if not own.any():
        return np.zeros((0, 3)), np.zeros((0, 3))
    away = ndimage.distance_transform_edt(free, steps)
    ring = (away > reach) & (away <= max(_REACH_MM, 2.5 * float(steps.max())))
    return _points(rim, affine), _points(ring, affine)


def _points(mask: Array, affine: Floats) -> Floats:
    index = np.argwhere(mask)
    index = index[:: max(1, len(index) // _MOST_POINTS)]
    points: Floats = index @ affine[:3, :3].T + affine[:3, 3]
    return points


def _contrasts(scan: Volume, rim: Floats, ring: Floats) -> Floats | None:
    """Mean HU of the rim over that of the tissue around it: in place, then moved along each axis both ways."""
    moves = [np.zeros(3)] + [sign * step * axis for step in _STEPS_MM for sign in (1, -1) for axis in np.eye(3)]
    found = [(_values(scan, rim + move), _values(scan, ring + move)) for move in moves]
    if min(len(found[0][0]), len(found[0][1])) < 20:
        return None
    enough = [len(a) > 0.7 * len(rim) and len(b) > 0.5 * len(ring) for a, b in found]
    return np.array([float(a.mean() - b.mean()) if ok else -1e3 for (a, b), ok in zip(found, enough, strict=True)])


def _values(scan: Volume, points: Floats, clip: tuple[float, float] = _CLIP_HU) -> Floats:
    """HU, clipped, of the voxels nearest to the points that lie in the scan."""
    index = np.rint(scan.to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.array(scan.voxels.shape))).all(axis=1)
    hu = np.asarray(scan.voxels[tuple(index[inside].T)], dtype=float)
    return np.asarray(np.clip(hu, *clip))
