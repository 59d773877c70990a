"""The CT value: trabecular HU of one vertebral body, by ellipse at mid-body and over the eroded body.

Protocol after Pickhardt 2013: the largest ellipse in the trabecular bone at mid-body, away from cortex, endplates
and the basivertebral plexus. Values hold for 120 kVp without contrast; ``warn`` says where it was otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from features.ct.body import Body, Mask
from features.ct.volume import Array, Floats, Volume, depth_mm

#: Below the first a voxel holds gas, above the second cement or metal, HU.
GAS_HU, FOREIGN_HU = -150.0, 1000.0
#: Sclerosis stands out by this many robust SD, and by at least so many HU, from the region's median.
SCLEROSIS_SD, SCLEROSIS_HU = 4.0, 100.0
_PLEXUS_SHARE = 0.30
_ENOUGH_VOXELS = 600


@dataclass(frozen=True, slots=True)
class Region:
    """Mean and SD of HU over the voxels ``index`` (n, 3) of a scan; shares of voxels that are no trabecular bone.

    ``mean_hu`` leaves gas, foreign and sclerotic voxels out; NaN where nothing is left.
    """

    mean_hu: float
    sd_hu: float
    area_mm2: float
    index: Array
    gas_share: float
    foreign_share: float
    sclerosis_share: float


@dataclass(frozen=True, slots=True)
class Ellipse:
    """In local mm: centre (x, y), half axes, and the height z of its middle."""

    centre: tuple[float, float]
    half_axes: tuple[float, float]
    level_mm: float


@dataclass(frozen=True, slots=True)
class Density:
    """CT values of one body: the protocol's ellipse, the eroded body, and its upper, middle and lower third."""

    ellipse: Ellipse | None
    ellipse_region: Region
    eroded: Region
    thirds: tuple[Region, Region, Region]

    @property
    def least_impacted_hu(self) -> float:
        """The lowest third: impacted trabeculae raise the others."""
        values = [third.mean_hu for third in self.thirds if np.isfinite(third.mean_hu)]
        return min(values) if values else float("nan")


def measure_density(body: Body, scan: Volume) -> Density:
    """``scan`` holds HU around the vertebra. No value is made where fewer than 20 voxels are left."""
    clean = _clean(scan)
    index = _near(body, scan)
    local = body.frame.to_local(scan.to_mm(index.astype(float)))
    depth = _depth(body, local)
    inset = _inset(body, scan, depth)
    core = depth >= inset
    ellipse = largest_ellipse(body, _lateral_inset(scan))
    chosen = _in_ellipse(ellipse, body, local, scan) if ellipse else np.zeros(len(local), dtype=bool)
    height = _relative_height(body, local)
    area = float(np.pi * ellipse.half_axes[0] * ellipse.half_axes[1]) if ellipse else float("nan")
    thirds = [core & (height >= low) & (height < low + 1 / 3) for low in (2 / 3, 1 / 3, 0.0)]
    upper, middle, lower = (_region(scan, clean, index[part], float("nan")) for part in thirds)
    return Density(
        ellipse,
        _region(scan, clean, index[chosen], area),
        _region(scan, clean, index[core], float("nan")),
        (upper, middle, lower),
    )


def _clean(scan: Volume) -> Mask:
    """Voxels that are neither gas nor foreign nor beside such a one (which would be a mixture)."""
    strange = (scan.voxels < GAS_HU) | (scan.voxels > FOREIGN_HU)
    return np.asarray(~ndimage.binary_dilation(strange) if strange.any() else ~strange)


def _near(body: Body, scan: Volume) -> Array:
    """Voxels of the scan inside the box of the body."""
    i, j, k = np.nonzero(body.mask)
    local = np.stack([body.grid.x[i], body.grid.y[j], body.grid.z[k]], axis=-1)
    at = scan.to_index(body.frame.to_mm(local))
    low = np.clip(np.floor(at.min(axis=0)).astype(int), 0, None)
    high = np.minimum(np.ceil(at.max(axis=0)).astype(int) + 1, scan.voxels.shape)
    ranges = [np.arange(a, max(a, b)) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)


def lookup(values: Array, body: Body, local: Floats, outside: float) -> Floats:
    """Nearest entries of an array (3-D, or 2-D over x and y) on the body's grid at local points (n, values.ndim)."""
    origin = np.array([body.grid.x[0], body.grid.y[0], body.grid.z[0]])[: values.ndim]
    index = np.rint((local - origin) / body.grid.step_mm).astype(int)
    inside = ((index >= 0) & (index < np.array(values.shape))).all(axis=1)
    found = np.full(len(local), outside)
    found[inside] = values[tuple(index[inside].T)]
    return found


def _depth(body: Body, local: Floats) -> Floats:
    """Distance of local points to the body's surface, mm; 0 outside."""
    return lookup(depth_mm(body.mask, body.grid.step_mm), body, local, 0.0)


def _lateral_inset(scan: Volume) -> float:
    """How far from the outline trabecular bone is free of cortex: 1.5 mm of cortex and 1.5 voxels, at least 3.5 mm."""
    return max(3.5, 1.5 + 1.5 * float(np.median(scan.spacing_mm)))


def _inset(body: Body, scan: Volume, depth: Floats) -> float:
    """Depth below the surface that is trabecular; less in a crushed body, where nothing would be left."""
    wish = max(4.0, 1.5 + 1.5 * float(scan.spacing_mm.max()))
    for inset in np.arange(wish, 1.9, -0.5):
        if (depth >= inset).sum() * scan.voxel_volume_mm3 > 1500:
            return float(inset)
    return 2.0


def _relative_height(body: Body, local: Floats) -> Floats:
    top = lookup(body.top, body, local[:, :2], np.nan)
    bottom = lookup(body.bottom, body, local[:, :2], np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray((local[:, 2] - bottom) / (top - bottom))


def largest_ellipse(body: Body, inset_mm: float) -> Ellipse | None:
    """The largest ellipse, its axes along the vertebra's, in the mid-body section clear of cortex and plexus."""
    level = _mid_level(body)
    free = _free_section(body, level, inset_mm)
    if not free.any():
        return None
    outside = np.argwhere(~free & ndimage.binary_dilation(free))
    grid = body.grid
    edge = np.stack([grid.x[outside[:, 0]], grid.y[outside[:, 1]]], axis=-1)
    i, j = np.nonzero(free)
    centres = np.stack([grid.x[i], grid.y[j]], axis=-1)
    centres = centres[:: max(1, len(centres) // 250)]
    best, found = 0.0, None
    for aspect in np.arange(0.8, 2.61, 0.2):
        offset = edge[None] - centres[:, None]
        half_y = np.sqrt((offset[..., 0] / aspect) ** 2 + offset[..., 1] ** 2).min(axis=1) - 0.5 * grid.step_mm
        at = int(np.argmax(half_y))
        if half_y[at] > 0 and aspect * half_y[at] ** 2 > best:
            best = float(aspect * half_y[at] ** 2)
            found = Ellipse(
                (float(centres[at, 0]), float(centres[at, 1])),
                (float(aspect * half_y[at]), float(half_y[at])),
                level,
            )
    return found


def _mid_level(body: Body) -> float:
    return float(np.nanmedian((body.top + body.bottom) / 2))


def _free_section(body: Body, level: float, inset_mm: float) -> Mask:
    """Cells (nx, ny) of the mid-body section ``inset_mm`` from its outline and in front of the plexus."""
    grid = body.grid
    section = body.mask[:, :, int(np.argmin(np.abs(grid.z - level)))]
    inner = ndimage.distance_transform_edt(section) * grid.step_mm > inset_mm
    ys = grid.y[section.any(axis=0)]
    if len(ys) == 0:
        return np.zeros_like(section)
    wall = body.wall_y(np.zeros(1), np.full(1, level))[0]
    plexus = wall + _PLEXUS_SHARE * (ys.max() - wall)
    return np.asarray(inner & (grid.y[None, :] > plexus))


def _in_ellipse(ellipse: Ellipse, body: Body, local: Floats, scan: Volume) -> Mask:
    """Voxels in the ellipse over a slab of 3 mm, or of as much of mid-body as gives the mean enough voxels."""
    a, b = ellipse.half_axes
    across = ((local[:, 0] - ellipse.centre[0]) / a) ** 2 + ((local[:, 1] - ellipse.centre[1]) / b) ** 2 <= 1
    height = float(np.nanmedian(body.top - body.bottom))
    wanted = _ENOUGH_VOXELS * scan.voxel_volume_mm3 / (np.pi * a * b)
    half = float(np.clip(wanted, 3.0, max(3.0, 0.45 * height))) / 2
    return np.asarray(across & (np.abs(local[:, 2] - ellipse.level_mm) <= half))


def _region(scan: Volume, clean: Mask, index: Array, area_mm2: float) -> Region:
    hu = np.asarray(scan.voxels[tuple(index.T)], dtype=float) if len(index) else np.zeros(0)
    gas, foreign = hu < GAS_HU, hu > FOREIGN_HU
    bone = hu[clean[tuple(index.T)]] if len(index) else hu
    dense = _dense(bone)
    sclerosis = float(dense.mean()) if len(bone) else 0.0
    bone = bone[~dense]
    enough = len(bone) >= 20
    count = max(1, len(hu))
    return Region(
        float(bone.mean()) if enough else float("nan"),
        float(bone.std(ddof=1)) if enough else float("nan"),
        area_mm2,
        index,
        float(gas.sum() / count),
        float(foreign.sum() / count),
        sclerosis,
    )


def _dense(bone: Floats) -> Mask:
    """Which values stand out as sclerosis (impacted or reactive bone, a bone island)."""
    if len(bone) == 0:
        return np.zeros(0, dtype=bool)
    middle = float(np.median(bone))
    spread = 1.4826 * float(np.median(np.abs(bone - middle)))
    return np.asarray(bone > middle + max(SCLEROSIS_SD * spread, SCLEROSIS_HU))
