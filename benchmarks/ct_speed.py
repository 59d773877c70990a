"""Time and memory of a large scan: 512 x 512 x 600 voxels with 12 labelled vertebrae.

    python benchmarks/ct_speed.py

compares features.ct with reading the volume (nibabel) and with measuring per vertebra on full-size masks, as ratios;
writes benchmarks/results/ct_speed.md. Each part runs in a process of its own, whose peak memory is reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
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


def timed(part: str, folder: Path) -> dict[str, float]:
    """Seconds and peak resident memory (MiB, of the process and of its largest child) of one part."""
    code = (
        "import json,resource,sys,time;from pathlib import Path;from benchmarks import ct_speed as b;"
        f"t=time.perf_counter();b.PARTS[{part!r}](Path({str(folder)!r}));s=time.perf_counter()-t;"
        "m=[resource.getrusage(w).ru_maxrss/1024 for w in (resource.RUSAGE_SELF,resource.RUSAGE_CHILDREN)];"
        "print(json.dumps({'seconds':s,'own_mib':m[0],'child_mib':m[1]}))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        runs = {}
        for part in PARTS:
            runs[part] = timed(part, folder)
            print(part, runs[part], flush=True)
    volume_mib = np.prod(SHAPE) * 4 / 2**20
    ratio = {part: run["seconds"] / runs["read"]["seconds"] for part, run in runs.items()}
    lines = [f"{SHAPE} voxels, 12 labelled vertebrae; the volume in float32 is {volume_mib:.0f} MiB.", ""]
    lines += ["| | seconds | times reading | peak MiB | of the volume | peak MiB, child |", "|---|---|---|---|---|---|"]
    for part, run in runs.items():
        lines.append(
            f"| {part} | {run['seconds']:.1f} | {ratio[part]:.2f} | {run['own_mib']:.0f} | "
            f"{run['own_mib'] / volume_mib:.2f} | {run['child_mib']:.0f} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "ct_speed.md").write_text(text)


if __name__ == "__main__":
    main()
