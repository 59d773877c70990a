"""Labels made by TotalSegmentator, where it is installed with its weights (an optional extra; Wasserthal 2023).

It runs in a process of its own (``features.ct.segment``) on the volume that our decoder made: it sees no file from
outside, prints nothing to our standard output, sends no usage statistics and fetches nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from features.ct.limits import Limits, refuse
from features.ct.sandbox import opened
from features.ct.segment import NO_WEIGHTS
from features.errors import DependencyMissing, UsageError

_HOW = (
    "Supply labels with --labels (NIfTI or DICOM-SEG, made by TotalSegmentator, VerSe or by hand), or install the "
    "package TotalSegmentator and fetch the weights of its task total (totalseg_download_weights -t total, and "
    "-t total_fastest for the rough first pass)."
)
#: Nothing listens there: whatever would be fetched or sent by HTTP fails at once.
_NOWHERE = "http://127.0.0.1:9"


def make_labels(image: Path, folder: Path, limits: Limits | None = None) -> Path:
    """A label map of the thoracic and lumbar vertebrae of ``image``, made in ``folder``, on the processor.

    Raises ``DependencyMissing`` where the package or its weights are missing, ``ImageRejected`` where the image cannot
    be read or the segmentation fails, ``UsageError`` where there is none.
    """
    if not image.exists():
        raise UsageError(f"there is no file or folder {image}: give the path of the scan")
    if importlib.util.find_spec("totalsegmentator") is None:
        raise DependencyMissing(f"No labels were given and TotalSegmentator is not installed. {_HOW}")
    decoded, labels = folder / "decoded.nii", folder / "labels.nii.gz"
    _write_decoded(image, decoded, limits or Limits())
    home = _own_home(folder / "home")
    sys.stderr.write("TotalSegmentator labels the vertebrae; without a graphics card this takes minutes\n")
    command = [sys.executable, "-P", "-m", "features.ct.segment", str(decoded), str(labels), str(home)]
    code = _run(command, os.environ | dict.fromkeys(_PROXIES, _NOWHERE))
    decoded.unlink()
    if code == NO_WEIGHTS:
        raise DependencyMissing(f"No labels were given and TotalSegmentator lacks weights for its task total. {_HOW}")
    if code != 0 or not labels.is_file():
        detail = "TotalSegmentator failed (its messages stand above): supply labels with --labels."
        raise refuse("segmentation_failed", detail, "labels")
    return labels


_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def _run(command: list[str], env: dict[str, str]) -> int:
    """The exit code of a child that prints to standard error; the child is ended when this is stopped."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, env=env) as child:
        try:
            return child.wait()
        finally:
            child.kill()


def _write_decoded(image: Path, path: Path, limits: Limits) -> None:
    with opened(image, "image", limits) as (volume, _):
        nifti = nib.Nifti1Image(np.asarray(volume.voxels), volume.affine)  # type: ignore[no-untyped-call]
        nifti.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
        nib.save(nifti, path)


def _own_home(folder: Path) -> Path:
    """A configuration of its own for TotalSegmentator, without usage statistics; the user's stays as it is."""
    folder.mkdir()
    settings = {
        "totalseg_id": "",
        "send_usage_stats": False,
        "prediction_counter": 0,
        "statistics_disclaimer_shown": True,
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
