"""The continuity of the cortical shell, site by site, and gas inside the body.

The surface of the label is walked over; at each point the brightest voxel on a short line through the shell is taken. A
connected patch whose brightest voxels stay below half-way between trabecular bone and this body's usual shell is a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from features.ct.body import Body, Mask, outline
from features.ct.density import GAS_HU, lookup
from features.ct.volume import Array, Floats, Volume, depth_mm

#: Coarser voxels than this hide a gap in the shell, mm.
ASSESSABLE_MM = 1.25
#: Operating point: a gap as wide as this (diameter of the largest circle in it) is called a breach, mm.
BREACH_WIDTH_MM = 2.0
#: The basivertebral vein leaves through the middle of the posterior wall: up to this width that gap is normal, mm.
FORAMEN_WIDTH_MM = 5.0
SITES = ("superior_endplate", "inferior_endplate", "anterior", "lateral_left", "lateral_right", "posterior")
_DEPTHS_MM = np.arange(-3.0, 1.76, 0.25)
_ANGLES = 180
#: How far a pedicle's inside reaches into the body, and how far under an endplate it is looked for, mm.
_PEDICLE_ROOT_MM, _UNDER_PLATE_MM = 4.0, 1.5


@dataclass(frozen=True, slots=True)
class Site:
    """The shell at one site: share of it below cortical density, its widest gap's extent and
    width (farthest points, largest circle in it; mm) and place (RAS).

    ``breached`` is None where the shell cannot be judged (too coarse, too little contrast, nothing seen).
    """

    below_share: float
    gap_mm: float
    gap_width_mm: float
    breached: bool | None
    gap_points_mm: Floats


@dataclass(frozen=True, slots=True)
class Shell:
    """All sites of one body and the density they were judged by; ``foramen_width_mm`` is the basivertebral gap's."""

    sites: Mapping[str, Site]
    threshold_hu: float
    assessable: bool
    reason: str
    foramen_width_mm: float


def measure_shell(body: Body, scan: Volume, trabecular_hu: float) -> Shell:
    """Judges the shell of ``body`` in ``scan`` (HU); ``trabecular_hu`` is the CT value of the eroded body."""
    if float(scan.spacing_mm.max()) > ASSESSABLE_MM + 1e-6:
        return _unassessable(f"voxels above {ASSESSABLE_MM} mm hide gaps in the shell")
    if not np.isfinite(trabecular_hu):
        return _unassessable("no trabecular value to compare the shell with")
    patches = [*_plates(body, scan), _walls(body, scan)]
    peaks = np.concatenate([patch.peak[patch.seen] for patch in patches])
    if len(peaks) == 0 or float(np.median(peaks)) - trabecular_hu < 80.0:
        return _unassessable("the shell is not denser than the bone inside it")
    threshold = trabecular_hu + 0.5 * (float(np.median(peaks)) - trabecular_hu)
    sites, foramen = {}, 0.0
    for patch in patches:
        for name, where in patch.sites.items():
            site, vein = _judge(patch, where, name, threshold, body)
            sites[name] = site
            foramen = max(foramen, vein)
    return Shell({name: sites[name] for name in SITES}, threshold, True, "", foramen)


def _unassessable(reason: str) -> Shell:
    nothing = Site(float("nan"), float("nan"), float("nan"), None, np.zeros((0, 3)))
    return Shell(dict.fromkeys(SITES, nothing), float("nan"), False, reason, float("nan"))


@dataclass(frozen=True, slots=True)
class _Patch:
    """A piece of surface as a 2-D map: local points (m, n, 3), brightest HU, cell sizes in mm, and its sites."""

    points: Floats
    peak: Floats
    seen: Mask
    cell_mm: tuple[float, float]
    sites: Mapping[str, Mask]
    wraps: bool


def _peaks(points: Floats, normals: Floats, body: Body, scan: Volume) -> Floats:
    """Brightest HU on the line through each point along its outward normal."""
    lines = points[..., None, :] + _DEPTHS_MM[:, None] * normals[..., None, :]
    values = scan.sample(body.frame.to_mm(lines), outside=-2000.0)
    return np.asarray(values.max(axis=-1), dtype=float)


def _plates(body: Body, scan: Volume) -> list[_Patch]:
    grid, patches = body.grid, []
    where = outline(body, 2.0)
    for name, surface, up in (("superior_endplate", body.top, 1.0), ("inferior_endplate", body.bottom, -1.0)):
        smooth = smooth_surface(surface, round(2.0 / grid.step_mm))
        slope_x, slope_y = np.gradient(smooth, grid.step_mm)
        normals = up * np.stack([-slope_x, -slope_y, np.ones_like(smooth)], axis=-1)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        x, y = np.meshgrid(grid.x, grid.y, indexing="ij")
        points = np.stack([x, y, smooth], axis=-1)
        seen = where & ~_over_pedicle(body, points, up)
        peak = np.full(where.shape, np.nan)
        peak[seen] = _peaks(points[seen], normals[seen], body, scan)
        patches.append(_Patch(points, peak, seen, (grid.step_mm, grid.step_mm), {name: seen}, False))
    return patches


def _over_pedicle(body: Body, points: Floats, up: float) -> Mask:
    """The rear of an endplate where the label goes on behind the wall at its height.

    In a crushed body a pedicle reaches the endplate, and what the label then shows there is the pedicle's surface.
    """
    z = points[..., 2] - up * _UNDER_PLATE_MM
    wall = body.wall_y(points[..., 0], z)
    behind = np.stack([points[..., 0], wall - 3.0, z], axis=-1)
    near = points[..., 1] < wall + _PEDICLE_ROOT_MM
    joined = near & (lookup(body.occupancy, body, behind.reshape(-1, 3), 0.0).reshape(near.shape) > 0.5)
    return np.asarray(ndimage.binary_dilation(joined, iterations=3))


def smooth_surface(surface: Floats, size: int) -> Floats:
    """Gaussian smoothing of a height map that ignores its unknown cells and fills them from their neighbours."""
    known = np.isfinite(surface)
    weight = ndimage.gaussian_filter(known.astype(float), max(1, size))
    total = ndimage.gaussian_filter(np.where(known, surface, 0.0), max(1, size))
    filled: Floats = np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), 0.0)
    return filled


def _walls(body: Body, scan: Volume) -> _Patch:
    """The side of the body as a map of angle (0 = front, left half first) by height."""
    grid = body.grid
    ys = grid.y[body.mask.any(axis=(0, 2))]
    centre_y = float((ys.min() + ys.max()) / 2)
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    direction = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
    radius = _radius(body, centre_y, direction)
    smooth = ndimage.gaussian_filter(np.nan_to_num(radius), 1.0, mode=("wrap", "nearest"))
    smooth = np.where(np.isfinite(radius), smooth, np.nan)
    xy = np.array([0.0, centre_y]) + radius[..., None] * direction[:, None]
    z = np.broadcast_to(grid.z, radius.shape)
    points = np.concatenate([xy, z[..., None]], axis=-1)
    known = np.isfinite(smooth)
    outline_mm = np.where(known, smooth, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    normals = _wall_normals(outline_mm, direction, radius.shape)
    seen = np.isfinite(radius) & _between_plates(body, points) & ~_joins_arch(body, points, normals)
    peak = np.full(radius.shape, np.nan)
    peak[seen] = _peaks(points[seen], normals[seen], body, scan)
    cell = (float(outline_mm.mean()) * 2 * np.pi / _ANGLES, grid.step_mm)
    return _Patch(points, peak, seen, cell, _wall_sites(body, points, normals, seen), True)


def _radius(body: Body, centre_y: float, direction: Floats) -> Floats:
    """Distance (angles, nz) from the body's axis to its side, NaN where the axis is not in the body."""
    grid = body.grid
    steps = np.arange(0.0, 42.0, 0.25)
    x, y = (direction[:, i, None] * steps + (0.0, centre_y)[i] for i in (0, 1))
    i = np.clip(np.rint((x - grid.x[0]) / grid.step_mm).astype(int), 0, len(grid.x) - 1)
    j = np.clip(np.rint((y - grid.y[0]) / grid.step_mm).astype(int), 0, len(grid.y) - 1)
    inside = body.mask[i, j]
    first_out = np.argmin(inside, axis=1)
    return np.where(inside[:, 0] & ~inside.all(axis=1), steps[first_out] - 0.125, np.nan)


def _wall_normals(radius: Floats, direction: Floats, shape: tuple[int, ...]) -> Floats:
    """Outward normals in the axial plane from the mean outline, shape (angles, nz, 3)."""
    x, y = direction[:, 0] * radius, direction[:, 1] * radius
    along = np.stack([np.roll(x, -2) - np.roll(x, 2), np.roll(y, -2) - np.roll(y, 2)], axis=-1)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    normal *= np.sign((normal * direction).sum(axis=-1, keepdims=True))
    flat = np.concatenate([normal, np.zeros((len(normal), 1))], axis=-1)
    return np.broadcast_to(flat[:, None], (*shape, 3)).copy()


def _between_plates(body: Body, points: Floats) -> Mask:
    """Wall points 2 mm or more from both endplates."""
    flat = np.nan_to_num(points[..., :2] * 0.93).reshape(-1, 2)
    top = lookup(smooth_surface(body.top, 1), body, flat, np.nan).reshape(points.shape[:-1])
    bottom = lookup(smooth_surface(body.bottom, 1), body, flat, np.nan).reshape(points.shape[:-1])
    between: Mask = (points[..., 2] < top - 2.0) & (points[..., 2] > bottom + 2.0)
    return between


def _joins_arch(body: Body, points: Floats, normals: Floats) -> Mask:
    """Where the label goes on beyond the wall: a pedicle, which has no cortex of the body under it."""
    beyond = (points + 3.0 * normals).reshape(-1, 3)
    occupied = lookup(body.occupancy, body, np.nan_to_num(beyond), 0.0).reshape(points.shape[:-1]) > 0.5
    return np.asarray(ndimage.binary_dilation(occupied, iterations=3))


def _wall_sites(body: Body, points: Floats, normals: Floats, seen: Mask) -> Mapping[str, Mask]:
    wall = body.wall_y(points[..., 0], points[..., 2])
    behind = (np.abs(points[..., 1] - wall) < 2.0) & (normals[..., 1] < -0.35)
    front = (normals[..., 1] > np.cos(np.radians(50.0))) & ~behind
    left = (normals[..., 0] < 0) & ~front & ~behind
    right = (normals[..., 0] >= 0) & ~front & ~behind
    parts = {"anterior": front, "lateral_left": left, "lateral_right": right, "posterior": behind}
    return {name: part & seen for name, part in parts.items()}


def _judge(patch: _Patch, where: Mask, name: str, threshold: float, body: Body) -> tuple[Site, float]:
    """One site, and the width of the basivertebral gap if it lies there."""
    if where.sum() < 12:
        return Site(float("nan"), float("nan"), float("nan"), None, np.zeros((0, 3))), 0.0
    low = patch.seen & (np.nan_to_num(patch.peak, nan=1e9) < threshold)
    pieces, count = ndimage.label(low, structure=np.ones((3, 3)))
    if patch.wraps:
        pieces = _join_around(pieces)
    best, foramen = Site(float(low[where].mean()), 0.0, 0.0, False, np.zeros((0, 3))), 0.0
    for number in range(1, count + 1):
        piece = pieces == number
        if (piece & where).sum() * 2 <= piece.sum():
            continue
        width, points = _width(piece, patch), patch.points[piece]
        vein = name == "posterior" and _is_foramen(points, body)
        foramen = max(foramen, width) if vein else foramen
        if width > best.gap_width_mm:
            breached = width >= (FORAMEN_WIDTH_MM if vein else BREACH_WIDTH_MM)
            best = Site(best.below_share, _length(points), width, breached, body.frame.to_mm(points))
    return best, foramen


def _join_around(pieces: Array) -> Array:
    """Pieces that touch across the first and last angle get one number."""
    for left, right in zip(pieces[0], pieces[-1], strict=True):
        if left and right and left != right:
            pieces[pieces == right] = left
    return pieces


def _width(piece: Mask, patch: _Patch) -> float:
    """Diameter of the largest circle in a gap; a circle of one cell is one cell wide."""
    padded = np.pad(piece, 1)
    if patch.wraps:
        padded[0, 1:-1], padded[-1, 1:-1] = piece[-1], piece[0]
    inside = ndimage.distance_transform_edt(padded, sampling=patch.cell_mm)
    return float(2 * inside.max() - min(patch.cell_mm))


def _length(points: Floats) -> float:
    few = points[:: max(1, len(points) // 200)]
    return float(np.linalg.norm(few[:, None] - few[None], axis=-1).max())


def _is_foramen(points: Floats, body: Body) -> bool:
    top, bottom = float(np.nanmedian(body.top)), float(np.nanmedian(body.bottom))
    share = (float(points[:, 2].mean()) - bottom) / (top - bottom)
    return abs(float(points[:, 0].mean())) < 6.0 and 0.3 < share < 0.7


def cleft_volume_ml(body: Body, scan: Volume, trabecular_hu: float) -> float:
    """Gas inside the body, ml: voxels around those below -200 HU, each counted by the share of it that is gas."""
    index = np.argwhere(scan.voxels < GAS_HU - 50.0)
    if len(index) == 0 or not np.isfinite(trabecular_hu):
        return 0.0
    depth = depth_mm(body.mask, body.grid.step_mm)
    local = body.frame.to_local(scan.to_mm(index.astype(float)))
    seeds = np.zeros(scan.voxels.shape, dtype=bool)
    seeds[tuple(index[lookup(depth, body, local, 0.0) > 1.5].T)] = True
    if seeds.sum() < 2:
        return 0.0
    around = ndimage.binary_dilation(seeds, iterations=1)
    share = np.clip((trabecular_hu - scan.voxels[around]) / (trabecular_hu + 1000.0), 0.0, 1.0)
    share = share[share > 0.1]
    return float(share.sum()) * scan.voxel_volume_mm3 / 1000
