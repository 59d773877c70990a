"""Reason codes of the readers: what is wrong with a cell, a row or a file before any rule of medicine is asked.

One table holds the code and its explanation, so that message, documentation and check cannot disagree. The rules on
typed values stand in ``features.rules``, the limits of single variables in the dictionary.
"""

from __future__ import annotations

from types import MappingProxyType

from features.errors import Finding, InputRejected

#: A cell that cannot be read as what its variable holds.
CELL_CODES = MappingProxyType(
    {
        "not_a_number": "a number with a decimal point is expected",
        "not_an_integer": "a whole number is expected",
        "not_a_flag": "expected 0 or 1, true or false, yes or no",
        "not_a_date": "expected a calendar date as YYYY-MM-DD, or as the format under [dates] in the mapping says",
        "unknown_choice": "the cell is none of the variable's choices; give its meaning under values in the mapping",
        "not_printable": "the text holds control characters or is longer than 200 characters",
    }
)

#: A row that cannot be read.
ROW_CODES = MappingProxyType(
    {
        "ragged_row": "the row has more or fewer cells than the header, so its cells cannot be told apart; quote cells "
        "that hold commas, and look for a comma at the end of the row",
        "empty_row": "all cells of the row are empty; delete the row",
        "record_id_missing": "the row has no record id, so it belongs to no patient; export the id with every row",
        "patient_without_vertebra": "the record has no vertebra; enter one, or leave the record out of the export",
        "vertebra_without_patient": "the vertebra has no patient's row; export the patient's instruments with it",
        "operation_unknown": "the patient has several procedure dates, and this row does not say which; give the date",
        "several_values": "rows of this record give different values; name one event under event in the mapping",
    }
)

#: Odd, but the row is kept.
WARNING_CODES = MappingProxyType(
    {
        "filled_from_patient": "empty here, given on another row of the same operation, and taken from there",
        "required_empty": "the project marks the field as required, and it is empty",
        "compression_rate_ignored": "a compression rate can mean height that remains or that is lost: the column "
        'is not read; to use it, map it with direction = "remaining" or direction = "lost"',
        "derived_ignored": "the variable is always computed from others: the column is not read",
        "identifier_dropped": "the data dictionary marks the field as an identifier: it was dropped before reading, "
        "and appears in no file and no message",
        "several_operations": "the patient has several procedure dates; each date counts as an operation of its own",
    }
)

#: A file that cannot be used at all.
FILE_CODES = MappingProxyType(
    {
        "empty_file": "the file is empty; export it again",
        "header_only": "the file has a header and no rows; export it again with the records",
        "not_utf8": "the file is not UTF-8",
        "nul_bytes": "the file holds NUL bytes, so it is not a CSV text; export it again as CSV (UTF-8)",
        "too_large": "the file is larger than a registry export can be; split it",
        "not_csv": "the file is not well-formed CSV",
        "not_comma_separated": "the header is not separated by commas; save the file as CSV with commas",
        "duplicate_column": "two columns have the same name; remove or rename one",
        "missing_column": "a column that every export needs is missing; name it as the dictionary does, or map it",
        "mapped_column_absent": "the mapping names a column that the file does not have; correct the mapping's from",
        "compression_rate_direction": "a compression rate can mean height that remains or height that is lost; add "
        'direction = "remaining" or direction = "lost" to its entry in the mapping',
        "dictionary_needed": "this is a REDCap export; give the project's data dictionary too (--dictionary)",
        "bad_dictionary": "the data dictionary is not one that REDCap writes; download it again as CSV",
        "raw_or_label": "some choice columns hold codes and others hold labels; export again as one of them, or say "
        'which under [redcap] in the mapping: export = "raw" or export = "label"',
    }
)

ALL_CODES = MappingProxyType({**FILE_CODES, **ROW_CODES, **CELL_CODES, **WARNING_CODES})


def finding(code: str, variable: str, hint: str = "", row: int = 0) -> Finding:
    """One finding of a reader; its detail is the code's explanation with a hint, never a value."""
    severity = "warn" if code in WARNING_CODES else "reject"
    detail = f"{variable}: {ALL_CODES[code]}" if variable else ALL_CODES[code]
    return Finding(code, variable, f"{detail}; {hint}" if hint else detail, severity, row)


def refuse(code: str, variable: str = "", hint: str = "") -> InputRejected:
    """The error for a file that cannot be used at all."""
    found = finding(code, variable, hint)
    return InputRejected(found.detail, [found])
