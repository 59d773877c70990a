"""Where a number comes from: the voxels it was read from, the scan they belong to, the labels, and the method."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.ct.density import Region
from features.ct.labels import Labels
from features.ct.measure import METHOD_VERSION, Measured
from features.ct.raw import Header
from features.ct.volume import Array

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Voxels ``index`` (n, 3) of ``image`` ("image" or "labels") that a value of or about ``level`` was read from."""

    level: str
    image: str
    index: Array


@dataclass(frozen=True, slots=True)
class Value:
    """One value under its dictionary name, how it came about, and the places it was read from.

    ``proposal``: for a reader to confirm, not a finding.
    """

    value: Any
    method: str
    places: tuple[Place, ...]
    proposal: bool = False

    def as_json(self, source: Json) -> Json:
        """With the provenance as it stands beside every value of a report; ``source`` is that of the scan."""
        shown = sorted(self.value) if isinstance(self.value, frozenset) else self.value
        said = {"value": shown, "method": self.method}
        if self.proposal:
            said["proposal"] = True
        return said | place_json(self.places) | {"source": source}


def label_place(one: Measured) -> Place:
    """The label's voxels of one body."""
    return Place(one.level, "labels", one.index)


def scan_place(one: Measured, index: Array) -> Place:
    """Voxels of the scan, given as indices of the part of it around one vertebra."""
    return Place(one.level, "image", index + np.array(one.box_start))


def region_place(one: Measured, region: Region) -> Place:
    return scan_place(one, region.index)


def place_json(places: Sequence[Place]) -> Json:
    """Number and range of voxels (axes right, anterior, superior; both ends included), slices, and a digest.

    Of several places the range is of all together and ``regions`` holds each with its level.
    """
    each = [_one_json(place) for place in places if len(place.index)]
    if not each:
        return {"image": places[0].image if places else None, "voxels": 0, "voxel_range": None, "slices": None,
                "roi_sha256": None}  # fmt: skip
    if len(each) == 1:
        return each[0]
    ranges = [[min(e["voxel_range"][k][0] for e in each), max(e["voxel_range"][k][1] for e in each)] for k in range(3)]
    digest = hashlib.sha256("".join(e["roi_sha256"] for e in each).encode()).hexdigest()[:16]
    images = {e["image"] for e in each}
    return {
        "image": images.pop() if len(images) == 1 else "image and labels",
        "voxels": sum(e["voxels"] for e in each),
        "voxel_range": ranges,
        "slices": ranges[2],
        "roi_sha256": digest,
        "regions": each,
    }


def _one_json(place: Place) -> Json:
    # by column: a column's least and largest are found many times faster than a row of three's
    i, j, k = np.ascontiguousarray(place.index.T, dtype=np.int64)
    ranges = [[int(axis.min()), int(axis.max())] for axis in (i, j, k)]
    low = np.array([first for first, _ in ranges])
    # marked in their box they come out in order, slice by slice, sooner than by sorting
    marked = np.zeros([last - first + 1 for first, last in reversed(ranges)], dtype=bool)
    marked[k - low[2], j - low[1], i - low[0]] = True
    ordered = np.stack(np.nonzero(marked)[::-1], axis=-1) + low
    return {
        "level": place.level,
        "image": place.image,
        "voxels": len(place.index),
        "voxel_range": ranges,
        "slices": ranges[2],
        "roi_sha256": hashlib.sha256(ordered.astype("<i4").tobytes()).hexdigest()[:16],
    }


def levels_read(values: Json) -> set[str]:
    """The levels that a report's ``values`` (name to entry) were read from, or belong to."""
    regions = [region for entry in values.values() for region in (entry, *entry.get("regions", ()))]
    return {region["level"] for region in regions if "level" in region}


def source_of(scan: Header, labels: tuple[Labels, Header]) -> Json:
    """What every value of a report shares: the hashed series, how it was scanned, the labels, the method's version."""
    steps = np.sqrt((np.array(scan.affine)[:3, :3] ** 2).sum(axis=0))
    known = scan.acquisition
    found, header = labels
    return {
        "series": scan.identity,
        "kvp": known.kvp,
        "kernel": known.kernel,
        "slice_thickness_mm": known.slice_thickness_mm,
        "spacing_mm": [round(float(step), 4) for step in steps],
        "contrast": known.contrast,
        "labels": f"{header.source}, {found.scheme}",
        "labels_series": header.identity,
        "method_version": METHOD_VERSION,
    }
