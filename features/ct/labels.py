"""Which label value is which vertebra: TotalSegmentator (v1, v2), VerSe, names in the file, or told by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from features.ct.limits import refuse
from features.ct.schemes import LEVELS, SCHEMES
from features.ct.volume import Box, Floats, Volume, box_of_points
from features.errors import UsageError

_NAME = re.compile(r"(?<![A-Za-z0-9])(T1[0-2]|T[1-9]|L[1-5])(?![0-9A-Za-z])", re.I)
_WORD = re.compile(r"[a-z]+")
#: What may stand beside a level in the name of a vertebra. A disc, a rib, a process is named by its level too.
_OF_A_VERTEBRA = frozenset({
    "vertebra", "vertebrae", "vertebral", "body", "corpus", "bone", "structure", "of", "the", "thoracic", "lumbar",
    "thoracolumbar", "spine", "spinal", "level", "segment", "label", "mask", "entire", "whole", "fractured", "index",
})  # fmt: skip
_OF_SOMETHING_ELSE = frozenset({
    "disc", "disk", "discs", "disks", "ivd", "intervertebral", "rib", "ribs", "costal", "process", "pedicle", "lamina",
    "facet", "joint", "arch", "endplate", "canal", "cord", "nerve", "root", "foramen", "muscle", "psoas", "ligament",
    "artery", "vein", "cement", "screw", "implant", "rod", "lesion", "tumor", "tumour", "metastasis", "fracture",
    "line", "fragment", "haematoma", "hematoma", "needle",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labels:
    """Label voxels, the box of each level in them, its value, and how the values were understood."""

    volume: Volume
    boxes: Mapping[str, Box]
    values: Mapping[str, int]
    scheme: str


def understand(volume: Volume, names: Mapping[int, str], scheme: str, told: Mapping[str, int]) -> Labels:
    """Levels of a label map: by ``told`` (level -> value), else names in the file, else ``scheme`` ("auto": by order).

    Raises ``ImageRejected`` where no vertebra is labelled or where the order along the spine fits several schemes.
    """
    boxes = _boxes(volume)
    if not boxes:
        raise refuse("empty_labels", "The label map holds no label: supply labels of the vertebrae.", "labels")
    if told:
        return _chosen(volume, boxes, {value: level for level, value in told.items()}, "label-value")
    named = {value: level for value, name in names.items() if value in boxes and (level := _level_named(name))}
    if named:
        return _chosen(volume, boxes, named, "names in the file")
    if scheme != "auto":
        if scheme not in SCHEMES:
            raise UsageError(f"There is no label scheme of that name: choose auto, {', '.join(SCHEMES)}.")
        return _chosen(volume, boxes, SCHEMES[scheme], scheme)
    fitting = [name for name, values in SCHEMES.items() if _in_order(volume, boxes, values)]
    if len(fitting) != 1:
        found = ", ".join(str(value) for value in sorted(boxes)[:12]) + (" ..." if len(boxes) > 12 else "")
        fit = f"fit several schemes ({', '.join(fitting)})" if fitting else "fit no scheme"
        how = "name the scheme (--scheme), or say which value is which (--label-value L1=20 --label-value L2=21)"
        raise refuse("unclear_labels", f"The label values ({found}) {fit}: {how}.", "labels")
    return _chosen(volume, boxes, SCHEMES[fitting[0]], f"{fitting[0]} (by order along the spine)")


def _level_named(name: str) -> str | None:
    """The one vertebra that a label's name means, None for anything else. Parts of a name are divided by ``|``."""
    found: set[str] = set()
    for part in name.replace("_", " ").split("|"):
        levels = {level.upper() for level in _NAME.findall(part)}
        words = set(_WORD.findall(_NAME.sub(" ", part).lower()))
        if words & _OF_SOMETHING_ELSE or (levels and words - _OF_A_VERTEBRA):
            return None
        found |= levels
    return found.pop() if len(found) == 1 else None


def _boxes(volume: Volume) -> dict[int, Box]:
    """The box of every value above 0, read slab by slab in the order of storage: no copy of the whole map is made."""
    found: dict[int, Box] = {}
    order = np.argsort([-abs(step) for step in volume.voxels.strides])
    stored = volume.voxels.transpose(order)
    for start in range(0, stored.shape[0], 16):
        slab = stored[start : start + 16]
        rows = np.flatnonzero(slab.any(axis=2).any(axis=0))
        if len(rows) == 0:
            continue
        part = np.ascontiguousarray(slab[:, rows[0] : rows[-1] + 1])
        for value, box in enumerate(ndimage.find_objects(part), 1):
            if box is not None:
                shifted = [_shifted(box[0], start), _shifted(box[1], int(rows[0])), box[2]]
                x, y, z = (shifted[int(axis)] for axis in np.argsort(order))
                found[value] = _union(found[value], (x, y, z)) if value in found else (x, y, z)
    return found


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _union(a: Box, b: Box) -> Box:
    x, y, z = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return x, y, z


def _chosen(volume: Volume, boxes: Mapping[int, Box], values: Mapping[int, str], scheme: str) -> Labels:
    chosen: dict[str, int] = {}
    for value, level in values.items():
        if value in boxes and chosen.setdefault(level, value) != value:
            detail = f"Two labels are {level}: leave one of them, or say which it is (--label-value {level}=N)."
            raise refuse("unclear_labels", detail, "labels")
    ordered = {level: chosen[level] for level in LEVELS if level in chosen}
    if not ordered and scheme == "label-value":
        raise refuse("empty_labels", "No voxel has the value of --label-value: look at the labels again.", "labels")
    if not ordered:
        raise refuse("empty_labels", "No label is a thoracic or lumbar vertebra: name the scheme.", "labels")
    return Labels(volume, {level: boxes[value] for level, value in ordered.items()}, ordered, scheme)


def _in_order(volume: Volume, boxes: Mapping[int, Box], values: Mapping[int, str]) -> bool:
    """Whether every label is one of the scheme's and the levels follow each other downwards, 12 to 60 mm apart."""
    if not set(boxes) <= set(values) | {25, 26, 28} or len(set(boxes) & set(values)) < 2:
        return False
    return not _out_of_order({values[v]: _middle(volume, box) for v, box in boxes.items() if v in values})


def _out_of_order(places: Mapping[str, Floats]) -> tuple[str, str] | None:
    """The first two levels at ``places`` (RAS mm) of which the lower is not 12 to 60 mm further down for each step."""
    for upper, lower in pairwise(level for level in LEVELS if level in places):
        gap = float(np.linalg.norm(places[upper] - places[lower])) / (LEVELS.index(lower) - LEVELS.index(upper))
        if places[upper][2] <= places[lower][2] or not 12 < gap < 60:
            return upper, lower
    return None


def check_order(centres: Mapping[str, Floats]) -> None:
    """Refuses levels (centres of their bodies, RAS mm) that do not follow each other down the spine.

    Names in a file and values that a user tells can be exchanged as well as those of a scheme.
    """
    if wrong := _out_of_order(centres):
        detail = f"{wrong[0]} and {wrong[1]} do not follow each other down the spine, as if names were exchanged"
        raise refuse("labels_out_of_order", f"{detail}: look at the labels, and say which value is which.", "labels")


def _middle(volume: Volume, box: Box) -> Floats:
    return volume.to_mm(np.array([(part.start + part.stop - 1) / 2 for part in box]))


def check_grid(scan: Volume, labels: Labels) -> None:
    """Refuses labels that do not lie on the scan: shifted against it, or outside its field of view."""
    same_shape = scan.voxels.shape == labels.volume.voxels.shape
    same_steps = np.allclose(scan.affine[:3, :3], labels.volume.affine[:3, :3], atol=1e-3)
    moved = np.abs(scan.affine[:3, 3] - labels.volume.affine[:3, 3]).max()
    if same_shape and same_steps and moved > 0.05:
        raise refuse(
            "labels_shifted", "The labels have the scan's grid but lie beside it: export both again.", "labels"
        )
    for level in labels.boxes:
        box = labels.boxes[level]
        corners = np.array([[p.start, p.stop - 1] for p in box], dtype=float)
        points = labels.volume.to_mm(np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1).reshape(-1, 3))
        at = scan.to_index(points)
        size = np.array(scan.voxels.shape)
        if (at.max(axis=0) < 0).any() or (at.min(axis=0) > size - 1).any():
            raise refuse("labels_outside", "Labels lie outside the scan: supply the labels of this scan.", "labels")


def scan_box(scan: Volume, labels: Labels, level: str, margin_mm: float) -> Box:
    """The part of the scan that holds one labelled vertebra with a margin."""
    corners = np.array([[p.start, p.stop - 1] for p in labels.boxes[level]], dtype=float)
    points = labels.volume.to_mm(np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1).reshape(-1, 3))
    return box_of_points(scan, points, margin_mm)


def neighbour(level: str, step: int) -> str | None:
    """The level ``step`` below (negative: above), or None beyond T1 and L5."""
    at = LEVELS.index(level) + step
    return LEVELS[at] if 0 <= at < len(LEVELS) else None
