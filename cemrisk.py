"""The command line: parse, call one function, map errors to exit codes. Nothing is computed here.

Each verb is one ``add_<verb>`` that declares its arguments and one ``run_<verb>`` that imports what it needs when it
runs. A ``run_`` returns the exit code, or raises a ``CemriskError`` that carries its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import CemriskError, InputRejected

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

REJECTED_ROWS = InputRejected.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a refusal is said on standard error."""
    arguments = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except CemriskError as error:
        print(f"cemrisk: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads our output has closed it, as `head` does. Nothing more can be said there.
        sys.stderr.close()
        return 0


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
    """Every exit code and what it means, from the error tree."""
    found = {0: "Done."}
    pending: list[type[CemriskError]] = [CemriskError]
    while pending:
        kind = pending.pop(0)
        pending += kind.__subclasses__()
        found[kind.exit_code] = (kind.__doc__ or "").split("\n")[0]
    return dict(sorted(found.items()))


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


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that reads an export."""
    parser.add_argument("--dictionary", type=Path, metavar="DD.csv", help="data dictionary of the REDCap project")
    parser.add_argument("--mapping", type=Path, metavar="MAP.toml", help="which column holds which variable")


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

    forms = {
        "table": dictionary_text.table,
        "json": dictionary_text.as_json,
        "markdown": dictionary_text.markdown,
    }
    print(forms[arguments.format]())
    return 0


#: What the command line can do, in the order of its help.
VERBS: tuple[Callable[[Verbs], None], ...] = (add_check, add_dictionary)


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
