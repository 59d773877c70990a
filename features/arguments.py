"""The arguments of ``cemrisk check`` and ``cemrisk dictionary``, and those that several verbs share.

Standard library only, so that ``cemrisk --help`` is quick.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_reading(parser: ArgumentParser) -> None:
    """The options of every verb that reads an export."""
    parser.add_argument("--dictionary", type=Path, metavar="DD.csv", help="data dictionary of the REDCap project")
    parser.add_argument("--mapping", type=Path, metavar="MAP.toml", help="which column holds which variable")


def check(parser: ArgumentParser) -> None:
    """``cemrisk check``"""
    parser.add_argument("export", type=Path, metavar="EXPORT", help="the export, a CSV file in UTF-8")
    add_reading(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write accepted.csv and rejected.csv there")
    parser.add_argument("--all", action="store_true", help="print each defect and warning, however many there are")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def dictionary(parser: ArgumentParser) -> None:
    """``cemrisk dictionary``"""
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
