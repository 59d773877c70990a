"""The axes of one vertebra, from its shape alone.

A vertebra lies in a scan at any angle (kyphosis, scoliosis, a tilted patient), so that the scanner's axes measure the
wrong heights. The two endplates are the largest pair of nearly parallel faces of the body, and the arch lies behind it:
these two facts give the axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.ct.volume import Floats, Volume
from features.errors import ImageRejected

#: Everything of a vertebra farther from the centre of its body than this belongs to the arch, mm.
BODY_REACH_MM = 29.0
#: Less than this beyond the reach: the label holds the body alone, ml.
ARCH_VOLUME_ML = 1.5
_COARSE_MM = 2.0
_FINE_MM = 1.25


@dataclass(frozen=True, slots=True)
class Frame:
    """Right-handed axes of one vertebra: rows of ``axes`` are its right, front and top, ``origin`` is in its body.

    ``has_arch`` is False where the label holds the body alone; front is then taken from the scanner.
    """

    origin: Floats
    axes: Floats
    has_arch: bool

    def to_mm(self, local: Floats) -> Floats:
        """RAS millimetres of points (..., 3) given along the vertebra's axes."""
        points: Floats = local @ self.axes + self.origin
        return points

    def to_local(self, points_mm: Floats) -> Floats:
        local: Floats = (points_mm - self.origin) @ self.axes.T
        return local


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), dtype=float)


def frame_from(origin: Floats, front: Floats, top: Floats, has_arch: bool) -> Frame:
    """A frame with ``top`` kept and ``front`` made square to it."""
    z = unit(top)
    y = unit(front - (front @ z) * z)
    return Frame(np.asarray(origin, dtype=float), np.stack([np.cross(y, z), y, z]), has_arch)


def resample(label: Volume, step_mm: float, sigma_mm: float) -> Volume:
    """The label (0/1) on a cubic grid along the scanner's axes, blurred by ``sigma_mm``; 6 mm of margin."""
    corners = np.stack(np.meshgrid(*[[0.0, n - 1.0] for n in label.voxels.shape], indexing="ij"), axis=-1)
    points = label.to_mm(corners.reshape(-1, 3))
    low, high = points.min(axis=0) - 6.0, points.max(axis=0) + 6.0
    counts = np.ceil((high - low) / step_mm).astype(int) + 1
    # centred, so that the grid does not depend on which corner of the scan is counted from
    start = (low + high) / 2 - (counts - 1) * step_mm / 2
    # a voxel much finer than the step would alias: average first
    fine = Volume(ndimage.gaussian_filter(label.voxels.astype(np.float32), _antialias(label, step_mm)), label.affine)
    values = fine.sample_grid(start, step_mm * np.eye(3), (int(counts[0]), int(counts[1]), int(counts[2])))
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = start
    return Volume(ndimage.gaussian_filter(values, sigma_mm / step_mm), affine)


def _antialias(label: Volume, step_mm: float) -> list[float]:
    return [0.4 * step_mm / float(s) if s < 0.6 * step_mm else 0.0 for s in label.spacing_mm]


def body_centre(label: Volume) -> Floats:
    """A point well inside the vertebral body, RAS mm: where the label, blurred by 7 mm, is densest.

    A crushed body is thinner than a facet joint is thick, but still far wider, so that blurring finds it where the
    largest inscribed ball would not.
    """
    blurred = resample(label, 2 * _COARSE_MM, 7.0)
    if not blurred.voxels.max() > 0:
        raise ImageRejected("The label is empty: supply labels in which the vertebra is marked.")
    flat = blurred.voxels.reshape(-1)
    top = np.unravel_index(np.flatnonzero(flat > 0.93 * flat.max()), blurred.voxels.shape)
    weights = flat[flat > 0.93 * flat.max()].astype(float)
    index = (np.stack(top, axis=-1) * weights[:, None]).sum(axis=0) / weights.sum()
    return blurred.to_mm(index)


def estimate_frame(label: Volume, centre: Floats, up_hint: Floats) -> Frame:
    """First axes of a vertebra, good to a few degrees; ``body.separate`` refines them on the endplates.

    ``label``: 0/1 around one vertebra. ``centre``: from ``body_centre``. ``up_hint``: a unit vector within 65 degrees
    of the vertebra's top (towards the next labelled vertebra, or the scanner's).
    """
    fine = resample(label, _FINE_MM, max(1.2, 0.6 * float(label.spacing_mm.max())))
    back, has_arch = _arch_direction(fine, centre)
    normals, weights = _surface(fine, centre, back if has_arch else None)
    top = _refine_top(normals, weights, _best_candidate(normals, weights, up_hint, back if has_arch else None))
    frame = frame_from(centre, -back, top, has_arch)
    return _mirror(fine, frame) if has_arch else frame


def _arch_direction(fine: Volume, centre: Floats) -> tuple[Floats, bool]:
    """Where the arch lies from the body, and whether there is one."""
    points = fine.to_mm(np.argwhere(fine.voxels > 0.5).astype(float)) - centre
    far = points[np.linalg.norm(points, axis=1) > BODY_REACH_MM]
    volume_ml = len(far) * fine.voxel_volume_mm3 / 1000
    if volume_ml < ARCH_VOLUME_ML:
        return np.array([0.0, -1.0, 0.0]), False
    return unit(far.mean(axis=0)), True


def _surface(fine: Volume, centre: Floats, back: Floats | None) -> tuple[Floats, Floats]:
    """Outward unit normals and areas of the body's surface, without its back, where the arch joins."""
    gradient = np.stack(list(np.gradient(fine.voxels.astype(np.float64))), axis=-1)
    size = np.linalg.norm(gradient, axis=-1)
    keep = np.argwhere(size > 0.15 * size.max())
    points = fine.to_mm(keep.astype(float))
    offset = points - centre
    near = np.linalg.norm(offset, axis=1) < BODY_REACH_MM - 2.0
    if back is not None:
        near &= offset @ back < 6.0
    picked = tuple(keep[near].T)
    weights = size[picked]
    return -gradient[picked] / weights[:, None], weights


def _best_candidate(normals: Floats, weights: Floats, up_hint: Floats, back: Floats | None) -> Floats:
    """Of many directions the one along which most of the surface faces, up or down."""
    candidates = _sphere(900)
    allowed = candidates @ up_hint > np.cos(np.radians(65.0))
    if back is not None:
        allowed &= np.abs(candidates @ back) < np.sin(np.radians(38.0))
    if not allowed.any():
        allowed = candidates @ up_hint > np.cos(np.radians(65.0))
    candidates = candidates[allowed]
    facing = np.abs(candidates.astype(np.float32) @ normals.astype(np.float32).T)
    score = (np.exp(-((1 - facing) / 0.05)) * weights).sum(axis=1) * (0.6 + 0.4 * candidates @ up_hint)
    return np.asarray(candidates[int(np.argmax(score))])


def _sphere(count: int) -> Floats:
    """Directions spread evenly over the sphere (Fibonacci lattice), shape (count, 3)."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=-1)


def _refine_top(normals: Floats, weights: Floats, top: Floats) -> Floats:
    """Halfway between the mean normals of the two endplates, so that a wedge tilts neither way."""
    for limit_deg in (40.0, 32.0, 28.0, 25.0):
        along = normals @ top
        upper, lower = along > np.cos(np.radians(limit_deg)), along < -np.cos(np.radians(limit_deg))
        if not upper.any() or not lower.any():
            return top
        up = unit((normals[upper] * weights[upper, None]).sum(axis=0))
        down = unit((normals[lower] * weights[lower, None]).sum(axis=0))
        top = unit(up - down)
    return top


def _mirror(fine: Volume, frame: Frame) -> Frame:
    """Turns the frame about its top until left and right of the whole vertebra agree best, by up to 20 degrees."""
    local = frame.to_local(fine.to_mm(np.argwhere(fine.voxels > 0.5).astype(float)))[:, :2]
    angles = np.radians(np.arange(-20.0, 20.5, 2.0))
    overlaps = np.array([_symmetry(local, angle) for angle in angles])
    best = int(np.argmax(overlaps))
    angle = float(angles[best])
    if 0 < best < len(angles) - 1:
        left, mid, right = overlaps[best - 1 : best + 2]
        bend = left - 2 * mid + right
        angle += 0.0 if bend == 0 else float(0.5 * (left - right) / bend * (angles[1] - angles[0]))
    front = np.cos(angle) * frame.axes[1] - np.sin(angle) * frame.axes[0]
    return frame_from(frame.origin, front, frame.axes[2], frame.has_arch)


def _symmetry(local: NDArray[np.float64], angle: float) -> float:
    """Overlap of the axial shadow with its mirror image, in the frame turned by ``angle``; the mirror may shift."""
    x = np.cos(angle) * local[:, 0] + np.sin(angle) * local[:, 1]
    y = -np.sin(angle) * local[:, 0] + np.cos(angle) * local[:, 1]
    edges_x, edges_y = np.arange(-60.0, 60.1, 2.0), np.arange(-90.0, 50.1, 2.0)
    shadow = np.histogram2d(x, y, bins=(edges_x, edges_y))[0]
    shadow = ndimage.gaussian_filter(shadow, 1.0)
    shifted = [(shadow * np.roll(shadow[::-1], by, axis=0)).sum() for by in (-2, -1, 0, 1, 2)]
    return float(max(shifted) / (shadow**2).sum())
