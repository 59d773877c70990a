"""The child process in which TotalSegmentator runs; its parent is ``totalsegmentator``."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from features.ct.schemes import LEVELS

NO_WEIGHTS = 3
#: The networks of the task "total": five for groups of structures, and the 6 mm one that finds the region first. All
#: of them are asked for, whichever structures are wanted; one that is not there would be fetched.
WEIGHTS = (291, 292, 293, 294, 295, 298)


def main() -> int:
    """Labels the NIfTI of the first argument into the second; the third is a folder for TotalSegmentator's settings."""
    image, output, home = (Path(argument) for argument in sys.argv[1:4])
    config = importlib.import_module("totalsegmentator.config")
    weights = Path(config.get_weights_dir())
    if any(next(weights.glob(f"Dataset{number}_*"), None) is None for number in WEIGHTS):
        return NO_WEIGHTS
    os.environ["TOTALSEG_WEIGHTS_PATH"], os.environ["TOTALSEG_HOME_DIR"] = str(weights), str(home)
    api = importlib.import_module("totalsegmentator.python_api")
    api.totalsegmentator(
        image,
        output,
        ml=True,
        task="total",
        roi_subset=[f"vertebrae_{level}" for level in LEVELS],
        device="cpu",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
