"""Endplates placed below the size of a voxel by the scan's own grey values.

With slices of 3 mm the label of a flat endplate can only be right to 1.5 mm, and a wedge of 5 degrees is one step; at
1 mm it is still half a voxel. The grey values say more (``features.ct.edge``). The best explanation is looked for over
the whole range that the label allows, and looked for again from frames shifted by part of a voxel: where the answers
differ the scan does not say where the endplate is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.ct.body import Body, outline
from features.ct.edge import SHELL, Problem, Steps, fit
from features.ct.heights import BENDING, Plate, plate_terms
from features.ct.volume import Floats, Volume, box_of_points

#: Thickness of an endplate with its cortex, mm, and how far it may vary; a coarse scan cannot tell it from its density.
SHELL_MM, SHELL_SD_MM = 1.2, 0.25
#: Weight of what is known beforehand (the label is right on average, tissues look the same all around) per voxel.
PRIOR_WEIGHT = 0.05
#: Bending costs so much of what it does in the label's fit, by term: hollow plates bend (x², y²), few are skew (y³).
STIFFNESS = np.array([0.0, 0.0, 0.45, 3.0, 0.0, 0.45, 0.45, 3.0])
#: Finer labels and scans place an endplate well enough by the label alone, mm.
REFINE_ABOVE_MM = 0.6
#: The fit is repeated from starts so far beside the label's plate, in voxels.
SHIFTS_VOXELS = (0.0, 1 / 3, -1 / 3)
#: An endplate counts as found where fits from shifted frames agree so far, mm and in voxels (the larger counts).
AGREE_MM, AGREE_VOXELS = 0.5, 0.35
#: An endplate farther than this from the label's is another structure, voxels.
FARTHEST_VOXELS = 1.5
#: A shell that adds less than this is none, HU.
FAINTEST_SHELL_HU = 60.0
#: Nearer to the rim than this and most of a voxel, the wall's cortex mixes in.
_WALL_MM = 1.2
#: The label's skew terms (y³, x²y) are its stair-steps.
_NOT_SKEW = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
_MOST_VOXELS = 1800
_SEARCH_VOXELS = 500


@dataclass(frozen=True, slots=True)
class Refined:
    """An endplate and whether the scan placed it (``sure``), else it is the label's."""

    plate: Plate
    sure: bool


def refine_plates(body: Body, plates: tuple[Plate, Plate], scan: Volume) -> tuple[Refined, Refined]:
    """``plates`` of the label moved to where the grey values of ``scan`` (HU, around the vertebra) put them."""
    upper, lower = (_refine(body, plate, scan, side) for plate, side in zip(plates, (1.0, -1.0), strict=True))
    return upper, lower


def _refine(body: Body, plate: Plate, scan: Volume, side: float) -> Refined:
    near = _near(body, plate, scan, side)
    found = [_place(near, plate, side, share) for share in SHIFTS_VOXELS]
    if any(one is None for one in found):
        return Refined(plate, False)
    y = np.linspace(*found[0].seen_y, 9) if found[0] else np.zeros(0)
    lines = np.stack([one.midline(y) for one in found if one is not None])
    apart = float(np.ptp(lines, axis=0).max())
    agreed = max(AGREE_MM, AGREE_VOXELS * float(scan.spacing_mm.max()))
    if found[0] is None or apart > agreed:
        return Refined(plate, False)
    return Refined(found[0], True)


def _place(near: _Near, plate: Plate, side: float, share: float) -> Plate | None:
    """The endplate by the grey values, or None where no shell is seen; the frame shifted by ``share`` of a voxel.

    Only the fit that is kept, from the frame that is not shifted, is finished on all voxels.
    """
    reach = near.reach
    start = plate.coefficients.copy()
    start[0] += share * 2 * reach
    at, found = Plate(start, plate.seen_y), plate
    for _ in range(2):
        local, hu = near.voxels(at, side)
        if len(hu) < 40:
            return None
        problem = _problem(found, local, hu, side, reach, near.steps)
        thin = problem.thinned(_SEARCH_VOXELS)
        best, _ = min((fit(thin, one) for one in _starts(thin, reach)), key=lambda one: one[1])
        if share == 0:
            best, _ = fit(problem, best)
        moved = float(np.abs(problem.terms @ (best[:8] - found.coefficients)).mean())
        if best[SHELL] < FAINTEST_SHELL_HU:
            return None
        at = found = Plate(np.asarray(best[:8]), (float(local[:, 1].min()), float(local[:, 1].max())))
        if moved < reach:
            break
    away = float(np.abs(problem.terms @ (found.coefficients - plate.coefficients)).mean())
    return found if away <= FARTHEST_VOXELS * 2 * reach + 0.5 else None


def _problem(plate: Plate, local: Floats, hu: Floats, side: float, reach: float, steps: Steps) -> Problem:
    root = float(np.sqrt(len(hu)))
    surface = BENDING * STIFFNESS * root
    surface[[3, 7]] /= max(1.0, reach)
    known = PRIOR_WEIGHT * root / np.array([15.0, 10.0, np.inf, SHELL_SD_MM, 0.2])
    return Problem(
        plate_terms(local[:, 0], local[:, 1]),
        local[:, 2],
        hu,
        np.exp(-((local[:, 0] / 14.0) ** 2) / 2),
        side,
        steps,
        _prior(plate, local, hu, side, reach),
        np.concatenate([surface, known]),
        PRIOR_WEIGHT * root / (0.5 * reach),
    )


def _prior(plate: Plate, local: Floats, hu: Floats, side: float, reach: float) -> Floats:
    depth = side * (plate.over(local[:, 0], local[:, 1]) - local[:, 2])
    outside, inside = hu[depth < -reach], hu[depth > reach + 1.0]
    soft = float(np.median(outside)) if len(outside) else 60.0
    bone = float(np.median(inside)) if len(inside) else float(np.median(hu))
    return np.concatenate([plate.coefficients * _NOT_SKEW, [soft, bone, 400.0, SHELL_MM, 0.5]])


def _starts(problem: Problem, reach: float) -> list[Floats]:
    """The most promising surfaces of a search over lift and tilt, of the label's plate and of one laid level."""
    level = np.zeros(8)
    level[0] = problem.prior[0]
    lifts = np.linspace(-3, 3, 13) * reach
    tilts = np.array([-1.0, 0.0, 1.0]) * reach / 15.0
    tried = np.stack([problem.prior[:8], level])[:, None, None] + np.zeros((2, len(lifts), len(tilts), 8))
    tried[..., 0] += lifts[:, None]
    tried[..., 1] += tilts
    found, costs = problem.tissues(tried.reshape(-1, 8))
    found = found[np.argsort(costs, kind="stable")]
    starts = [found[0]]
    for p in found[1:]:
        away = [float(np.abs(problem.terms @ (p - other)[:8]).mean()) for other in starts]
        if min(away) > 0.45 * reach:
            starts.append(p)
            if len(starts) == 3:
                break
    return starts


def _voxel_offsets(body: Body, plate: Plate, scan: Volume, side: float) -> Floats:
    """How far points spread over one voxel lie along the endplate's normal, mm, shape (125,)."""
    normal = np.array([-plate.coefficients[4], -plate.coefficients[1], 1.0]) * side
    normal = (normal / np.linalg.norm(normal)) @ body.frame.axes
    along = scan.affine[:3, :3].T @ normal
    parts = (np.arange(5) + 0.5) / 5 - 0.5
    grid = np.stack(np.meshgrid(parts, parts, parts, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(grid @ along)


@dataclass(frozen=True, slots=True)
class _Near:
    """Voxels wherever the search for one endplate may lead: local points (n, 3) away from the body's rim, and HU.

    ``reach``: half a voxel along the endplate's normal, mm. ``inward`` and ``beyond``: how far from it is looked, mm.
    """

    local: Floats
    hu: Floats
    reach: float
    steps: Steps
    inward: float
    beyond: float

    def voxels(self, plate: Plate, side: float) -> tuple[Floats, Floats]:
        """Local points and HU of the voxels on both sides of ``plate``."""
        outward = side * (self.local[:, 2] - plate.over(self.local[:, 0], self.local[:, 1]))
        # outside only so far that the next vertebra does not come in
        near = (outward > -self.inward) & (outward < self.beyond) & (self.hu > -200) & (self.hu < 1500)
        local, hu = self.local[near], self.hu[near]
        stride = max(1, len(hu) // _MOST_VOXELS)
        return local[::stride], hu[::stride]


def _near(body: Body, plate: Plate, scan: Volume, side: float) -> _Near:
    offsets = _voxel_offsets(body, plate, scan, side)
    reach = float(np.abs(offsets).max())
    inward, beyond = 1.6 * body.spacing_mm + 2.0, 1.2 * body.spacing_mm + 1.0
    grid = body.grid
    rim = outline(body, _WALL_MM + 0.9 * body.spacing_mm)
    i, j = np.nonzero(rim)
    z = plate.over(grid.x[i], grid.y[j])
    spare = 2 * FARTHEST_VOXELS * reach + 0.5
    slab = [np.stack([grid.x[i], grid.y[j], z + side * by], axis=-1) for by in (-inward - spare, beyond + spare)]
    box = box_of_points(scan, body.frame.to_mm(np.concatenate(slab)), 0.0)
    part = scan.crop(box)
    local = body.frame.to_local(part.to_mm(np.indices(part.voxels.shape).reshape(3, -1).T.astype(float)))
    i = np.rint((local[:, 0] - grid.x[0]) / grid.step_mm).astype(int)
    j = np.rint((local[:, 1] - grid.y[0]) / grid.step_mm).astype(int)
    fits = (i >= 0) & (i < len(grid.x)) & (j >= 0) & (j < len(grid.y))
    fits[fits] = rim[i[fits], j[fits]]
    hu = np.asarray(part.voxels.reshape(-1)[fits], dtype=float)
    return _Near(local[fits], hu, reach, Steps.of(offsets), inward, beyond)
