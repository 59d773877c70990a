"""All measures of one labelled vertebra, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.ct.body import HALF_EXTENT_MM, Body, outline, separate
from features.ct.cement import Cement, measure_cement
from features.ct.density import Density, lookup, measure_density
from features.ct.frame import body_centre, estimate_frame, unit
from features.ct.heights import Heights, Plate, label_plates, measure_heights
from features.ct.labels import Labels, check_order, neighbour, scan_box
from features.ct.pieces import Piece, piece_box, piece_of, pieces
from features.ct.refine import REFINE_ABOVE_MM, refine_plates
from features.ct.shell import ASSESSABLE_MM, Shell, cleft_volume_ml, measure_shell
from features.ct.volume import Array, Floats, Volume, grow
from features.errors import ImageRejected

#: Changes with every change of a measure's definition.
METHOD_VERSION = "3"
#: Below this a voxel was never scanned: no tissue and no noise in air is so dark, HU; and how near it may come, mm.
PADDING_HU, PADDING_REACH_MM = -1500.0, 2.0
_SCAN_MARGIN_MM = 22.0
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """One vertebra. ``heights`` and ``volume_ml`` are None where the field of view cuts the body.

    ``index`` (n, 3) are the label's voxels of the body, in the canonical axes of the label map; ``scan`` is the part of
    the scan that was used, ``box_start`` its place in the canonical scan. ``coarsest_mm`` is the largest side of its
    voxels or, where that is more, the thickness of its slices. ``warnings`` are (code, detail).
    """

    level: str
    body: Body
    plates: tuple[Plate, Plate]
    heights: Heights | None
    volume_ml: float | None
    density: Density
    shell: Shell
    cleft_ml: float
    cement: Cement | None
    index: Array
    scan: Volume
    box_start: tuple[int, int, int]
    coarsest_mm: float
    warnings: tuple[tuple[str, str], ...]


def measure_all(
    scan: Volume, labels: Labels, levels: tuple[str, ...], progress: Callable[[str], None]
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measures of ``levels``, and for each level that could not be measured the reason."""
    return measure_pieces(scan, pieces(labels), levels, progress)


def measure_pieces(
    scan: Volume,
    separated: tuple[Labels, Mapping[str, Piece]],
    levels: tuple[str, ...],
    progress: Callable[[str], None],
    slice_mm: float = 0.0,
) -> tuple[dict[str, Measured], dict[str, str]]:
    """As ``measure_all``, of labels as ``pieces`` gives them; ``slice_mm`` is the thickness of the scan's slices.

    Raises ``ImageRejected`` where the levels do not follow each other down the spine.
    """
    labels, found_pieces = separated
    centres = {level: body_centre(piece_of(labels, level)) for level in labels.boxes}
    check_order(centres)
    measured: dict[str, Measured] = {}
    failed: dict[str, str] = {}

    def attempt(level: str) -> Measured | str:
        try:
            warnings = found_pieces[level].warnings
            return measure_one(scan, labels, level, _up(level, centres), centres[level], warnings, slice_mm)
        except ImageRejected as error:
            return str(error)

    # the matrices are tiny: BLAS threads would only wait for each other, while whole vertebrae go well side by side
    with threadpool_limits(limits=1), ThreadPoolExecutor(_AT_ONCE) as pool:
        for level, found in zip(levels, pool.map(attempt, levels), strict=True):
            progress(level)
            if isinstance(found, str):
                failed[level] = found
            else:
                measured[level] = found
    return measured, failed


def measure_one(
    scan: Volume,
    labels: Labels,
    level: str,
    up: Floats,
    centre: Floats,
    warnings: Sequence[tuple[str, str]] = (),
    slice_mm: float = 0.0,
) -> Measured:
    """Measures of one level; ``up`` points roughly to its head end, ``centre`` is a point in its body (RAS mm).

    The boxes of ``labels`` hold one piece each (``pieces``); ``warnings`` are those known so far.
    """
    label, warned = piece_of(labels, level), list(warnings)
    box = scan_box(scan, labels, level, _SCAN_MARGIN_MM)
    part = scan.crop(box).as_float()
    frame = estimate_frame(label, centre, up)
    if not frame.has_arch:
        warned.append(("no_arch", "The label holds no arch: front and back were taken from the scanner's axes."))
    body = separate(label, frame)
    plates = _plates(body, part, warned)
    index, local = _body_voxels(label, body)
    whole = not _cut(scan, labels.volume, label, index) and not _padded(part, body)
    density = measure_density(body, part)
    trabecular = density.eroded.mean_hu
    return Measured(
        level=level,
        body=body,
        plates=plates,
        heights=measure_heights(body, plates) if whole else None,
        volume_ml=_volume_ml(label, body, part, plates, len(local)) if whole else None,
        density=density,
        shell=_shell(body, part, trabecular, slice_mm),
        cleft_ml=cleft_volume_ml(body, part, trabecular),
        cement=measure_cement(body, part, label, lambda: _others(labels, level), trabecular),
        index=index + np.array([p.start for p in piece_box(labels, level)]),
        scan=part,
        box_start=(box[0].start, box[1].start, box[2].start),
        coarsest_mm=max(float(part.spacing_mm.max()), slice_mm),
        warnings=tuple(warned),
    )


def _plates(body: Body, part: Volume, warned: list[tuple[str, str]]) -> tuple[Plate, Plate]:
    """Upper and lower endplate: the label's, placed by the grey values if either is coarse."""
    plates = label_plates(body)
    if not coarse(body, part):
        return plates
    refined = refine_plates(body, plates, part)
    unsure = [name for name, one in zip(("upper", "lower"), refined, strict=True) if not one.sure]
    if unsure:
        where = " and the ".join(unsure)
        detail = f"The scan does not say for sure where the {where} endplate lies: the label's was kept."
        warned.append(("endplate_unsure", detail))
    return refined[0].plate, refined[1].plate


def _shell(body: Body, part: Volume, trabecular: float, slice_mm: float) -> Shell:
    """The shell, judged unless slices too thick for that smear it: a small step between them shows no more."""
    if slice_mm <= ASSESSABLE_MM + 1e-6:
        return measure_shell(body, part, trabecular)
    reason = f"slices above {ASSESSABLE_MM} mm hide gaps in the shell"
    return replace(measure_shell(body, part, float("nan")), reason=reason)


def coarse(body: Body, part: Volume) -> bool:
    """Whether label or scan is so coarse that the grey values must place the endplates."""
    return max(body.spacing_mm, float(part.spacing_mm.max())) > REFINE_ABOVE_MM


def _others(labels: Labels, level: str) -> Volume:
    """0/1 of the neighbouring levels within reach of this one."""
    box = grow(labels.boxes[level], 30.0 / labels.volume.spacing_mm, labels.volume.voxels.shape)
    part = labels.volume.crop(box)
    near = [labels.values[n] for step in (-1, 1) if (n := neighbour(level, step)) in labels.values and n is not None]
    return replace(part, voxels=np.isin(part.voxels, near).astype(np.float32))


def _up(level: str, centres: Mapping[str, Floats]) -> Floats:
    """Towards the head: from the nearest labelled level below to the nearest above, else along the scanner."""
    above, below = neighbour(level, -1), neighbour(level, 1)
    top = centres.get(above, centres[level]) if above else centres[level]
    bottom = centres.get(below, centres[level]) if below else centres[level]
    step = top - bottom
    return unit(step) if np.linalg.norm(step) > 10 else np.array([0.0, 0.0, 1.0])


def _body_voxels(label: Volume, body: Body) -> tuple[Array, Floats]:
    index = np.argwhere(label.voxels > 0.5)
    local = body.frame.to_local(label.to_mm(index.astype(float)))
    inside = body.contains(local)
    return index[inside], local[inside]


def _cut(scan: Volume, whole: Volume, label: Volume, index: Array) -> bool:
    """Whether the body reaches the border of the scan or of the label map."""
    points = label.to_mm(index.astype(float))
    for volume in (scan, whole):
        at = volume.to_index(points)
        if (at < 0.5).any() or (at > np.array(volume.voxels.shape) - 1.5).any():
            return True
    return False


def _padded(part: Volume, body: Body) -> bool:
    """Whether the scanner's filling, outside its round field of view, reaches into the body or to within 2 mm of it."""
    filling = np.argwhere(part.voxels < PADDING_HU)
    if len(filling) == 0:
        return False
    local = body.frame.to_local(part.to_mm(filling.astype(float)))
    near = (np.abs(local) < np.array(HALF_EXTENT_MM)).all(axis=1)
    away = ndimage.distance_transform_edt(~body.mask) * body.grid.step_mm
    return bool((lookup(away, body, local[near], 99.0) <= PADDING_REACH_MM).any())


def _volume_ml(label: Volume, body: Body, part: Volume, plates: tuple[Plate, Plate], voxels: int) -> float:
    """Voxels of the body, corrected by what the refined endplates lie above or below those of the label."""
    counted = voxels * label.voxel_volume_mm3 / 1000
    if not coarse(body, part):
        return counted
    i, j = np.nonzero(outline(body, 1.0))
    x, y = body.grid.x[i], body.grid.y[j]
    thicker = (plates[0].over(x, y) - body.top[i, j]) - (plates[1].over(x, y) - body.bottom[i, j])
    area = float(np.isfinite(body.top).sum()) * body.grid.step_mm**2
    return counted + float(thicker.mean()) * area / 1000
