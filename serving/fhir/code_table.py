"""The table of codes as docs/ehr.md shows it: ``python -m serving.fhir.code_table``."""

from __future__ import annotations

import sys

from serving.fhir import codes
from serving.fhir.codes import Code

_SYSTEMS = {
    codes.LOINC: "LOINC",
    codes.SNOMED: "SNOMED CT",
    codes.ICD10: "ICD-10",
    codes.ICD10_CM: "ICD-10-CM",
    codes.ICD9_CM: "ICD-9-CM",
    codes.ATC: "ATC",
    codes.RXNORM: "RxNorm",
    codes.CPT: "CPT",
    codes.DICTIONARY: "ours",
}


def markdown() -> str:
    """One row for each code of a common system."""
    rows = ["| element | variable | value | system | code | meaning |", "|---|---|---|---|---|---|"]
    for place, table in codes.TABLES.items():
        rows += [_row(place, line) for line in table if line.system != codes.DICTIONARY]
    return "\n".join(rows)


def _row(place: str, line: Code) -> str:
    value = "the observed" if line.value is None else "yes" if line.value is True else str(line.value)
    if line in codes.STEROIDS:
        value = f"by dose; 1 mg is {line.value:g} mg prednisolone"
    code = f"`{line.code}`" + (" and below" if line.prefix else "")
    return f"| {place} | `{line.variable}` | {value} | {_SYSTEMS[line.system]} | {code} | {line.display} |"


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
