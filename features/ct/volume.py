"""A scan or a label map in memory: an array of voxels and where they lie in the patient.

Coordinates are RAS millimetres: the first runs to the patient's right, the second forward, the third to the head.
DICOM's LPS is turned into this once, in the readers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Floats = NDArray[np.float64]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Volume:
    """``voxels`` (ni, nj, nk) of any number type, possibly a file mapped into memory, and its 4x4 ``affine``.

    The affine takes a voxel index to RAS millimetres; it may shear (a tilted gantry).
    """

    voxels: Array
    affine: Floats

    @property
    def spacing_mm(self) -> Floats:
        """Length of the step along each index axis, in mm, shape (3,)."""
        steps: Floats = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return steps

    @property
    def voxel_volume_mm3(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def crop(self, box: Box) -> Volume:
        """The part inside ``box`` (a view) with its own affine."""
        start = np.array([part.start for part in box], dtype=float)
        affine = self.affine.copy()
        affine[:3, 3] = self.affine[:3, :3] @ start + self.affine[:3, 3]
        return Volume(self.voxels[box], affine)

    def as_float(self) -> Volume:
        return replace(self, voxels=np.asarray(self.voxels, dtype=np.float32))

    def to_index(self, points_mm: Floats) -> Floats:
        """Voxel indices (..., 3), not rounded, of RAS points (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        indices: Floats = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
        return indices

    def to_mm(self, indices: Floats) -> Floats:
        points: Floats = np.asarray(indices, dtype=float) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points

    def sample(self, points_mm: Floats, outside: float, order: int = 1) -> NDArray[np.float32]:
        """Interpolated values at RAS points (..., 3); ``outside`` where there is no voxel. Trilinear by default."""
        indices = np.moveaxis(self.to_index(points_mm), -1, 0)
        values: NDArray[np.float32] = ndimage.map_coordinates(
            self.voxels, indices, output=np.float32, order=order, mode="constant", cval=outside, prefilter=False
        )
        return values

    def sample_grid(self, start_mm: Floats, steps_mm: Floats, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Trilinear values at ``start_mm + (i, j, k) @ steps_mm``, steps (3, 3) by row; 0 where there is no voxel.

        The same as ``sample`` on those points, without making them.
        """
        inverse = np.linalg.inv(self.affine[:3, :3])
        values: NDArray[np.float32] = ndimage.affine_transform(
            self.voxels, inverse @ steps_mm.T, inverse @ (start_mm - self.affine[:3, 3]), shape, np.float32, 1,
            "constant", 0.0, False,
        )  # fmt: skip
        return values


def depth_mm(mask: NDArray[np.bool_], step_mm: float) -> Floats:
    """Distance of each cell of ``mask`` to the nearest cell outside it, mm; 0 outside. Only its box is worked on."""
    depth = np.zeros(mask.shape)
    found = ndimage.find_objects(mask.astype(np.uint8))
    if found:
        box = grow(found[0], 1, mask.shape)
        depth[box] = ndimage.distance_transform_edt(mask[box]) * step_mm
    return depth


def canonical(volume: Volume) -> Volume:
    """The same voxels with the index axes nearest to right, anterior, superior: flips and permutations, no copy."""
    orientation = io_orientation(volume.affine)  # type: ignore[no-untyped-call]
    voxels = apply_orientation(volume.voxels, orientation)  # type: ignore[no-untyped-call]
    affine = volume.affine @ inv_ornt_aff(orientation, volume.voxels.shape)  # type: ignore[no-untyped-call]
    return Volume(voxels, affine)


def grow(box: Box, margin: Floats | float, shape: tuple[int, ...]) -> Box:
    """``box`` widened by ``margin`` voxels (a number or one for each axis), cut at the volume's border."""
    margins = np.broadcast_to(np.ceil(np.asarray(margin, dtype=float)).astype(int), 3)
    low, mid, high = (
        slice(max(0, part.start - int(by)), min(size, part.stop + int(by)))
        for part, by, size in zip(box, margins, shape, strict=True)
    )
    return low, mid, high


def box_of_points(volume: Volume, points_mm: Floats, margin_mm: float) -> Box:
    """The voxel box that holds every RAS point (n, 3) with ``margin_mm`` around, cut at the volume's border."""
    indices = volume.to_index(points_mm)
    low = np.floor(indices.min(axis=0)).astype(int)
    high = np.ceil(indices.max(axis=0)).astype(int) + 1
    shape = volume.voxels.shape
    low, high = np.clip(low, 0, np.array(shape) - 1), np.clip(high, 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return grow((box[0], box[1], box[2]), margin_mm / volume.spacing_mm, shape)
