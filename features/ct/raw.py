"""What a decoder hands over: voxels in a plain file and a description beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOXELS_FILE, HEADER_FILE = "voxels.raw", "header.json"


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a scan was made, None where the file does not say. ``contrast``: an agent is named (True), or denied."""

    kvp: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    contrast: bool | None = None
    gantry_tilt_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Header:
    """``shape`` in the order of the file (C order of ``axes``), ``affine`` RAS for voxel indices (i, j, k).

    ``axes`` is the permutation that takes the stored array to (i, j, k). ``names`` are label names by value, where the
    file holds them. ``identity`` is a hash that tells series apart and says nothing of the patient. Of DICOM, likewise
    hashed: ``frame_of_reference``, and the ``series`` and ``instances`` that an image is, or that labels were drawn on.
    ``date`` (ISO) is the day of the scan, for comparing with an operation's; it is written nowhere.
    """

    shape: tuple[int, ...]
    axes: tuple[int, int, int]
    dtype: str
    affine: list[list[float]]
    source: str
    identity: str
    acquisition: Acquisition = field(default_factory=Acquisition)
    names: dict[int, str] = field(default_factory=dict)
    frame_of_reference: str | None = None
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    date: str | None = None


def hashed(identifier: str) -> str:
    """Sixteen hex digits for a series identifier, which cannot be turned back into it."""
    return hashlib.sha256(f"cemrisk-series\0{identifier}".encode()).hexdigest()[:16]


def names_agent(stated: object) -> bool | None:
    """Whether a contrast agent is named: False where it is denied in words, None where nothing is said."""
    text = "" if stated is None else str(stated).strip().upper()
    return None if not text else text not in ("NO", "NONE", "N", "NATIVE", "WITHOUT", "W/O", "NO CONTRAST")


def iso_date(text: str) -> str | None:
    """The ISO date that ``text`` begins with (20240131, 2024-01-31, 20240131083000...), None if there is none."""
    digits = text.strip().replace("-", "")[:8]
    try:
        return datetime.strptime(digits, "%Y%m%d").date().isoformat() if len(digits) == 8 else None
    except ValueError:
        return None


def write_voxels(folder: Path, chunks: Iterable[NDArray[Any]]) -> str:
    """Writes the chunks one after the other and returns the first 16 digits of the SHA-256 of all bytes."""
    digest = hashlib.sha256()
    with (folder / VOXELS_FILE).open("wb") as out:
        for chunk in chunks:
            data = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
            digest.update(data.data)
            out.write(data.data)
    return digest.hexdigest()[:16]


def write_header(folder: Path, header: Header) -> None:
    (folder / HEADER_FILE).write_text(json.dumps(asdict(header)), encoding="utf-8")
