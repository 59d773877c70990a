"""The arguments of the service's verbs, apart from what runs them. Standard library only, as for training."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING

from serving.log_lines import FORMATS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[ArgumentParser]


def serve(parser: ArgumentParser) -> None:
    """``cemrisk serve``"""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (3000)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="worker processes (1)")
    parser.add_argument(
        "--log-format", choices=FORMATS, help="lines of the log on standard error (text in a terminal, json elsewhere)"
    )


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
        "Its sha256, or the first digits of it, as /v1/models shows it.",
    ),
    "feedback": (
        "Show what became of the cards in an EHR: accepted or overridden, and why",
        "cemrisk log feedback --json",
        "As EHRs said it over CDS Hooks. The id of a card is made from the answer's; comments are not kept.",
    ),
}


def log(parser: ArgumentParser) -> None:
    """``cemrisk log``"""
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="what")
    made = {name: _below(verbs, name, *said) for name, said in LOG_VERBS.items()}
    made["verify"].add_argument("--head", metavar="NUMBER:HASH", help="a head that was noted elsewhere earlier")
    made["verify"].add_argument("--public-key", type=Path, metavar="FILE", help="check without the secret keys")
    made["show"].add_argument("id", metavar="ID", help="request_id of the answer")
    made["show"].add_argument("--input", type=Path, metavar="FILE", help="the question, as it was sent")
    made["affected"].add_argument("--model", required=True, metavar="DIGEST", help="sha256 of the model")


#: What one does with access keys.
KEY_VERBS = {
    "create": (
        "Make a key and print it, once",
        'cemrisk keys create --role ask --name "EHR of the spine ward"',
        "Running workers know it within a second.",
    ),
    "list": ("Show the keys that there are", "cemrisk keys list", "What they open is kept by its hash only."),
    "revoke": (
        "Take a key out of use for good",
        "cemrisk keys revoke 3f9a2b1c",
        "Running workers refuse it within a second.",
    ),
}


def keys(parser: ArgumentParser) -> None:
    """``cemrisk keys``"""
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="what")
    made = {name: _below(verbs, name, *said) for name, said in KEY_VERBS.items()}
    roles = "ask: questions, models, nomograms; read-log: metrics; administer: metrics, stop and resume a model"
    made["create"].add_argument(
        "--role", action="append", required=True, metavar="ROLE", help=f"{roles}; may stand more than once"
    )
    made["create"].add_argument("--name", required=True, metavar="TEXT", help="who uses it: a system, not a person")
    days = made["create"].add_mutually_exclusive_group()
    days.add_argument("--days", type=float, default=365.0, metavar="N", help="good for so long (365)")
    days.add_argument("--no-expiry", action="store_const", const=None, dest="days", help="good until it is revoked")
    made["revoke"].add_argument("id", metavar="ID", help="its id, as cemrisk keys list shows it")


def stop(parser: ArgumentParser) -> None:
    """``cemrisk stop``"""
    parser.add_argument("outcome", metavar="OUTCOME", help="leakage, refracture or refracture-postop")
    parser.add_argument("--why", required=True, metavar="TEXT", help="shown to whoever asks; no patient's data")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def resume(parser: ArgumentParser) -> None:
    """``cemrisk resume``"""
    parser.add_argument("outcome", metavar="OUTCOME", help="leakage, refracture or refracture-postop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _below(verbs: Verbs, name: str, summary: str, example: str, more: str) -> ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary}. {more}",
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser
