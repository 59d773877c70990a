"""The one connected piece of a label that is measured, in the smallest box that holds it.

A label voxel that strayed to the other end of the scan must neither move a measure nor make the box that is worked on
as large as the scan: the box is found in slabs of the label map, of which no more than one is copied at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from features.ct.labels import Labels
from features.ct.volume import Array, Box, Volume, grow

#: No vertebra with its arch and processes reaches farther, mm.
LARGEST_MM = 160.0
#: More than this share of a label outside its largest piece is said.
STRAY_SHARE = 0.02
_BLOCK_MM, _WINDOW_MM = 10.0, 50.0
#: Voxels left free around the piece, so that its surface is seen.
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """The largest piece of one level's label in its ``box`` of the label map, and how much of the label lies elsewhere.

    ``count``: pieces seen.
    """

    box: Box
    count: int
    stray_share: float

    @property
    def warnings(self) -> list[tuple[str, str]]:
        if self.stray_share <= STRAY_SHARE:
            return []
        share = 100 * (1 - self.stray_share)
        detail = f"The label is in {self.count} pieces; the largest, {share:.0f} % of it, was measured."
        return [("label_not_one_piece", detail)]


def pieces(labels: Labels) -> tuple[Labels, Mapping[str, Piece]]:
    """``labels`` with the box of each level shrunk to its largest piece, and those pieces."""
    found = {level: _piece(labels, level) for level in labels.boxes}
    return replace(labels, boxes={level: piece.box for level, piece in found.items()}), found


def piece_box(labels: Labels, level: str) -> Box:
    """The box of a level's label with the margin that ``piece_of`` has around it."""
    return grow(labels.boxes[level], _MARGIN, labels.volume.voxels.shape)


def piece_of(labels: Labels, level: str) -> Volume:
    """0/1 (float32) of the largest piece of ``level`` in ``piece_box``."""
    part = labels.volume.crop(piece_box(labels, level))
    mask, _, _ = _largest(np.asarray(part.voxels) == labels.values[level])
    return replace(part, voxels=mask.astype(np.float32))


def _piece(labels: Labels, level: str) -> Piece:
    box, value = labels.boxes[level], labels.values[level]
    sizes = np.array([part.stop - part.start for part in box]) * labels.volume.spacing_mm
    total = None
    if (sizes > LARGEST_MM).any():
        box, total = _densest(labels.volume, box, value)
    mask, count, kept = _largest(np.asarray(labels.volume.voxels[box]) == value)
    if total is None:
        total = int((np.asarray(labels.volume.voxels[box]) == value).sum())
    (inner,) = ndimage.find_objects(mask.astype(np.uint8))
    tight = tuple(slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, inner, strict=True))
    return Piece((tight[0], tight[1], tight[2]), count, 1 - kept / total)


def _largest(mask: Array) -> tuple[Array, int, int]:
    """The largest connected piece of ``mask`` (bool), the number of pieces and its number of voxels."""
    numbers, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return mask, count, int(mask.sum())
    sizes = np.bincount(numbers.reshape(-1))
    sizes[0] = 0
    return numbers == int(np.argmax(sizes)), count, int(sizes.max())


def _densest(volume: Volume, box: Box, value: int) -> tuple[Box, int]:
    """The part of ``box``, no larger than a vertebra, around where most voxels of ``value`` lie; and their number."""
    blocks = np.maximum(1, np.round(_BLOCK_MM / volume.spacing_mm)).astype(int)
    part = volume.voxels[box]
    starts = [np.arange(0, size, int(by)) for size, by in zip(part.shape, blocks, strict=True)]
    counts = np.zeros([len(start) for start in starts])
    for n, low in enumerate(starts[2]):
        slab = np.asarray(part[:, :, low : low + blocks[2]]) == value
        counts[:, :, n] = np.add.reduceat(np.add.reduceat(slab.sum(axis=2), starts[0], axis=0), starts[1], axis=1)
    window = np.maximum(1, np.round(_WINDOW_MM / (blocks * volume.spacing_mm))).astype(int)
    peak = np.unravel_index(np.argmax(ndimage.uniform_filter(counts, window, mode="constant")), counts.shape)
    half = LARGEST_MM / 2 / volume.spacing_mm
    centre = (np.array(peak) + 0.5) * blocks + [side.start for side in box]
    low, high = np.floor(centre - half).astype(int), np.ceil(centre + half).astype(int)
    inner = tuple(
        slice(max(side.start, int(a)), min(side.stop, int(b))) for side, a, b in zip(box, low, high, strict=True)
    )
    return (inner[0], inner[1], inner[2]), int(counts.sum())
