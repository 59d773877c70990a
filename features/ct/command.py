"""What ``cemrisk ct`` does, from its arguments (``features.ct.arguments``) to its files."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.ct.question import check, complete
from features.ct.registry_join import Joined, join
from features.ct.scan import measure_scan
from features.ct.schemes import LEVELS
from features.ct.tidy import tidy_on_stop
from features.ct.totalsegmentator import make_labels
from features.dictionary import VARIABLES
from features.errors import UsageError
from features.files import whole_file, write_whole
from features.registry.cells import write
from features.registry.export import read_export
from features.variable import Value

LARGEST_LABEL = 32767


def refuse_overwriting(arguments: argparse.Namespace) -> None:
    """Raise ``UsageError`` if an output is one of the files that are read: its content would be lost."""
    read = [
        getattr(arguments, name, None) for name in ("image", "labels", "registry", "dictionary", "mapping", "question")
    ]
    targets = [(name, getattr(arguments, name, None)) for name in ("out", "overlay")]
    if arguments.registry is not None and arguments.out is not None:
        targets.append(("out", provenance_beside(arguments.out)))
    for name, target in targets:
        if target is None:
            continue
        if target.exists() and any(path is not None and path.exists() and target.samefile(path) for path in read):
            raise UsageError(f"--{name}: this is a file that is read: name another, or its content would be lost")
        if target.exists() and not target.is_file():
            raise UsageError(f"--{name}: a folder or a device stands there: name a file")
        if not target.parent.is_dir():
            raise UsageError(f"--{name}: the folder of the file is not there: make it first")


def refuse_unused(arguments: argparse.Namespace) -> None:
    """Raise ``UsageError`` for an option that would have no effect: whoever gave it expects one."""
    one_scan = ("labels", "level", "label_value", "overlay", "question")
    unused = ("dictionary", "mapping") if arguments.registry is None else one_scan
    given = [f"--{name.replace('_', '-')}" for name in unused if getattr(arguments, name, None)]
    if given:
        how = "without --registry" if arguments.registry is None else "with --registry"
        raise UsageError(f"{', '.join(given)} would not be used {how}: leave it out.")


def run(arguments: argparse.Namespace) -> int:
    """Runs ``cemrisk ct``; returns 0 or raises a ``CemriskError``."""
    refuse_unused(arguments)
    refuse_overwriting(arguments)
    with tidy_on_stop():
        return run_scan(arguments) if arguments.registry is None else run_registry(arguments)


def run_scan(arguments: argparse.Namespace) -> int:
    """One scan to JSON: the report, or the question that it completes."""
    question = _question(arguments.question)
    if question is not None:
        check(question, arguments.moment or "preop")
    with tempfile.TemporaryDirectory(prefix="cemrisk-ct-") as name:
        labels = arguments.labels or make_labels(arguments.image, Path(name))
        report = measure_scan(
            arguments.image,
            labels,
            level=arguments.level,
            told=told_values(arguments.level, arguments.label_value),
            scheme=arguments.scheme,
            moment=arguments.moment or "preop",
            overlay=arguments.overlay,
            progress=_say_level,
        )
    result = report if question is None else complete(report, question)
    _write(json.dumps(result, indent=2, allow_nan=False) + "\n", arguments.out)
    return 0


def _question(path: Path | None) -> Any:
    """The question to complete, read before anything is measured; None without one."""
    if path is None:
        return None
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_no_number,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
    except OSError as error:
        raise UsageError("The file of --question cannot be read: check its path.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            "The file of --question is no JSON, holds NaN or Infinity, or a name twice: it must hold a question as "
            "/v1/risk takes it."
        ) from error


def _no_number(_name: str) -> None:
    raise ValueError("JSON has no NaN and no Infinity")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return dict(pairs)


def told_values(level: str | None, given: list[str]) -> dict[str, int]:
    """Level -> label value from ``--label-value N`` (with --level) and ``--label-value LEVEL=N``."""
    told: dict[str, int] = {}
    for entry in given:
        name, _, number = entry.rpartition("=")
        name = name or (level or "")
        # isdigit takes superscripts and the digits of every script
        whole = number.isascii() and number.isdigit() and len(number) < 6
        if name not in LEVELS or not whole or not 0 < int(number) <= LARGEST_LABEL:
            raise UsageError("--label-value takes a number together with --level, or LEVEL=N such as L1=20.")
        if name in told or int(number) in told.values():
            raise UsageError("--label-value names a level or a value twice: each level has a value of its own.")
        told[name] = int(number)
    return told


def run_registry(arguments: argparse.Namespace) -> int:
    """A folder of patients' scans joined to an export: the filled registry as CSV, and what did not match.

    Beside ``--out`` stands where each filled value comes from, as ``NAME.provenance.json``.
    """
    read = read_export(arguments.registry, dictionary=arguments.dictionary, mapping=arguments.mapping)
    positions = [int(position) for position in read.positions]
    joined = join(
        arguments.image, read.accepted, positions, _progress, scheme=arguments.scheme, moment=arguments.moment
    )
    summary = joined.summary() | {"rows_rejected": [row.position for row in read.rejected]}
    out, as_json = arguments.out, arguments.json
    if out is not None:
        beside = provenance_beside(out)
        with whole_file(out) as filled, whole_file(beside) as provenance:
            filled.write_text(_as_csv(joined), encoding="utf-8")
            provenance.write_text(json.dumps({"rows": joined.provenance}, indent=1, allow_nan=False), encoding="utf-8")
        sys.stderr.write(f"wrote {out} and {beside}\n")
    text = json.dumps(summary, indent=2) if as_json else _as_text(summary)
    (sys.stdout if out is not None or as_json else sys.stderr).write(text + "\n")
    if out is None and not as_json:
        sys.stdout.write(_as_csv(joined))
    return 0


def provenance_beside(out: Path) -> Path:
    """Where the provenance of a filled registry stands."""
    return out.with_name(f"{out.stem}.provenance.json")


def _say_level(level: str) -> None:
    sys.stderr.write(f"measuring {level}\n")


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"scans: {done} of {total}\n")


def _as_csv(joined: Joined) -> str:
    names = [name for name in VARIABLES if any(name in record for record in joined.records)]
    lines: list[list[str]] = [names]
    lines += [[_cell(record, name) for name in names] for record in joined.records]
    with tempfile.SpooledTemporaryFile(mode="w+", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
        file.seek(0)
        return str(file.read())


def _cell(record: Mapping[str, Value], name: str) -> str:
    return write(VARIABLES[name], record.get(name))


def _as_text(summary: Mapping[str, Any]) -> str:
    lines = [
        f"values filled: {summary['filled']}; stated values kept where the scan differs: {summary['kept']}",
        f"rows without a folder of images: {ranges(summary['rows_without_scan'])}",
        f"folders without a row (in order of name): {ranges(summary['folders_without_row'])}",
        f"rows rejected by the check: {ranges(summary['rows_rejected'])}",
    ]
    lines += [f"row {entry['row']} not filled: {entry['reason']}" for entry in summary["rows_withheld"]]
    lines += [f"folder {entry['folder']} rejected: {entry['reason']}" for entry in summary["folders_rejected"]]
    lines += [f"row {entry['row']}: {_level(entry)}{entry['detail']}" for entry in summary["warnings"]]
    return "\n".join(lines)


def _level(entry: Mapping[str, Any]) -> str:
    return f"{entry['level']}: " if entry["level"] else ""


def ranges(positions: Sequence[int]) -> str:
    """Ascending positions, runs of them as ``5 to 836``, after their number; ``none`` if there are none."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    said = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in runs)
    return f"{len(positions)} ({said})" if positions else "none"


def _write(text: str, out: Path | None) -> None:
    """To standard output, or whole to a file: it is written beside and moved."""
    if out is None:
        sys.stdout.write(text)
        return
    write_whole(out, text)
