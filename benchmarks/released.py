"""Where the models of a benchmark come from: fitted for it, or of a home that has some."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path


def add_option(parser: argparse.ArgumentParser) -> None:
    """``--released DIR``, for ``release_into``."""
    parser.add_argument("--released", type=Path, metavar="DIR", help="a home with models, instead of fitting some")


def release_into(home: Path, released: Path | None) -> None:
    """Copy the models of another home, or fit small ones, which takes half a minute."""
    if released:
        shutil.copytree(released / "released", home / "released")
        return
    # Not above: the processes that benchmarks start import this module too, and these take seconds.
    from tests.service.released import release_all

    print("fitting …", file=sys.stderr)
    release_all(home)
