"""The command line: parse, call one function, map errors to exit codes. Nothing is computed here.

Each verb is one ``add_<verb>`` that declares its arguments and one ``run_<verb>`` that imports what it needs when it
runs. A ``run_`` returns the exit code, or raises a ``CemriskError`` that carries its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.arguments import add_reading
from features.errors import FAILURES, CemriskError, InputRejected
from serving import arguments as serving_arguments
from training import arguments as training_arguments

if TYPE_CHECKING:
    from training.commands import Shown
    from training.tracking import Store

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

REJECTED_ROWS = InputRejected.exit_code


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
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in VERBS:
        add(verbs)
    return parser


def exit_codes() -> dict[int, str]:
    """Every exit code and what it means, from the table of failures."""
    said = {kind.exit_code: (kind.__doc__ or "").split("\n")[0].partition(";")[0].rstrip(".") for kind in FAILURES}
    return {0: "Done", **dict(sorted(said.items()))}


def exit_code_table() -> str:
    """The exit codes as lines of text."""
    return "\n".join(f"  {code:>2}  {meaning}" for code, meaning in exit_codes().items())


def add_check(verbs: Verbs) -> None:
    """``cemrisk check``"""
    parser = _verb(
        verbs,
        "check",
        run_check,
        "Read an export and say what is wrong with it",
        "cemrisk check redcap.csv --dictionary redcap_dictionary.csv --out checked",
        f"Exit code 0: every row accepted (warnings aside); {REJECTED_ROWS}: a row or the file rejected; "
        "what was accepted is written all the same.",
    )
    parser.add_argument("export", type=Path, metavar="EXPORT", help="the export, a CSV file in UTF-8")
    add_reading(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write accepted.csv and rejected.csv there")
    parser.add_argument("--all", action="store_true", help="print each defect and warning, however many there are")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


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


def add_dictionary(verbs: Verbs) -> None:
    """``cemrisk dictionary``"""
    parser = _verb(
        verbs,
        "dictionary",
        run_dictionary,
        "Print the variable dictionary",
        "cemrisk dictionary --format markdown > dictionary.md",
    )
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")


def run_dictionary(arguments: argparse.Namespace) -> int:
    """Print the dictionary in one of its three forms."""
    from features import dictionary_text

    if arguments.format == "json":
        _print_json(dictionary_text.as_json())
    else:
        print(dictionary_text.table() if arguments.format == "table" else dictionary_text.markdown())
    return 0


def add_simulate(verbs: Verbs) -> None:
    """``cemrisk simulate``"""
    parser = _verb(
        verbs,
        "simulate",
        run_simulate,
        "Write a synthetic registry whose truth is known",
        "cemrisk simulate --patients 3000 --seed 1 --out simulated",
    )
    training_arguments.simulate(parser)


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


def add_train(verbs: Verbs) -> None:
    """``cemrisk train``"""
    parser = _verb(
        verbs,
        "train",
        run_train,
        "Train, evaluate and register models from a registry export",
        "cemrisk train simulated/registry.csv --outcome all",
        "Logistic models exist for leakage only. Nothing changes for the service until cemrisk promote.",
    )
    training_arguments.train(parser)


def run_train(arguments: argparse.Namespace) -> int:
    """Fit, log, register, report."""
    from training import commands

    return _shown(commands.train(arguments, _store()))


def add_compare(verbs: Verbs) -> None:
    """``cemrisk compare``"""
    parser = _verb(
        verbs, "compare", run_compare, "Registered versions side by side", "cemrisk compare --outcome leakage"
    )
    training_arguments.compare(parser)


def run_compare(arguments: argparse.Namespace) -> int:
    """Show what is registered."""
    from training import commands

    return _shown(commands.compare(arguments, _store(), _say))


def add_report(verbs: Verbs) -> None:
    """``cemrisk report``"""
    parser = _verb(
        verbs,
        "report",
        run_report,
        "The report of a version as one page: model card, performance, nomogram, TRIPOD+AI items",
        "cemrisk report leakage --out leakage.html",
        "The page holds everything itself and nothing of a single patient; an older page of that name is replaced.",
    )
    training_arguments.report(parser)


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from training import commands

    return _shown(commands.report(arguments, _store(), _say))


def add_promote(verbs: Verbs) -> None:
    """``cemrisk promote``"""
    parser = _verb(
        verbs,
        "promote",
        run_promote,
        "Make a version the champion that the service answers with, if it passes the gate",
        "cemrisk promote leakage 1",
    )
    training_arguments.promote(parser)


def run_promote(arguments: argparse.Namespace) -> int:
    """Decide and keep the record."""
    from training import commands

    return _shown(commands.promote(arguments, _store()))


def add_rollback(verbs: Verbs) -> None:
    """``cemrisk rollback``"""
    parser = _verb(verbs, "rollback", run_rollback, "Back to the champion before", "cemrisk rollback leakage")
    training_arguments.rollback(parser)


def run_rollback(arguments: argparse.Namespace) -> int:
    """Decide and keep the record."""
    from training import commands

    return _shown(commands.rollback(arguments, _store()))


def add_score(verbs: Verbs) -> None:
    """``cemrisk score``"""
    parser = _verb(
        verbs,
        "score",
        run_score,
        "Risks of many cases, one output row per input row",
        "cemrisk score cases.csv --out risks.csv",
        "Outcomes and postoperative columns of the input are ignored. A rejected row keeps its place, without risks.",
    )
    training_arguments.score(parser)


def run_score(arguments: argparse.Namespace) -> int:
    """Score and say what was done."""
    from training import commands

    return _shown(commands.score(arguments, _home(), _say))


def add_cohort(verbs: Verbs) -> None:
    """``cemrisk cohort``"""
    parser = _verb(
        verbs,
        "cohort",
        run_cohort,
        "Compare groups of an export, as the tables of clinical papers do",
        "cemrisk cohort simulated/registry.csv --by leak_routes",
    )
    training_arguments.cohort(parser)


def run_cohort(arguments: argparse.Namespace) -> int:
    """Compare, then print or write."""
    from training import commands

    return _shown(commands.cohort(arguments, _say))


def add_ct(verbs: Verbs) -> None:
    """``cemrisk ct``"""
    from features.ct.arguments import EXAMPLE, add_arguments

    parser = _verb(
        verbs,
        "ct",
        run_ct,
        "Measure labelled vertebrae in a CT",
        EXAMPLE,
        "Prints each value with the voxels that it is of; with --question a question that cemrisk serve answers.",
    )
    add_arguments(parser)


def run_ct(arguments: argparse.Namespace) -> int:
    """Measure and write."""
    from features.ct.command import run

    return run(arguments)


def add_serve(verbs: Verbs) -> None:
    """``cemrisk serve``"""
    parser = _verb(
        verbs,
        "serve",
        run_serve,
        "Answer risk questions over HTTP",
        "cemrisk serve --port 3000",
        "The page is at /, the API under /v1, its description at /docs.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (3000)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="worker processes (1)")


def run_serve(arguments: argparse.Namespace) -> int:
    """Run the service until it is stopped."""
    from serving.run import serve_forever

    return serve_forever(_home(), os.environ, arguments.host, arguments.port, arguments.workers)


def add_keys(verbs: Verbs) -> None:
    """``cemrisk keys``"""
    summary = "Make, list and revoke the keys that open the service"
    serving_arguments.keys(_verb(verbs, "keys", run_keys, summary, "cemrisk keys list", "See docs/operating.md."))


def run_keys(arguments: argparse.Namespace) -> int:
    """Change or show the keys."""
    from serving import commands

    return _shown(commands.manage_keys(arguments, _home()))


def add_stop(verbs: Verbs) -> None:
    """``cemrisk stop``"""
    summary, example = (
        "Stop one model, with a reason; the service says it",
        'cemrisk stop leakage --why "is being checked"',
    )
    serving_arguments.stop(_verb(verbs, "stop", run_stop, summary, example))


def run_stop(arguments: argparse.Namespace) -> int:
    """Stop it."""
    from serving import commands

    return _shown(commands.stop(arguments, _home()))


def add_resume(verbs: Verbs) -> None:
    """``cemrisk resume``"""
    summary = "Let a stopped model answer again"
    serving_arguments.resume(_verb(verbs, "resume", run_resume, summary, "cemrisk resume leakage"))


def run_resume(arguments: argparse.Namespace) -> int:
    """Let it answer."""
    from serving import commands

    return _shown(commands.resume(arguments, _home()))


def add_log(verbs: Verbs) -> None:
    """``cemrisk log``"""
    summary = "Verify and search the record of all answers"
    serving_arguments.log(_verb(verbs, "log", run_log, summary, "cemrisk log verify", "See docs/operating.md."))


def run_log(arguments: argparse.Namespace) -> int:
    """Read the log."""
    from serving.query_log import LogSettings, commands

    return _shown(commands.run(arguments, LogSettings.of(_home(), os.environ), _home(), _say))


#: What the command line can do, in the order of its help.
VERBS: tuple[Callable[[Verbs], None], ...] = (
    add_simulate,
    add_check,
    add_train,
    add_compare,
    add_report,
    add_promote,
    add_rollback,
    add_score,
    add_cohort,
    add_ct,
    add_serve,
    add_keys,
    add_stop,
    add_resume,
    add_log,
    add_dictionary,
)


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


def _verb(
    verbs: Verbs, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str, more: str = ""
) -> argparse.ArgumentParser:
    """A parser for one verb, whose help ends with an example."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary}. {more}".strip(),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    sys.exit(main())
