"""Reads an image through a child process with limits, and maps what it decoded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from features.ct.decode import ERROR_FILE, REQUEST_FILE
from features.ct.limits import MIB, Limits, refuse
from features.ct.raw import HEADER_FILE, VOXELS_FILE, Acquisition, Header
from features.ct.volume import Volume, canonical
from features.errors import Finding, ImageRejected

#: What the child printed, if anything.
SAID_FILE = "said.txt"
#: What Python, OpenBLAS and the dynamic loader say when the limit on memory stops them.
_OUT_OF_MEMORY = (b"MemoryError", b"Memory allocation", b"failed to map segment", b"Cannot allocate memory")


@contextmanager
def opened(path: Path, role: str, limits: Limits) -> Iterator[tuple[Volume, Header]]:
    """The decoded ``path`` with axes nearest to right, anterior, superior; ``role`` is "image" or "labels".

    The voxels live in a temporary file that has no name any more and is gone when the block ends, or with this
    process. Raises ``ImageRejected``.
    """
    with _decoded([(path, role)], limits) as ((volume, header),):
        yield volume, header


@contextmanager
def opened_together(
    image: Path, labels: Path, limits: Limits
) -> Iterator[tuple[tuple[Volume, Header], tuple[Volume, Header]]]:
    """Image and labels as ``opened`` gives them, decoded side by side. A fault of the image is reported first."""
    with _decoded([(image, "image"), (labels, "labels")], limits) as (scan, marked):
        yield scan, marked


@contextmanager
def _decoded(sources: Sequence[tuple[Path, str]], limits: Limits) -> Iterator[list[tuple[Volume, Header]]]:
    """Every source of (path, role), decoded in a child of its own. No child outlives the block."""
    with tempfile.TemporaryDirectory(prefix="cemrisk-ct-") as name:
        folders = [Path(name) / role for _, role in sources]
        children: list[subprocess.Popen[bytes]] = []
        try:
            for (path, role), folder in zip(sources, folders, strict=True):
                folder.mkdir()
                children.append(_started(path, folder, role, limits))
            for child, (_, role), folder in zip(children, sources, folders, strict=True):
                _finished(child, folder, role, limits)
            read = [_read(folder) for folder in folders]
        finally:
            for child in children:
                child.kill()
                child.wait()
        yield [(canonical(volume), header) for volume, header in read]


def _started(path: Path, folder: Path, role: str, limits: Limits) -> subprocess.Popen[bytes]:
    """A child that reads its request from a file, for a pipe could be written to only while someone waits."""
    request = {"path": str(path.resolve()), "folder": str(folder), "role": role, "limits": asdict(limits)}
    (folder / REQUEST_FILE).write_text(json.dumps(request), encoding="utf-8")
    # one thread: each thread of a numerical library reserves address space, which is what is bounded
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with (folder / SAID_FILE).open("wb") as said:
        return subprocess.Popen(
            # -P: the folder that we stand in may hold anything, such as a nibabel.py beside the scan.
            [sys.executable, "-P", "-m", "features.ct.decode", str(folder / REQUEST_FILE)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=env,
        )


def _finished(child: subprocess.Popen[bytes], folder: Path, role: str, limits: Limits) -> None:
    """Waits for the child; raises what it refused, or that it was stopped."""
    try:
        code = child.wait(timeout=4 * limits.cpu_seconds)
    except subprocess.TimeoutExpired as error:
        raise refuse("too_slow", f"Decoding took above {4 * limits.cpu_seconds} s and was stopped.", role) from error
    if (folder / ERROR_FILE).is_file():
        report = json.loads((folder / ERROR_FILE).read_text(encoding="utf-8"))
        raise ImageRejected(report["message"], [Finding(**finding) for finding in report["findings"]])
    if code == 0 and (folder / HEADER_FILE).is_file():
        return
    said = (folder / SAID_FILE).read_bytes()[-100_000:]
    if code < 0 or any(sign in said for sign in _OUT_OF_MEMORY):
        raise refuse(
            "decoder_stopped",
            f"The image could not be decoded within {limits.memory_bytes // MIB} MiB and {limits.cpu_seconds} s, or the"
            " file crashed its decoder: convert it with another program, or crop it.",
            role,
        )
    raise RuntimeError(f"the decoding process failed:\n{said.decode(errors='replace')[-2000:]}")


def _read(folder: Path) -> tuple[Volume, Header]:
    """The decoded volume, its voxels mapped from the file (read only), and its header.

    The file loses its name at once: its room is given back when the mapping ends, however this process does.
    """
    stored = json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))
    acquisition = Acquisition(**stored.pop("acquisition"))
    names = {int(key): name for key, name in stored.pop("names").items()}
    series, instances = tuple(stored.pop("series")), tuple(stored.pop("instances"))
    header = Header(**stored, acquisition=acquisition, names=names, series=series, instances=instances)
    voxels = np.memmap(folder / VOXELS_FILE, dtype=header.dtype, mode="r", shape=tuple(header.shape))
    (folder / VOXELS_FILE).unlink()
    return Volume(voxels.transpose(header.axes), np.array(header.affine)), header
