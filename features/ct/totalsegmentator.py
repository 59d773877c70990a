"""Labels made by TotalSegmentator, where it is installed with its weights (an optional extra; Wasserthal 2023)."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from features.ct.schemes import LEVELS
from features.errors import DependencyMissing

_HOW = (
    "Supply labels with --labels (NIfTI or DICOM-SEG, made by TotalSegmentator, VerSe or by hand), or install the "
    "package TotalSegmentator and fetch the weights of its task total (totalseg_download_weights -t total)."
)


def make_labels(image: Path, output: Path) -> Path:
    """Writes a label map of the thoracic and lumbar vertebrae of ``image`` (NIfTI or a DICOM folder) to ``output``.

    Calls ``totalsegmentator.python_api.totalsegmentator`` on the processor. Raises ``DependencyMissing`` where the
    package or its weights are missing: weights are never fetched from here.
    """
    if importlib.util.find_spec("totalsegmentator") is None:
        raise DependencyMissing(f"No labels were given and TotalSegmentator is not installed. {_HOW}")
    if not _has_weights():
        raise DependencyMissing(f"No labels were given and TotalSegmentator has no weights for its task total. {_HOW}")
    api = importlib.import_module("totalsegmentator.python_api")
    api.totalsegmentator(
        image,
        output,
        ml=True,
        task="total",
        roi_subset=[f"vertebrae_{level}" for level in LEVELS],
        device="cpu",
        quiet=True,
    )
    return output


def _has_weights() -> bool:
    """Whether the vertebrae network (dataset 292) lies where TotalSegmentator looks for it."""
    config = importlib.import_module("totalsegmentator.config")
    return any(Path(config.get_weights_dir()).glob("Dataset292*"))
