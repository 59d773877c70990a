"""Endplates of a coarse scan, placed below the size of a voxel by the scan's own grey values.

With slices of 3 mm the label of a flat endplate can only be right to 1.5 mm, and a wedge of 5 degrees is one step.
The grey values say more: a voxel that the endplate cuts holds a mixture of disc, cortex and trabecular bone. A model of
that mixture (a step, a thin bright shell, the voxel's own shape) is fitted to the voxels on both sides of an endplate.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from features.ct.body import Body, outline
from features.ct.heights import BENDING, Plate, plate_terms
from features.ct.volume import Floats, Volume

#: Thickness of an endplate with its cortex, mm, and how far it may vary; a coarse scan cannot tell it from its density.
SHELL_MM, SHELL_SD_MM = 1.2, 0.25
#: Weight of what is known beforehand (the label is right on average, tissues look the same all around) per voxel.
PRIOR_WEIGHT = 0.05
#: Bending costs this much more than in the label's fit, by term: hollow plates bend (x², y²), few are skew (y³).
STIFFNESS = np.array([0.0, 0.0, 0.6, 3.0, 0.0, 0.6, 0.6, 3.0])
#: Voxels up to this size place an endplate well enough by the label alone, mm.
REFINE_ABOVE_MM = 1.05
_MOST_VOXELS = 2500


def refine_plates(body: Body, plates: tuple[Plate, Plate], scan: Volume) -> tuple[Plate, Plate]:
    """``plates`` of the label moved to where the grey values of ``scan`` (HU, around the vertebra) put them.

    A plate is left as it was where the scan shows no shell there, or would move it by more than one voxel.
    """
    upper, lower = (_refine(body, plate, scan, side) for plate, side in zip(plates, (1.0, -1.0), strict=True))
    return upper, lower


def _refine(body: Body, plate: Plate, scan: Volume, side: float) -> Plate:
    from scipy.optimize import least_squares  # slow to import, and fine scans do not need it

    local, hu = _voxels_near(body, plate, scan, side)
    if len(hu) < 40:
        return plate
    offsets = _voxel_offsets(body, plate, scan, side)
    reach = float(np.abs(offsets).max())
    start = _start(plate, local, hu, side, reach)
    terms = plate_terms(local[:, 0], local[:, 1])
    weight = np.exp(-((local[:, 0] / 14.0) ** 2) / 2)
    damping = BENDING * STIFFNESS * np.sqrt(len(hu))

    def residuals(p: Floats) -> Floats:
        misfit = (_model(p, terms, local[:, 2], side, offsets) - hu) / 40.0 * weight
        lift = float((terms @ (p[:8] - start[:8])).mean()) / (0.5 * reach)
        guesses = (p[8:10] - start[8:10]) / (15.0, 10.0)
        known = np.array([lift, *guesses, (p[11] - SHELL_MM) / SHELL_SD_MM, (p[12] - 0.5) / 0.2])
        prior = known * PRIOR_WEIGHT * np.sqrt(len(hu))
        return np.concatenate([misfit, damping * (p[:8] - start[:8]) / max(1.0, reach), prior])

    low = np.concatenate([np.full(8, -np.inf), [-200.0, -500.0, 0.0, 0.4, 0.15]])
    high = np.concatenate([np.full(8, np.inf), [400.0, 900.0, 3000.0, 2.0, 1.2]])
    scale = np.concatenate([[1, 0.1, 5e-3, 3e-4, 0.1, 5e-3, 5e-3, 3e-4], [50.0, 50.0, 300.0, 0.3, 0.3]])
    fits = [
        least_squares(
            residuals,
            np.clip(at, low + 1e-6, high - 1e-6),
            bounds=(low, high),
            x_scale=scale,
            max_nfev=20,
            loss="soft_l1",
        )
        for at in _starts(start, reach)
    ]
    fit = min(fits, key=lambda f: float(f.cost))
    moved = terms @ (fit.x[:8] - plate.coefficients)
    if fit.x[10] < 60.0 or float(np.abs(moved).mean()) > 2 * reach:
        return plate
    return Plate(np.asarray(fit.x[:8]), plate.seen_y)


def _starts(start: Floats, reach: float) -> list[Floats]:
    """The label's plate, and the same laid level and half a voxel up or down: the stair-steps hide which it is."""
    starts = [start]
    for lift in (0.0, -0.5, 0.5):
        level = start.copy()
        level[1:8] = 0.0
        level[0] += lift * reach
        starts.append(level)
    return starts


def _start(plate: Plate, local: Floats, hu: Floats, side: float, reach: float) -> Floats:
    depth = side * (plate.over(local[:, 0], local[:, 1]) - local[:, 2])
    outside, inside = hu[depth < -reach], hu[depth > reach + 1.0]
    soft = float(np.median(outside)) if len(outside) else 60.0
    bone = float(np.median(inside)) if len(inside) else float(np.median(hu))
    return np.concatenate([plate.coefficients, [soft, bone, 400.0, SHELL_MM, 0.5]])


def _model(p: Floats, terms: Floats, z: Floats, side: float, offsets: Floats) -> Floats:
    """HU expected of each voxel: ``p`` is the surface (8), HU outside, inside, added by the shell, thickness, blur."""
    soft, bone, shell, thickness, blur = p[8:]
    slope = np.hypot(p[1], p[4])
    outward = side * (z - terms @ p[:8]) / np.sqrt(1 + slope**2)
    axis = np.arange(-9.0, 9.01, 0.15)
    table = ndtr((axis[:, None] + offsets) / blur).mean(axis=1)
    beyond = np.interp(outward, axis, table)
    beyond_shell = np.interp(outward + thickness, axis, table)
    return np.asarray(bone + (soft - bone) * beyond + shell * (beyond_shell - beyond))


def _voxel_offsets(body: Body, plate: Plate, scan: Volume, side: float) -> Floats:
    """How far points spread over one voxel lie along the endplate's normal, mm, shape (125,)."""
    normal = np.array([-plate.coefficients[4], -plate.coefficients[1], 1.0]) * side
    normal = (normal / np.linalg.norm(normal)) @ body.frame.axes
    along = scan.affine[:3, :3].T @ normal
    parts = (np.arange(5) + 0.5) / 5 - 0.5
    grid = np.stack(np.meshgrid(parts, parts, parts, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(grid @ along)


def _voxels_near(body: Body, plate: Plate, scan: Volume, side: float) -> tuple[Floats, Floats]:
    """Local points and HU of the scan's voxels on both sides of an endplate, away from the body's rim."""
    index = np.indices(scan.voxels.shape).reshape(3, -1).T.astype(float)
    local = body.frame.to_local(scan.to_mm(index))
    grid = body.grid
    rim = ndimage.binary_erosion(outline(body, 0.5 * body.spacing_mm + 0.8))
    i = np.rint((local[:, 0] - grid.x[0]) / grid.step_mm).astype(int)
    j = np.rint((local[:, 1] - grid.y[0]) / grid.step_mm).astype(int)
    fits = (i >= 0) & (i < len(grid.x)) & (j >= 0) & (j < len(grid.y))
    fits[fits] = rim[i[fits], j[fits]]
    local, hu = local[fits], np.asarray(scan.voxels.reshape(-1)[fits], dtype=float)
    outward = side * (local[:, 2] - plate.over(local[:, 0], local[:, 1]))
    # outside only so far that the next vertebra does not come in
    near = (outward > -(1.6 * body.spacing_mm + 2.0)) & (outward < 1.2 * body.spacing_mm + 1.0)
    near &= (hu > -200) & (hu < 1500)
    local, hu = local[near], hu[near]
    stride = max(1, len(hu) // _MOST_VOXELS)
    return local[::stride], hu[::stride]
