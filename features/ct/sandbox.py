"""Reads an image through a child process with limits, and maps what it decoded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from features.ct.decode import ERROR_FILE
from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import HEADER_FILE, VOXELS_FILE, Acquisition, Header
from features.ct.volume import Volume, canonical
from features.errors import Finding, ImageRejected

#: What Python, OpenBLAS and the dynamic loader say when the limit on memory stops them.
_OUT_OF_MEMORY = (b"MemoryError", b"Memory allocation", b"failed to map segment", b"Cannot allocate memory")


@contextmanager
def opened(path: Path, role: str, limits: Limits) -> Iterator[tuple[Volume, Header]]:
    """The decoded ``path`` with axes nearest to right, anterior, superior; ``role`` is "image" or "labels".

    The voxels live in a temporary file that is gone when the block ends. Raises ``ImageRejected``.
    """
    with tempfile.TemporaryDirectory(prefix="cemrisk-ct-") as name:
        folder = Path(name)
        _run(path, folder, role, limits)
        volume, header = _read(folder)
        yield canonical(volume), header


@contextmanager
def opened_together(
    image: Path, labels: Path, limits: Limits
) -> Iterator[tuple[tuple[Volume, Header], tuple[Volume, Header]]]:
    """Image and labels as ``opened`` gives them, decoded side by side. A fault of the image is reported first."""
    with tempfile.TemporaryDirectory(prefix="cemrisk-ct-") as name, ThreadPoolExecutor(2) as pool:
        folders = Path(name) / "image", Path(name) / "labels"
        jobs = []
        for path, folder, role in zip((image, labels), folders, ("image", "labels"), strict=True):
            folder.mkdir()
            jobs.append(pool.submit(_run, path, folder, role, limits))
        for job in jobs:
            job.result()
        (scan, scan_header), (marked, header) = (_read(folder) for folder in folders)
        yield (canonical(scan), scan_header), (canonical(marked), header)


def _run(path: Path, folder: Path, role: str, limits: Limits) -> None:
    request = {"path": str(path.resolve()), "folder": str(folder), "role": role, "limits": asdict(limits)}
    # one thread: each thread of a numerical library reserves address space, which is what is bounded
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            # -P: the folder that we stand in may hold anything, such as a nibabel.py beside the scan.
            [sys.executable, "-P", "-m", "features.ct.decode"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env=env,
            timeout=4 * limits.cpu_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise refuse("too_slow", f"Decoding took above {4 * limits.cpu_seconds} s and was stopped.", role) from error
    if (folder / ERROR_FILE).is_file():
        report = json.loads((folder / ERROR_FILE).read_text(encoding="utf-8"))
        raise ImageRejected(report["message"], [Finding(**finding) for finding in report["findings"]])
    if done.returncode == 0 and (folder / HEADER_FILE).is_file():
        return
    if done.returncode < 0 or any(sign in done.stderr for sign in _OUT_OF_MEMORY):
        raise refuse(
            "decoder_stopped",
            f"The image could not be decoded within {limits.memory_bytes // MIB} MiB and {limits.cpu_seconds} s, or the"
            " file crashed its decoder: convert it with another program, or crop it.",
            role,
        )
    raise RuntimeError(f"the decoding process failed:\n{done.stderr.decode(errors='replace')[-2000:]}")


def _read(folder: Path) -> tuple[Volume, Header]:
    """The decoded volume, its voxels mapped from the file (read only), and its header."""
    stored = json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))
    acquisition = Acquisition(**stored.pop("acquisition"))
    names = {int(key): name for key, name in stored.pop("names").items()}
    header = Header(**stored, acquisition=acquisition, names=names)
    voxels = np.memmap(folder / VOXELS_FILE, dtype=header.dtype, mode="r", shape=tuple(header.shape))
    return Volume(voxels.transpose(header.axes), np.array(header.affine)), header
