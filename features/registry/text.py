"""A CSV file as text: header and lines, nothing typed, nothing guessed, nothing shifted.

A general reader takes a comma at the end of a row as a shift of all columns, ``007`` as 7 and ``NA`` as missing. Here
every cell stays the text that the file holds, and a row that does not fit its header is marked, not bent into shape.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from features.errors import UsageError
from features.registry.codes import refuse

MAX_BYTES = 512 * 1024 * 1024
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class Line:
    """One data row: its position (the first below the header is 1), its cells as they came, and whether they fit."""

    position: int
    cells: tuple[str, ...]
    ragged: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A header and its lines; column names are stripped of surrounding blanks."""

    header: tuple[str, ...]
    lines: tuple[Line, ...]


def read_table(path: Path, max_bytes: int = MAX_BYTES) -> Table:
    """Read a comma-separated UTF-8 file (with or without a byte order mark).

    Blank lines are skipped; every other line below the header is one row. Raises ``UsageError`` where there is no such
    file and ``InputRejected`` where it is empty, too large, in another encoding, or not CSV.
    """
    return parse_table(_decode(_read_bytes(path, max_bytes)))


def parse_table(text: str) -> Table:
    """Split CSV text into header and lines; raises ``InputRejected`` for what is not CSV with commas."""
    if not text.strip():
        raise refuse("empty_file")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in reader if row)
    except csv.Error:
        hint = f"look at the quotes near line {reader.line_num}: a quote that opens must close, once, at the cell's end"
        raise refuse("not_csv", hint=hint) from None
    header = tuple(name.strip() for name in rows[0])
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise refuse("not_comma_separated")
    if len(rows) == 1:
        raise refuse("header_only")
    lines = (Line(number, tuple(row), len(row) != len(header)) for number, row in enumerate(rows[1:], start=1))
    return Table(header, tuple(lines))


def refuse_duplicate_columns(header: tuple[str, ...]) -> None:
    """Raise ``InputRejected`` if two named columns have one name; columns without a name may repeat.

    The name is not repeated in the message: in a file without a header it would be a patient's value.
    """
    seen: dict[str, int] = {}
    for number, name in enumerate(header, start=1):
        if name and name in seen:
            raise refuse("duplicate_column", hint=f"columns {seen[name]} and {number}")
        seen[name] = number


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():
        raise UsageError(f"there is no file {path}; give the path of a CSV file")
    if path.stat().st_size > max_bytes:
        raise refuse("too_large", hint=f"at most {max_bytes // 1024**2} MiB")
    return path.read_bytes()


def _decode(content: bytes) -> str:
    if content[:2] in _BYTE_ORDER_MARKS:
        raise refuse("not_utf8", hint="it is UTF-16: save it again as CSV UTF-8")
    if b"\x00" in content:
        # Text of Western or Chinese registries in UTF-16 without a mark has a NUL in about every second byte.
        if content.count(b"\x00") * 4 > len(content):
            raise refuse("not_utf8", hint="it is UTF-16 without a mark: save it again as CSV UTF-8")
        raise refuse("nul_bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refuse("not_utf8", hint=f"{_likely_encoding(content)}: save it again as CSV UTF-8") from None


def _likely_encoding(content: bytes) -> str:
    """Chinese words are runs of high bytes, European ones have a single high byte between letters."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content)]
    if 2 * sum(length for length in runs if length > 1) > sum(runs):
        return "it looks like GB18030 (GBK), as Excel writes it in China"
    return "it looks like a Western code page such as Windows-1252"
