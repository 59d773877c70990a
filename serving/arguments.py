"""The arguments of the service's verbs, apart from what runs them. Standard library only, as for training."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

#: What one does with the query log: its summary, an example, and more.
LOG_VERBS = {
    "verify": (
        "Check that the query log is what was written",
        "cemrisk log verify",
        "Every record, every signature, and that nothing was cut off its end. The service may go on meanwhile.",
    ),
    "show": (
        "Show the record of one answer, and ask the same models again",
        "cemrisk log show 5f0c1b9a7d3e4c52a1f0e9d8c7b6a594 --input question.json",
        "The question is the kept one, or that of --input if its keyed hash is the record's.",
    ),
    "affected": (
        "List the answers in which a model had a say",
        "cemrisk log affected --model 41f6aca2be0c",
        "Its sha256, or the first digits of it, as cemrisk compare and /v1/models show it.",
    ),
}


def log(parser: ArgumentParser) -> None:
    """``cemrisk log``"""
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="what")
    made = {}
    for name, (summary, example, more) in LOG_VERBS.items():
        made[name] = verbs.add_parser(
            name,
            help=summary,
            description=f"{summary}. {more}",
            epilog=f"example:\n  {example}",
            formatter_class=RawDescriptionHelpFormatter,
        )
        made[name].add_argument("--json", action="store_true", help="print everything as JSON")
    made["verify"].add_argument("--head", metavar="NUMBER:HASH", help="a head that was noted elsewhere earlier")
    made["verify"].add_argument("--public-key", type=Path, metavar="FILE", help="check without the secret keys")
    made["show"].add_argument("id", metavar="ID", help="request_id of the answer")
    made["show"].add_argument("--input", type=Path, metavar="FILE", help="the question, as it was sent")
    made["affected"].add_argument("--model", required=True, metavar="DIGEST", help="sha256 of the model")
