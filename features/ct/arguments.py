"""The arguments of ``cemrisk ct``, apart from what runs it: the command line builds them for every verb."""

from __future__ import annotations

import argparse
from pathlib import Path

from features.arguments import add_reading
from features.ct.schemes import LEVELS, SCHEMES

#: Shown by ``cemrisk ct --help``.
EXAMPLE = "cemrisk ct scan.nii.gz --labels vertebrae.nii.gz --level L1 --overlay l1.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``cemrisk ct``."""
    add = parser.add_argument
    add("image", type=Path, help="DICOM series (folder or zip) or NIfTI; with --registry a folder of patients' folders")
    add("--labels", type=Path, metavar="SEG", help="labels of the vertebrae: NIfTI or DICOM-SEG")
    add("--level", type=str.upper, choices=LEVELS, metavar="L1", help="measure this level only (default: all labelled)")
    add("--label-value", action="append", default=[], metavar="N", help="label value of --level; or LEVEL=N")
    add("--scheme", choices=("auto", *SCHEMES), default="auto", help="meaning of the label values (%(default)s)")
    add(
        "--moment", choices=("preop", "postop"), help="postop: report cement (default: preop; with --registry: by date)"
    )
    add("--out", type=Path, metavar="FILE", help="write the result here instead of standard output")
    add("--question", type=Path, metavar="CASE.json", help="write this question for /v1/risk, completed, as the result")
    add("--overlay", type=Path, metavar="FILE.png", help="draw the planes, the region and the corners")
    add("--registry", type=Path, metavar="EXPORT", help="fill the gaps of this export with what the scans show")
    add_reading(parser)
    add("--json", action="store_true", help="with --registry: print the summary as JSON")
