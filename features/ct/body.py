"""The vertebral body on a fine grid along the vertebra's own axes: cut from its arch, with its endplates as surfaces.

Labels usually mark the whole vertebra. The body ends at the posterior wall, which is seen directly over the canal and
above and below the pedicles; at the pedicles themselves the wall found at the other heights is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.ct.frame import Frame, frame_from, unit
from features.ct.volume import Floats, Volume, grow
from features.errors import ImageRejected

Mask = NDArray[np.bool_]

#: Half extents of the grid: no vertebral body is wider, deeper or taller, mm.
HALF_EXTENT_MM = (38.0, 30.0, 32.0)
_MIDLINE_MM = 6.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Points along the vertebra's axes, ``step_mm`` apart; ``x``, ``y``, ``z`` are their local coordinates."""

    step_mm: float
    x: Floats
    y: Floats
    z: Floats


@dataclass(frozen=True, slots=True)
class Body:
    """One vertebral body. Heights of surfaces are local z in mm, NaN outside the body's outline.

    ``mask`` (nx, ny, nz) is the body on ``grid``, ``top`` and ``bottom`` (nx, ny) its endplates. The posterior wall
    is ``wall_line[0] + wall_line[1] * z + wall_offset[x]``. ``in_plane_mm`` and ``spacing_mm`` are of the label.
    """

    frame: Frame
    grid: Grid
    occupancy: NDArray[np.float32]
    mask: Mask
    top: Floats
    bottom: Floats
    wall_line: Floats
    wall_offset: Floats
    spacing_mm: float

    def wall_y(self, x: Floats, z: Floats) -> Floats:
        """Local y of the posterior wall at local x, z (mm)."""
        offset = np.interp(x, self.grid.x, self.wall_offset)
        wall: Floats = self.wall_line[0] + self.wall_line[1] * z + offset
        return wall

    def contains(self, local: Floats) -> Mask:
        """Which local points (n, 3) of the *label* belong to the body rather than to the arch."""
        step = self.grid.step_mm
        index = np.stack(
            [np.rint((local[:, i] - axis[0]) / step) for i, axis in enumerate((self.grid.x, self.grid.y, self.grid.z))],
            axis=-1,
        ).astype(int)
        shape = np.array(self.mask.shape)
        inside = ((index >= 0) & (index < shape)).all(axis=1)
        wider = max(1, round(0.9 * self.spacing_mm / step))
        (found_at,) = ndimage.find_objects(self.mask.astype(np.uint8))
        box = grow(found_at, wider, self.mask.shape)
        reach = np.zeros_like(self.mask)
        reach[box] = ndimage.binary_dilation(self.mask[box], iterations=wider)
        found = np.zeros(len(local), dtype=bool)
        found[inside] = reach[tuple(index[inside].T)]
        return found & (local[:, 1] >= self.wall_y(local[:, 0], local[:, 2]))


def make_grid(spacing_mm: float) -> Grid:
    """The working grid: as fine as the label, between 0.6 and 1 mm."""
    step = float(np.clip(spacing_mm, 0.6, 1.0))
    x, y, z = (
        np.asarray(np.arange(-round(half / step), round(half / step) + 1) * step, float) for half in HALF_EXTENT_MM
    )
    return Grid(step, x, y, z)


def separate(label: Volume, frame: Frame) -> Body:
    """The body of a whole-vertebra label (0/1), in axes refined on its endplates (three rounds)."""
    spacing = float(label.spacing_mm.max())
    grid = make_grid(float(label.spacing_mm.min()))
    body = _cut(label, frame, grid, spacing)
    for _ in range(2):
        body = _cut(label, _refined(body), grid, spacing)
    return body


def _cut(label: Volume, frame: Frame, grid: Grid, spacing_mm: float) -> Body:
    occupancy = _occupancy(label, frame, grid)
    inside = occupancy >= 0.5
    line, offset = _posterior_wall(inside, grid)
    wall = line[0] + line[1] * grid.z[None, :] + offset[:, None]
    mask = _piece_at_origin(inside & (grid.y[None, :, None] >= wall[:, None, :]), grid)
    top, bottom = _endplates(mask, occupancy, grid)
    if np.isfinite(top).sum() * grid.step_mm**2 < 150:
        raise ImageRejected(
            "No vertebral body was found in the label: check that the label marks one whole vertebra (body and arch)."
        )
    return Body(frame, grid, occupancy, mask, top, bottom, line, offset, spacing_mm)


def _occupancy(label: Volume, frame: Frame, grid: Grid) -> NDArray[np.float32]:
    """The label on the grid, trilinear; worked out only at the heights at which the vertebra's axes meet its box."""
    corners = np.stack(np.meshgrid(*[[-1.0, float(n)] for n in label.voxels.shape], indexing="ij"), axis=-1)
    z = frame.to_local(label.to_mm(corners.reshape(-1, 3)))[:, 2]
    low, high = np.searchsorted(grid.z, z.min()), np.searchsorted(grid.z, z.max(), side="right")
    occupancy = np.zeros((len(grid.x), len(grid.y), len(grid.z)), dtype=np.float32)
    if high > low:
        start = frame.to_mm(np.array([grid.x[0], grid.y[0], grid.z[low]]))
        shape = (len(grid.x), len(grid.y), int(high - low))
        occupancy[:, :, low:high] = label.sample_grid(start, grid.step_mm * frame.axes, shape)
    return occupancy


def _posterior_wall(inside: Mask, grid: Grid) -> tuple[Floats, Floats]:
    """Line (intercept, slope over z) of the wall in the midline, and its lateral offsets (nx,), mm."""
    middle = int(np.argmin(np.abs(grid.y)))
    backwards = inside[:, middle::-1, :]
    left_at = np.where(backwards.all(axis=1), np.nan, np.argmin(backwards, axis=1))
    left_at[~inside[:, middle, :]] = np.nan
    exits = grid.y[middle] - (left_at - 0.5) * grid.step_mm
    band = _central_band(inside, grid)
    line = _midline_wall(exits, band, grid)
    relative = exits - (line[0] + line[1] * grid.z[None, :])
    return line, _lateral_wall(relative[:, band], grid)


def _central_band(inside: Mask, grid: Grid) -> Mask:
    """Heights (nz,) between 12 and 88 % of the body, measured through its centre."""
    column = inside[len(grid.x) // 2, len(grid.y) // 2]
    piece, _ = ndimage.label(column)
    at = int(np.argmin(np.abs(grid.z)))
    if piece[at] == 0:
        raise ImageRejected("The vertebral body was not found in the label: check that it marks a whole vertebra.")
    z = grid.z[piece == piece[at]]
    low, high = z.min() + 0.12 * np.ptp(z), z.max() - 0.12 * np.ptp(z)
    band: Mask = (grid.z >= low) & (grid.z <= high)
    return band


def _midline_wall(exits: Floats, band: Mask, grid: Grid) -> Floats:
    central = np.abs(grid.x) <= _MIDLINE_MM
    z = np.broadcast_to(grid.z[band], (int(central.sum()), int(band.sum())))
    y = exits[central][:, band]
    good = np.isfinite(y)
    if good.sum() < 6:
        return np.array([float(grid.y[0]), 0.0])
    return robust_line(z[good], y[good])


def robust_line(x: Floats, y: Floats) -> Floats:
    """Intercept and slope of y over x, least squares with the points beyond 2.5 (robust) SD left out, three rounds."""
    keep = np.ones(len(x), dtype=bool)
    line = np.array([float(np.mean(y)), 0.0])
    for _ in range(3):
        if keep.sum() < 3 or np.ptp(x[keep]) < 1e-9:
            break
        design = np.stack([np.ones(int(keep.sum())), x[keep]], axis=-1)
        line = np.linalg.lstsq(design, y[keep], rcond=None)[0]
        residual = np.abs(y - line[0] - line[1] * x)
        keep = residual <= 2.5 * max(1.4826 * float(np.median(residual)), 0.15)
    return line


def _lateral_wall(relative: Floats, grid: Grid) -> Floats:
    """Offset of the wall at each x: over the canal the median, elsewhere what is seen above and below the pedicle."""
    central = np.abs(grid.x) <= _MIDLINE_MM
    offsets = np.where(central, _quantile(relative, 0.5), _quantile(relative, 0.72))
    seen = np.isfinite(relative).sum(axis=1) >= 0.5 * relative.shape[1]
    offsets[~seen | ~(offsets > -6.0)] = np.nan
    known = np.isfinite(offsets)
    if not known.any():
        return np.zeros(len(grid.x))
    filled = _round_corners(grid.x, offsets)
    return np.asarray(ndimage.median_filter(filled, size=max(3, round(5.0 / grid.step_mm) | 1), mode="nearest"))


def _quantile(rows: Floats, share: float) -> Floats:
    """The quantile of each row's known values (not NaN), NaN where there is none."""
    ordered = np.sort(rows, axis=1)
    at = share * np.maximum(np.isfinite(rows).sum(axis=1) - 1, 0)
    low = at.astype(int)
    each = np.arange(len(rows))
    lower, upper = ordered[each, low], ordered[each, np.ceil(at).astype(int)]
    quantile: Floats = lower + (at - low) * (upper - lower)
    return quantile


def _round_corners(x: Floats, offsets: Floats) -> Floats:
    """Unknown offsets (NaN), behind which a pedicle joins, filled: the outline turns forwards as an ellipse does."""
    known = np.flatnonzero(np.isfinite(offsets))
    filled: Floats = np.interp(x, x[known], offsets[known])
    for left, right in pairwise(known):
        inner, outer = (left, right) if abs(x[left]) <= abs(x[right]) else (right, left)
        rise = float(offsets[outer] - offsets[inner])
        if right - left > 1 and rise > 0:
            gap = slice(left + 1, right)
            share = (x[gap] - x[inner]) / (x[outer] - x[inner])
            filled[gap] = offsets[inner] + rise * (1 - np.sqrt(1 - share**2))
    return filled


def _piece_at_origin(mask: Mask, grid: Grid) -> Mask:
    (box,) = ndimage.find_objects(mask.astype(np.uint8)) or [None]
    if box is None:
        return mask
    pieces = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(mask[box], output=pieces[box])
    centre = pieces[len(grid.x) // 2, len(grid.y) // 2, len(grid.z) // 2]
    if centre == 0:
        sizes = np.bincount(pieces.reshape(-1))
        sizes[0] = 0
        centre = int(np.argmax(sizes))
    piece: Mask = pieces == centre
    return piece


def _endplates(mask: Mask, occupancy: NDArray[np.float32], grid: Grid) -> tuple[Floats, Floats]:
    """Local z of the upper and lower surface over each (x, y), by where the label's interpolation crosses one half."""
    centre = int(np.argmin(np.abs(grid.z)))
    top = _crossing(mask[:, :, centre:], occupancy[:, :, centre:], grid.z[centre:])
    bottom = _crossing(mask[:, :, centre::-1], occupancy[:, :, centre::-1], grid.z[centre::-1])
    return top, bottom


def _crossing(mask: Mask, occupancy: NDArray[np.float32], axis: Floats) -> Floats:
    """Along the last axis: where a run of ``mask`` that starts at index 0 ends, at the 0.5 level of ``occupancy``."""
    first_out = np.argmin(mask, axis=-1)
    started = mask[..., 0] & ~mask.all(axis=-1)
    last_in = np.clip(first_out - 1, 0, None)
    a = np.take_along_axis(occupancy, last_in[..., None], axis=-1)[..., 0].astype(float)
    b = np.take_along_axis(occupancy, (last_in + 1)[..., None], axis=-1)[..., 0].astype(float)
    share = np.where(a - b > 1e-6, (a - 0.5) / np.where(a - b > 1e-6, a - b, 1.0), 0.5)
    position = axis[last_in] + np.clip(share, 0.0, 1.0) * (axis[1] - axis[0])
    return np.where(started, position, np.nan)


def plane_fit(surface: Floats, grid: Grid, where: Mask) -> Floats:
    """(a, b, c) of z = a + b x + c y over the cells of ``where``; outliers beyond 2.5 (robust) SD left out."""
    i, j = np.nonzero(where & np.isfinite(surface))
    x, y, z = grid.x[i], grid.y[j], surface[i, j]
    keep = np.ones(len(z), dtype=bool)
    plane = np.array([float(np.mean(z)), 0.0, 0.0])
    for _ in range(3):
        design = np.stack([np.ones(int(keep.sum())), x[keep], y[keep]], axis=-1)
        plane = np.linalg.lstsq(design, z[keep], rcond=None)[0]
        residual = np.abs(z - plane[0] - plane[1] * x - plane[2] * y)
        keep = residual <= 2.5 * max(1.4826 * float(np.median(residual)), 0.2)
    return plane


def outline(body: Body, inset_mm: float) -> Mask:
    """Cells (nx, ny) of the body's outline at least ``inset_mm`` from its rim."""
    seen = np.isfinite(body.top) & np.isfinite(body.bottom)
    return np.asarray(ndimage.distance_transform_edt(seen) * body.grid.step_mm > inset_mm)


def endplate_normals(body: Body) -> tuple[Floats, Floats]:
    """Unit normals (RAS) of the planes through the upper and the lower endplate, both pointing up."""
    where = outline(body, 2.5)
    normals = []
    for surface in (body.top, body.bottom):
        _, b, c = plane_fit(surface, body.grid, where)
        normals.append(unit(np.array([-b, -c, 1.0])) @ body.frame.axes)
    return normals[0], normals[1]


def _refined(body: Body) -> Frame:
    """The frame with its top square to the mean endplate and its origin in the middle of the body."""
    up, low = endplate_normals(body)
    i, j, k = np.nonzero(body.mask)
    centre = np.array([body.grid.x[i].mean(), body.grid.y[j].mean(), body.grid.z[k].mean()])
    return frame_from(body.frame.to_mm(centre), body.frame.axes[1], up + low, body.frame.has_arch)
