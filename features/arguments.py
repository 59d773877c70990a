"""Options that several verbs of the command line share. Standard library only, so that ``cemrisk --help`` is quick."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_reading(parser: ArgumentParser) -> None:
    """The options of every verb that reads an export."""
    parser.add_argument("--dictionary", type=Path, metavar="DD.csv", help="data dictionary of the REDCap project")
    parser.add_argument("--mapping", type=Path, metavar="MAP.toml", help="which column holds which variable")
