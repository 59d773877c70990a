"""The mapping file: how a foreign export says what the dictionary's variables say.

TOML with ``[columns.<variable>]`` (``from``, and where needed ``values``, ``scale``, ``unit``, ``direction``,
``separator``, ``event``), ``[constants]``, ``[dates]`` and ``[redcap]``. All faults of the file are reported at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from features.dictionary import VARIABLES
from features.errors import Finding, UsageError
from features.registry.cells import SEPARATOR, parse
from features.registry.codes import refuse
from features.units import convertible
from features.variable import Value, Variable

#: Codes that REDCap offers as a project's missing data codes, and their labels as a label export prints them.
STANDARD_MISSING_CODES = (
    *("NI", "INV", "UNK", "NASK", "ASKU", "NAV", "MSK", "NA", "NAVU", "NP"),
    *("No information", "Invalid", "Unknown", "Not asked", "Asked but unknown", "Temporarily unavailable", "Masked"),
    *("Not applicable", "Not available", "Not present"),
)
#: Measures of a height that remains: a height that was lost is 100 minus it.
REMAINING_HEIGHTS = ("avhr_pct", "mvhr_pct", "ap_ratio_pct")
#: Above how many bytes a mapping is no mapping.
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Where a variable comes from and how its cells are turned into the dictionary's.

    ``values``: cell -> cell in the dictionary's words. ``scale`` and ``factor`` (from the unit) multiply numbers;
    ``complement`` then takes them from 100. ``event`` names the REDCap event to read.
    """

    variable: str
    source: str
    values: Mapping[str, str] | None = None
    scale: float = 1.0
    factor: float = 1.0
    complement: bool = False
    separator: str = SEPARATOR
    event: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportMapping:
    """A whole mapping file; the empty one reads an export whose columns are named as in the dictionary."""

    columns: Mapping[str, ColumnMapping] = field(default_factory=dict)
    constants: Mapping[str, Value] = field(default_factory=dict)
    date_format: str = ""
    missing_codes: tuple[str, ...] = STANDARD_MISSING_CODES
    redcap_export: str = ""


def load_mapping(path: Path) -> ExportMapping:
    """Read a mapping file; raises ``UsageError`` with all its faults, ``InputRejected`` for an undirected rate."""
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise UsageError(f"there is no mapping file {path}; give the path of a TOML file")
    try:
        return parse_mapping(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError("the mapping is not UTF-8; save it again as UTF-8") from None


def parse_mapping(text: str) -> ExportMapping:
    """The mapping in TOML text; see ``load_mapping``."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the mapping is not TOML: {error}") from None
    faults: list[str] = []
    _refuse_unknown_keys(content, ("columns", "constants", "dates", "redcap"), "the mapping", faults)
    mapping = ExportMapping(
        columns=_columns(_table(content, "columns", faults), faults),
        constants=_constants(_table(content, "constants", faults), faults),
        date_format=_date_format(_table(content, "dates", faults), faults),
        **_redcap(_table(content, "redcap", faults), faults),
    )
    twice = mapping.columns.keys() & mapping.constants.keys()
    faults += [f"{name} is both mapped and constant; choose one" for name in sorted(twice)]
    if faults:
        raise UsageError("the mapping cannot be used:\n" + "\n".join(f"  {fault}" for fault in faults))
    return mapping


def is_compression_rate(column: str) -> bool:
    """Whether a column is called compression rate, in any spelling; the name says nothing of its direction."""
    bare = re.sub(r"[\W_]+", "", column.lower())
    return bool(re.search(r"compress(ion|ed|ive)?(rate|ratio|percent|pct)|压缩(率|比)", bare))


def _columns(table: dict[str, Any], faults: list[str]) -> dict[str, ColumnMapping]:
    found = {}
    for name, entry in table.items():
        variable = VARIABLES.get(name)
        if variable is None or variable.derived:
            why = "the dictionary has no such variable" if variable is None else "it is always computed from others"
            faults.append(f"[columns.{name}]: {why}; see cemrisk dictionary")
        elif not isinstance(entry, dict) or not isinstance(entry.get("from"), str) or not entry["from"].strip():
            faults.append(f'[columns.{name}]: needs from = "the column\'s name"')
        else:
            found[name] = _column(variable, entry, faults)
    return found


def _column(variable: Variable, entry: dict[str, Any], faults: list[str]) -> ColumnMapping:
    where = f"[columns.{variable.name}]"
    known = ("from", "values", "scale", "unit", "direction", "separator", "event")
    _refuse_unknown_keys(entry, known, where, faults)
    source = entry["from"].strip()
    if is_compression_rate(source) and "direction" not in entry:
        raise refuse("compression_rate_direction", variable.name)
    return ColumnMapping(
        variable=variable.name,
        source=source,
        values=_values(entry, where, faults),
        scale=_scale(variable, entry, where, faults),
        factor=_factor(variable, entry, where, faults),
        complement=_complement(variable, entry, where, faults),
        separator=_text(entry, "separator", where, faults) or SEPARATOR,
        event=_text(entry, "event", where, faults),
    )


def _values(entry: dict[str, Any], where: str, faults: list[str]) -> dict[str, str] | None:
    values = entry.get("values")
    if values is None:
        return None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        faults.append(f'{where}: values must be a table of texts, such as {{ "1" = "female", "0" = "male" }}')
        return None
    return {key.strip(): value for key, value in values.items()}


def _scale(variable: Variable, entry: dict[str, Any], where: str, faults: list[str]) -> float:
    scale = entry.get("scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or scale == 0 or abs(scale) > 1e9:
        faults.append(f"{where}: scale must be a number other than 0, such as -1.0")
        return 1.0
    if "scale" in entry and variable.kind not in ("number", "integer"):
        faults.append(f"{where}: only a number can be scaled")
    return float(scale)


def _factor(variable: Variable, entry: dict[str, Any], where: str, faults: list[str]) -> float:
    unit = _text(entry, "unit", where, faults)
    if not unit:
        return 1.0
    possible = convertible(variable)
    if unit not in possible:
        faults.append(f"{where}: unit must be one of {', '.join(possible) or 'none: the variable has no unit'}")
    return possible.get(unit, 1.0)


def _complement(variable: Variable, entry: dict[str, Any], where: str, faults: list[str]) -> bool:
    direction = _text(entry, "direction", where, faults)
    if direction and direction not in ("remaining", "lost"):
        faults.append(f'{where}: direction must be "remaining" or "lost"')
    if direction and variable.name not in REMAINING_HEIGHTS:
        faults.append(f"{where}: direction is for {', '.join(REMAINING_HEIGHTS)} only")
    return direction == "lost"


def _constants(table: dict[str, Any], faults: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, given in table.items():
        variable = VARIABLES.get(name)
        if variable is None or variable.derived:
            faults.append(f"[constants] {name}: the dictionary has no such variable to give")
            continue
        text = ("1" if given else "0") if isinstance(given, bool) else str(given)
        value = parse(variable, text) if isinstance(given, str | int | float) else None
        if value is None or isinstance(value, Finding):
            faults.append(f"[constants] {name}: is not a value of this variable; see cemrisk dictionary")
        else:
            found[name] = value
    return found


def _date_format(table: dict[str, Any], faults: list[str]) -> str:
    _refuse_unknown_keys(table, ("format",), "[dates]", faults)
    given = _text(table, "format", "[dates]", faults)
    if given and not _round_trips(given):
        faults.append('[dates]: format must hold day, month and year, such as "%d/%m/%Y"')
    return given


def _round_trips(date_format: str) -> bool:
    day = datetime(2021, 2, 3)
    try:
        return datetime.strptime(day.strftime(date_format), date_format).date() == day.date()
    except (ValueError, re.error):
        return False


def _redcap(table: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    _refuse_unknown_keys(table, ("missing_codes", "export"), "[redcap]", faults)
    codes = table.get("missing_codes", list(STANDARD_MISSING_CODES))
    if not isinstance(codes, list) or not all(isinstance(code, str | int) for code in codes):
        faults.append('[redcap]: missing_codes must be a list, such as ["-999", "UNK"]')
        codes = []
    export = _text(table, "export", "[redcap]", faults)
    if export not in ("", "raw", "label"):
        faults.append('[redcap]: export must be "raw" or "label"')
    return {"missing_codes": tuple(str(code).strip() for code in codes), "redcap_export": export}


def _table(content: dict[str, Any], key: str, faults: list[str]) -> dict[str, Any]:
    found = content.get(key, {})
    if isinstance(found, dict):
        return found
    faults.append(f"[{key}] must be a table")
    return {}


def _text(entry: dict[str, Any], key: str, where: str, faults: list[str]) -> str:
    found = entry.get(key, "")
    if isinstance(found, str):
        return found.strip()
    faults.append(f"{where}: {key} must be a text")
    return ""


def _refuse_unknown_keys(table: dict[str, Any], known: tuple[str, ...], where: str, faults: list[str]) -> None:
    faults += [f"{where}: unknown key {key}; possible are {', '.join(known)}" for key in table if key not in known]
