"""Time and memory of a large scan: 512 x 512 x 600 voxels with 12 labelled vertebrae.

    python benchmarks/ct_speed.py

compares features.ct with reading the volume (nibabel) and with measuring per vertebra on full-size masks, as ratios;
writes benchmarks/results/ct_speed.md. Each part runs in its own process, whose peak memory is reported. Its imports
are done (and compiled) before the clock starts; those of the decoding processes it starts are timed. Reading and ours
are run three times in turn and the fastest counts: other programs only ever slow a run down.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

RESULTS = Path(__file__).parent / "results"
SHAPE, SPACING = (512, 512, 600), (0.75, 0.75, 0.8)
LEVELS = {n: f"level {n}" for n in range(13, 25)}


def build(folder: Path) -> None:
    """Twelve phantom vertebrae (VerSe 13 to 24) in a stack, in air with soft tissue and noise, as .nii."""
    from tests.oracle.ct.phantom import Vertebra, one

    scan, label = one(Vertebra(), spacing=SPACING, noise_hu=0, fine_mm=0.75).render()
    rng = np.random.default_rng(0)
    voxels = np.empty(SHAPE, np.int16)
    noise = rng.normal(0, 20, (*SHAPE[:2], 8)).astype(np.int16)
    for k in range(SHAPE[2]):
        voxels[:, :, k] = 40 + noise[:, :, k % 8]
    labels = np.zeros(SHAPE, np.uint8)
    size = np.array(scan.voxels.shape)
    for n, value in enumerate(LEVELS):
        at = [150, 150, SHAPE[2] - int(size[2]) - 45 * n]
        box = tuple(slice(a, a + s) for a, s in zip(at, size, strict=True))
        voxels[box] += (scan.voxels - 40).astype(np.int16)
        labels[box] += (label.voxels > 0).astype(np.uint8) * np.uint8(value)
    affine = np.diag([*SPACING, 1.0])
    nib.openers.Opener.default_compresslevel = 1
    nib.save(nib.Nifti1Image(voxels, affine), folder / "ct.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), folder / "labels.nii.gz")


def read(folder: Path) -> None:
    """What reading alone costs: both volumes, the scan as HU in float32."""
    np.asarray(nib.load(folder / "ct.nii.gz").dataobj, dtype=np.float32)
    np.asarray(nib.load(folder / "labels.nii.gz").dataobj)


def ours(folder: Path) -> None:
    from features.ct.scan import measure_scan

    report = measure_scan(folder / "ct.nii.gz", folder / "labels.nii.gz", scheme="verse")
    assert len(report["vertebrae"]) == len(LEVELS), report["warnings"]


def naive(folder: Path) -> None:
    """The straightforward way: for each vertebra a mask of the whole volume, eroded by a voxel, its mean HU and box."""
    from scipy import ndimage

    scan = np.asarray(nib.load(folder / "ct.nii.gz").dataobj, dtype=np.float32)
    labels = np.asarray(nib.load(folder / "labels.nii.gz").dataobj)
    for value in LEVELS:
        mask = labels == value
        inner = ndimage.binary_erosion(mask, iterations=1)
        scan[inner].mean()
        np.argwhere(mask).min(axis=0)


PARTS = {"read": read, "ours": ours, "naive": naive}


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(part: str, folder: Path) -> None:
    """One part in this process: prints seconds by the clock and of the processors, and peak memory in MiB."""
    import features.ct.scan  # noqa: F401

    started, before = time.perf_counter(), cpu_seconds()
    PARTS[part](folder)
    found = {"seconds": time.perf_counter() - started, "cpu": cpu_seconds() - before}
    for name, who in (("own_mib", resource.RUSAGE_SELF), ("child_mib", resource.RUSAGE_CHILDREN)):
        found[name] = resource.getrusage(who).ru_maxrss / 1024
    print(json.dumps(found))


def timed(part: str, folder: Path, compiled: Path) -> dict[str, float]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(compiled)
    command = [sys.executable, "-m", "benchmarks.ct_speed", part, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    if len(sys.argv) == 3:
        run(sys.argv[1], Path(sys.argv[2]))
        return
    runs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as compiled:
        folder = Path(name)
        build(folder)
        for part in [*PARTS, "read", "ours", "read", "ours"]:
            found = timed(part, folder, Path(compiled))
            runs[part] = {key: min(value, runs.get(part, found)[key]) for key, value in found.items()}
            print(part, found, flush=True)
    volume_mib = np.prod(SHAPE) * 4 / 2**20
    lines = [f"{SHAPE} voxels, 12 labelled vertebrae; the volume in float32 is {volume_mib:.0f} MiB.", ""]
    titles = ["", "seconds", "times reading", "CPU seconds", "times reading", "peak MiB", "of the volume", "MiB, child"]
    lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for part, one in runs.items():
        cells = [f"{one[key]:.1f} | {one[key] / runs['read'][key]:.2f}" for key in ("seconds", "cpu")]
        memory = f"{one['own_mib']:.0f} | {one['own_mib'] / volume_mib:.2f} | {one['child_mib']:.0f}"
        lines.append(f"| {part} | {' | '.join(cells)} | {memory} |")
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "ct_speed.md").write_text(text)


if __name__ == "__main__":
    main()
