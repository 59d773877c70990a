"""Cement in a CT taken after the operation: how much, how it lies in the body, and where it left it.

What is found is a proposal for a reader to confirm: a barium-filled vein and a thin crack look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from features.ct.body import Body, Mask
from features.ct.density import lookup
from features.ct.shell import smooth_surface
from features.ct.volume import Array, Floats, Volume

#: Denser than any bone: cement (or metal). HU.
SEED_HU = 1500.0
#: Smaller pieces are noise or calcium, ml.
SMALLEST_ML = 0.03
#: Closer to an endplate than this counts as touching it, mm; coarse voxels add their own size.
CONTACT_MM = 2.0
_CANAL_HALF_WIDTH_MM, _CANAL_DEPTH_MM = 11.0, 20.0
_CONTACT_AREA_MM2 = 5.0


@dataclass(frozen=True, slots=True)
class Leak:
    """Cement outside the body: ``compartment`` is disc, canal or paravertebral, ``route`` one of leak_routes.

    ``index`` (n, 3): its voxels in the part of the scan that was given.
    """

    compartment: str
    route: str
    vein_like: bool
    volume_ml: float
    centre_mm: tuple[float, float, float]
    index: Array


@dataclass(frozen=True, slots=True)
class Cement:
    """Cement of one vertebra. ``score`` after Feng 2022, ``abc`` after Zhang 2022, ``confluent`` after the study of
    metastases in BMC Musculoskelet Disord 2022 (doi 10.1186/s12891-022-05680-4). ``index`` (n, 3) holds its
    voxels, those of leaks among them, in the part of the scan that was given."""

    volume_ml: float
    volume_in_body_ml: float
    abc: str
    endplate_contact: str
    score: int
    quadrants: tuple[int, ...]
    confluent: bool
    leaks: tuple[Leak, ...]
    index: Array

    @property
    def routes(self) -> frozenset[str]:
        return frozenset(leak.route for leak in self.leaks)


def measure_cement(
    body: Body, scan: Volume, label: Volume, others: Callable[[], Volume], trabecular_hu: float
) -> Cement | None:
    """Cement around ``body``, or None. ``label`` is this vertebra (0/1), ``others`` makes the remaining ones (0/1)."""
    cement = _cement_mask(scan, trabecular_hu)
    if not cement.any():
        return None
    index = np.argwhere(cement)
    points = scan.to_mm(index.astype(float))
    local = body.frame.to_local(points)
    inside = _inside(body, local, scan)
    own = _own(body, local) & (others().sample(points, 0.0, order=0) < 0.5)
    if (inside & own).sum() * scan.voxel_volume_mm3 < 1000 * SMALLEST_ML:
        return None
    in_arch = (
        ~inside & (label.sample(points, 0.0, order=1) > 0.2) & (local[:, 1] < body.wall_y(local[:, 0], local[:, 2]))
    )
    outside = own & ~inside & ~in_arch
    leaks = _leaks(body, scan, index[outside], local[outside])
    ml = scan.voxel_volume_mm3 / 1000
    upper, lower = _contacts(body, local[inside & own], scan)
    quadrants = _quadrants(body, local[inside & own], scan)
    contact = ("none", "lower", "upper", "both")[2 * bool(upper.any()) + bool(lower.any())]
    return Cement(
        volume_ml=float((own & (inside | in_arch)).sum() * ml + sum(leak.volume_ml for leak in leaks)),
        volume_in_body_ml=float((inside & own).sum() * ml),
        abc=("C", "B", "A")[int((upper & lower).sum())],
        endplate_contact=contact,
        score=sum(quadrants) + int(upper.any()) + int(lower.any()),
        quadrants=quadrants,
        confluent=_confluent(scan, index[inside & own]),
        leaks=leaks,
        index=np.concatenate([index[own & (inside | in_arch)], *[leak.index for leak in leaks]]),
    )


def _cement_mask(scan: Volume, trabecular_hu: float) -> Mask:
    """Voxels more than half cement: above half-way between bone and this cement, in pieces that hold a seed."""
    seeds = scan.voxels > SEED_HU
    if seeds.sum() * scan.voxel_volume_mm3 < 1000 * SMALLEST_ML:
        return np.zeros(scan.voxels.shape, dtype=bool)
    bone = trabecular_hu if np.isfinite(trabecular_hu) else 100.0
    half = (float(np.median(scan.voxels[seeds])) + bone) / 2
    pieces, count = ndimage.label(scan.voxels > half, structure=np.ones((3, 3, 3)))
    held = np.zeros(count + 1, dtype=bool)
    held[np.unique(pieces[seeds])] = True
    sizes = np.bincount(pieces.reshape(-1), minlength=count + 1) * scan.voxel_volume_mm3 / 1000
    held &= sizes >= SMALLEST_ML
    held[0] = False
    return np.asarray(held[pieces])


def _inside(body: Body, local: Floats, scan: Volume) -> Mask:
    """In the body, or no farther out than the label's own uncertainty."""
    away = ndimage.distance_transform_edt(~body.mask) * body.grid.step_mm
    return np.asarray(lookup(away, body, local, 99.0) <= 0.75 * max(float(scan.spacing_mm.max()), 1.0))


def _own(body: Body, local: Floats) -> Mask:
    """Near enough to this body to have come from it: half a disc above and below, 25 mm to the sides."""
    top, bottom = float(np.nanmax(body.top)), float(np.nanmin(body.bottom))
    return np.asarray(
        (local[:, 2] < top + 8.0) & (local[:, 2] > bottom - 8.0) & (np.abs(local[:, :2]) < 48.0).all(axis=1)
    )


def _surfaces(body: Body, local: Floats) -> tuple[Floats, Floats]:
    """Height of the upper and lower endplate at local x, y, carried on beyond the outline."""
    size, at = max(1, round(2.0 / body.grid.step_mm)), local[:, :2]
    top = lookup(smooth_surface(body.top, size), body, at, np.nan)
    return top, lookup(smooth_surface(body.bottom, size), body, at, np.nan)


def _contacts(body: Body, local: Floats, scan: Volume) -> tuple[Mask, Mask]:
    """Whether cement touches the upper and the lower endplate, each on the left and the right: two pairs."""
    top, bottom = _surfaces(body, local)
    reach = max(CONTACT_MM, 1.5 * float(scan.spacing_mm.max()))
    area = scan.voxel_volume_mm3 ** (2 / 3)

    def touched(gap: Floats) -> Mask:
        near = gap < reach
        sides = [near & (local[:, 0] < 0), near & (local[:, 0] >= 0)]
        return np.array([_footprint(local[side], area) >= _CONTACT_AREA_MM2 for side in sides])

    return touched(top - local[:, 2]), touched(local[:, 2] - bottom)


def _footprint(local: Floats, cell_mm2: float) -> float:
    """Area of the shadow of some voxels on the axial plane, mm²."""
    size = cell_mm2**0.5
    return len({(int(a), int(b)) for a, b in np.floor(local[:, :2] / size)}) * cell_mm2


def _quadrants(body: Body, local: Floats, scan: Volume) -> tuple[int, ...]:
    """Feng 2022: for each quadrant of the frontal and then the lateral view 1 if more than half is covered, else 0."""
    i, j, k = np.nonzero(body.mask)
    solid = np.stack([body.grid.x[i], body.grid.y[j], body.grid.z[k]], axis=-1)
    step = max(body.grid.step_mm, float(scan.spacing_mm.max()))
    marks: list[int] = []
    for axis in (0, 1):
        whole, filled = (_shadow(points[:, [axis, 2]], step) for points in (solid, local))
        middle = [(min(c[n] for c in whole) + max(c[n] for c in whole)) / 2 for n in (0, 1)]
        for above in (True, False):
            for first in (True, False):
                cells = {c for c in whole if (c[0] < middle[0]) == first and (c[1] > middle[1]) == above}
                marks.append(int(len(cells & filled) > 0.5 * len(cells)))
    return tuple(marks)


def _shadow(points: Floats, step: float) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in np.rint(points / step)}


def _confluent(scan: Volume, index: Array) -> bool:
    """One mass: the largest piece holds at least nine tenths of the cement in the body."""
    mask = np.zeros(scan.voxels.shape, dtype=bool)
    mask[tuple(index.T)] = True
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(pieces[mask])
    return bool(sizes.max() >= 0.9 * sizes.sum())


def _leaks(body: Body, scan: Volume, index: Array, local: Floats) -> tuple[Leak, ...]:
    compartments = _compartments(body, local)
    found: list[Leak] = []
    for compartment in ("disc", "canal", "paravertebral"):
        chosen = compartments == compartment
        mask = np.zeros(scan.voxels.shape, dtype=bool)
        mask[tuple(index[chosen].T)] = True
        pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
        numbers = pieces[tuple(index[chosen].T)]
        for number in range(1, count + 1):
            part = local[chosen][numbers == number]
            if len(part) * scan.voxel_volume_mm3 / 1000 >= SMALLEST_ML:
                found.append(_leak(body, scan, compartment, pieces == number, part, index[chosen][numbers == number]))
    return tuple(found)


def _compartments(body: Body, local: Floats) -> Array:
    """Names (n,) of where points outside the body lie."""
    top, bottom = _surfaces(body, local)
    seen = np.isfinite(body.top)
    over = lookup(ndimage.distance_transform_edt(~seen) * body.grid.step_mm, body, local[:, :2], 99.0) <= 1.5
    wall = body.wall_y(local[:, 0], local[:, 2])
    behind = (
        (local[:, 1] < wall) & (local[:, 1] > wall - _CANAL_DEPTH_MM) & (np.abs(local[:, 0]) < _CANAL_HALF_WIDTH_MM)
    )
    disc = over & ((local[:, 2] > top) | (local[:, 2] < bottom)) & (local[:, 1] >= wall)
    return np.where(disc, "disc", np.where(behind, "canal", "paravertebral"))


def _leak(body: Body, scan: Volume, compartment: str, piece: Mask, local: Floats, index: Array) -> Leak:
    width = 2 * float(ndimage.distance_transform_edt(piece, sampling=scan.spacing_mm).max())
    few = local[:: max(1, len(local) // 200)]
    length = float(np.linalg.norm(few[:, None] - few[None], axis=-1).max())
    vein = width <= 5.0 and length >= 3.0 * width
    rule: dict[str, Callable[[], str]] = {
        "disc": lambda: "D",
        "canal": lambda: "B" if _through_foramen(body, local) else "C",
        "paravertebral": lambda: "S" if vein else "C",
    }
    x, y, z = (float(part) for part in body.frame.to_mm(local.mean(axis=0)))
    volume = len(local) * scan.voxel_volume_mm3 / 1000
    return Leak(compartment, rule[compartment](), vein, volume, (x, y, z), index)


def _through_foramen(body: Body, local: Floats) -> bool:
    """Cement that meets the posterior wall in its middle third, near the midline, came along the basivertebral vein."""
    wall = body.wall_y(local[:, 0], local[:, 2])
    near = local[wall - local[:, 1] < 3.0]
    if len(near) == 0:
        return False
    top, bottom = float(np.nanmedian(body.top)), float(np.nanmedian(body.bottom))
    share = (float(near[:, 2].mean()) - bottom) / (top - bottom)
    return abs(float(near[:, 0].mean())) < 6.0 and 0.3 < share < 0.7
