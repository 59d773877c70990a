"""The arguments of the training side's verbs, apart from what runs them: the command line builds them for every verb.

Standard library only, so that ``cemrisk --help`` is quick.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from features.arguments import add_reading


def simulate(parser: ArgumentParser) -> None:
    """``cemrisk simulate``"""
    parser.add_argument("--patients", type=int, required=True, metavar="N", help="how many patients")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same patients (0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--world", type=Path, metavar="FILE", help="another generating model (YAML)")
    parser.add_argument("--dirty", action="store_true", help="add the defects that real exports have")
    parser.add_argument("--json", action="store_true", help="print the names of the files as JSON")


def train(parser: ArgumentParser) -> None:
    """``cemrisk train``"""
    parser.add_argument("export", type=Path, metavar="EXPORT", help="the export, as cemrisk check reads it")
    add_reading(parser)
    parser.add_argument("--outcome", choices=("leakage", "refracture", "all"), default="all")
    parser.add_argument("--learner", choices=("cox", "logistic", "boosted", "all"), default="all")
    parser.add_argument(
        "--moment", choices=("preop", "postop"), default="preop", help="when the model is asked (preop)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of folds and resamples (0)")
    parser.add_argument("--engine", choices=("local", "dask"), default="local", help="where the fits run (local)")
    parser.add_argument(
        "--prior",
        metavar="FILE",
        help='start from published effects, for a small registry: a file, or "published" (off by default)',
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="B",
        help="correct the metrics for optimism with B resamples of patients, 200 for instance; boosted trees get a "
        "quarter of them (0: cross-validation alone)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def compare(parser: ArgumentParser) -> None:
    """``cemrisk compare``"""
    parser.add_argument("--outcome", choices=("leakage", "refracture", "refracture-postop"), help="all by default")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="write a page with the curves over each other")
    parser.add_argument("--json", action="store_true", help="print every metric and paired difference as JSON")


def report(parser: ArgumentParser) -> None:
    """``cemrisk report``"""
    parser.add_argument("outcome", metavar="OUTCOME", help="leakage, refracture or refracture-postop")
    parser.add_argument(
        "version", nargs="?", metavar="VERSION", help="by default the champion, else the challenger, else the newest"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page to write")


def promote(parser: ArgumentParser) -> None:
    """``cemrisk promote``"""
    parser.add_argument("outcome", metavar="OUTCOME", help="leakage, refracture or refracture-postop")
    parser.add_argument("version", nargs="?", metavar="VERSION", help="by default the challenger of the last training")
    parser.add_argument("--force", action="store_true", help="promote although a condition fails; needs --why")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the decision record")
    parser.add_argument("--json", action="store_true", help="print the decision record as JSON")


def rollback(parser: ArgumentParser) -> None:
    """``cemrisk rollback``"""
    parser.add_argument("outcome", metavar="OUTCOME", help="leakage, refracture or refracture-postop")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the decision record")
    parser.add_argument("--json", action="store_true", help="print the decision record as JSON")


def score(parser: ArgumentParser) -> None:
    """``cemrisk score``"""
    parser.add_argument("cases", type=Path, metavar="CASES.csv", help="cases, as cemrisk check reads them")
    add_reading(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RISKS.csv", help="the file to write")
    parser.add_argument("--detection", choices=("CT", "radiograph"), default="CT", help="how leaks are looked for (CT)")
    parser.add_argument(
        "--moment", choices=("preop", "postop"), default="preop", help="when the model is asked (preop)"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def cohort(parser: ArgumentParser) -> None:
    """``cemrisk cohort``"""
    parser.add_argument("export", type=Path, metavar="EXPORT", help="the export, as cemrisk check reads it")
    add_reading(parser)
    parser.add_argument("--by", required=True, metavar="VARIABLE", help="the variable that makes the groups")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there: .csv, .html, .json or .txt")
    parser.add_argument("--numbers", choices=("auto", "mean", "median"), default="auto", help="median if skewed (auto)")
    parser.add_argument("--variances", choices=("unequal", "equal"), default="unequal", help="Welch's t test (unequal)")
    parser.add_argument("--json", action="store_true", help="print every number as JSON")
