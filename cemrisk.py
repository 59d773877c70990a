"""The command line: parse, call one function, map errors to exit codes. Nothing is computed here.

Each verb is one row of ``VERBS``: what its help says, what declares its arguments, and a ``run_<verb>`` that imports
what it needs when it runs. A ``run_`` returns the exit code, or raises a ``CemriskError`` that carries its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features import VERSION
from features import arguments as features_arguments
from features.ct import arguments as ct_arguments
from features.errors import FAILURES, CemriskError, InputRejected
from serving import arguments as serving_arguments
from training import arguments as training_arguments

if TYPE_CHECKING:
    from training.commands import Shown
    from training.tracking import Store

REJECTED_ROWS = InputRejected.exit_code


@dataclass(frozen=True)
class Verb:
    """One command: its name, what ``--help`` says of it, what declares its arguments and what runs it."""

    name: str
    summary: str
    example: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    more: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a refusal is said on standard error."""
    arguments = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        code = run(arguments)
        sys.stdout.flush()
        return code
    except CemriskError as error:
        print(f"cemrisk: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads our output has closed it, as `head` does; without this Python complains when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # A file or folder that the user named, or one below it; the reasons that the system gives speak for themselves.
        place = f"{error.filename}: " if error.filename else ""
        print(f"cemrisk: {place}{error.strerror or error}", file=sys.stderr)
        return CemriskError.exit_code


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; ``VERBS`` lists what it has."""
    parser = argparse.ArgumentParser(
        prog="cemrisk",
        description="Risk of cement leakage and of new vertebral fracture before vertebroplasty or kyphoplasty.",
        epilog=f"exit codes:\n{exit_code_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cemrisk {VERSION}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in VERBS:
        one = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=f"{verb.summary}. {verb.more}".strip(),
            epilog=f"example:\n  {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add(one)
        one.set_defaults(run=verb.run)
    return parser


def exit_codes() -> dict[int, str]:
    """Every exit code and what it means, from the table of failures."""
    said = {kind.exit_code: (kind.__doc__ or "").split("\n")[0].partition(";")[0].rstrip(".") for kind in FAILURES}
    return {0: "Done", **dict(sorted(said.items()))}


def exit_code_table() -> str:
    """The exit codes as lines of text."""
    return "\n".join(f"  {code:>2}  {meaning}" for code, meaning in exit_codes().items())


def run_simulate(arguments: argparse.Namespace) -> int:
    """Draw and write."""
    from training import simulate

    written = simulate.command(
        arguments.patients, arguments.seed, arguments.out, arguments.world, arguments.dirty, _say
    )
    if arguments.json:
        _print_json({"written": [str(path) for path in written]})
    else:
        print("\n".join(str(path) for path in written))
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Read, judge, write, report."""
    from features.registry import read_export, report, write_split

    try:
        export = read_export(arguments.export, dictionary=arguments.dictionary, mapping=arguments.mapping)
    except InputRejected as error:
        if arguments.json:
            _print_json(report.refusal_json(error))
        raise
    written = write_split(export, arguments.out) if arguments.out else ()
    if arguments.json:
        _print_json(report.as_json(export) | {"written": [str(path) for path in written]})
    else:
        print(report.as_text(export, every=arguments.all))
        for path in written:
            print(f"wrote {path}", file=sys.stderr)
    return REJECTED_ROWS if export.rejected else 0


def run_train(arguments: argparse.Namespace) -> int:
    """Fit, log, register, report."""
    from training import commands

    return _shown(commands.train(arguments, _store()))


def run_compare(arguments: argparse.Namespace) -> int:
    """Show what is registered."""
    from training import commands

    return _shown(commands.compare(arguments, _store(), _say))


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from training import commands

    return _shown(commands.report(arguments, _store(), _say))


def run_promote(arguments: argparse.Namespace) -> int:
    """Decide and keep the record."""
    from training import commands

    return _shown(commands.promote(arguments, _store()))


def run_rollback(arguments: argparse.Namespace) -> int:
    """Decide and keep the record."""
    from training import commands

    return _shown(commands.rollback(arguments, _store()))


def run_score(arguments: argparse.Namespace) -> int:
    """Score and say what was done."""
    from training import commands

    return _shown(commands.score(arguments, _home(), _say))


def run_cohort(arguments: argparse.Namespace) -> int:
    """Compare, then print or write."""
    from training import commands

    return _shown(commands.cohort(arguments, _say))


def run_ct(arguments: argparse.Namespace) -> int:
    """Measure and write."""
    from features.ct.command import run

    return run(arguments)


def run_serve(arguments: argparse.Namespace) -> int:
    """Run the service until it is stopped."""
    from serving.log_lines import FORMAT
    from serving.run import serve_forever

    chosen = {FORMAT: arguments.log_format} if arguments.log_format else {}
    return serve_forever(_home(), os.environ | chosen, arguments.host, arguments.port, arguments.workers)


def run_keys(arguments: argparse.Namespace) -> int:
    """Change or show the keys."""
    from serving import commands

    return _shown(commands.manage_keys(arguments, _home()))


def run_stop(arguments: argparse.Namespace) -> int:
    """Stop it."""
    from serving import commands

    return _shown(commands.stop(arguments, _home()))


def run_resume(arguments: argparse.Namespace) -> int:
    """Let it answer."""
    from serving import commands

    return _shown(commands.resume(arguments, _home()))


def run_log(arguments: argparse.Namespace) -> int:
    """Read the log."""
    from serving.query_log import LogSettings, commands

    return _shown(commands.run(arguments, LogSettings.of(_home(), os.environ), _home(), _say))


def run_dictionary(arguments: argparse.Namespace) -> int:
    """Print the dictionary in one of its three forms."""
    from features import dictionary_text

    if arguments.format == "json":
        _print_json(dictionary_text.as_json())
    else:
        print(dictionary_text.table() if arguments.format == "table" else dictionary_text.markdown())
    return 0


def _home() -> Path:
    return Path(os.environ.get("CEMRISK_HOME", ".cemrisk"))


def _store() -> Store:
    from training.tracking import Store

    return Store(_home(), os.environ.get("MLFLOW_TRACKING_URI"))


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _shown(result: Shown) -> int:
    code, content = result
    if isinstance(content, dict):
        _print_json(content)
    elif content:
        print(content)
    return code


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))


#: What the command line can do, in the order of its help.
VERBS = (
    Verb(
        "simulate",
        "Write a synthetic registry whose truth is known",
        "cemrisk simulate --patients 3000 --seed 1 --out simulated",
        training_arguments.simulate,
        run_simulate,
    ),
    Verb(
        "check",
        "Read an export and say what is wrong with it",
        "cemrisk check redcap.csv --dictionary redcap_dictionary.csv --out checked",
        features_arguments.check,
        run_check,
        f"Exit code 0: every row accepted (warnings aside); {REJECTED_ROWS}: a row or the file rejected; "
        "what was accepted is written all the same.",
    ),
    Verb(
        "train",
        "Train, evaluate and register models from a registry export",
        "cemrisk train simulated/registry.csv --outcome all",
        training_arguments.train,
        run_train,
        "Logistic models exist for leakage only. Nothing changes for the service until cemrisk promote.",
    ),
    Verb(
        "compare",
        "Registered versions side by side",
        "cemrisk compare --outcome leakage",
        training_arguments.compare,
        run_compare,
    ),
    Verb(
        "report",
        "The report of a version as one page: model card, performance, nomogram, TRIPOD+AI items",
        "cemrisk report leakage --out leakage.html",
        training_arguments.report,
        run_report,
        "The page holds everything itself and nothing of a single patient; an older page of that name is replaced.",
    ),
    Verb(
        "promote",
        "Make a version the champion that the service answers with, if it passes the gate",
        "cemrisk promote leakage 1",
        training_arguments.promote,
        run_promote,
    ),
    Verb(
        "rollback",
        "Back to the champion before",
        "cemrisk rollback leakage",
        training_arguments.rollback,
        run_rollback,
    ),
    Verb(
        "score",
        "Risks of many cases, one output row per input row",
        "cemrisk score cases.csv --out risks.csv",
        training_arguments.score,
        run_score,
        "Outcomes and postoperative columns of the input are ignored. A rejected row keeps its place, without risks.",
    ),
    Verb(
        "cohort",
        "Compare groups of an export, as the tables of clinical papers do",
        "cemrisk cohort simulated/registry.csv --by leak_routes",
        training_arguments.cohort,
        run_cohort,
    ),
    Verb(
        "ct",
        "Measure labelled vertebrae in a CT",
        ct_arguments.EXAMPLE,
        ct_arguments.add_arguments,
        run_ct,
        "Prints each value with the voxels that it is of; with --question a question that cemrisk serve answers.",
    ),
    Verb(
        "serve",
        "Answer risk questions over HTTP",
        "cemrisk serve --port 3000",
        serving_arguments.serve,
        run_serve,
        "The page is at /, the API under /v1, its description at /docs.",
    ),
    Verb(
        "keys",
        "Make, list and revoke the keys that open the service",
        "cemrisk keys list",
        serving_arguments.keys,
        run_keys,
        "See docs/operating.md.",
    ),
    Verb(
        "stop",
        "Stop one model, with a reason; the service says it",
        'cemrisk stop leakage --why "is being checked"',
        serving_arguments.stop,
        run_stop,
    ),
    Verb(
        "resume",
        "Let a stopped model answer again",
        "cemrisk resume leakage",
        serving_arguments.resume,
        run_resume,
    ),
    Verb(
        "log",
        "Verify and search the record of all answers",
        "cemrisk log verify",
        serving_arguments.log,
        run_log,
        "See docs/operating.md.",
    ),
    Verb(
        "dictionary",
        "Print the variable dictionary",
        "cemrisk dictionary --format markdown > dictionary.md",
        features_arguments.dictionary,
        run_dictionary,
    ),
)


if __name__ == "__main__":
    sys.exit(main())
