"""The tables of codes: sound by themselves, by the check digits of their systems, and by what others say they mean."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from features.dictionary import VARIABLES, Moment
from serving.fhir import codes
from serving.fhir.code_table import markdown
from serving.fhir.codes import Code
from serving.schema import accepted_variables

LOINC, SNOMED = codes.LOINC, codes.SNOMED


def test_the_tables_are_sound() -> None:
    askable = {v.name for scope in ("patient", "vertebra") for v in accepted_variables(scope, Moment.PLANNED)}  # type: ignore[arg-type]
    for place, table in codes.TABLES.items():
        assert max(Counter((line.system, line.code) for line in table).values()) == 1, place
        for line in table:
            assert line.variable in askable and line.display
            if line.value is not None and line not in codes.STEROIDS:
                assert VARIABLES[line.variable].judge(line.value) is None, line
    assert not [line for line in codes.OBSERVED if not codes.codings_of(line.variable)]


def test_vertebrae_have_the_codes_that_dicom_knows() -> None:
    from pydicom.sr.codedict import codes as dicom

    for line in codes.LEVELS:
        if line.system == SNOMED:
            assert getattr(dicom.SCT, f"{line.value}Vertebra").value == line.code
    assert sum(line.system == SNOMED for line in codes.LEVELS) == 17


def test_loinc_codes_carry_their_check_digit() -> None:
    for line in codes.OBSERVED:
        if line.system == LOINC:
            number, digit = line.code.split("-")
            assert _mod_10(number) == int(digit), line.code


def _mod_10(number: str) -> int:
    """LOINC's users' guide, appendix on the check digit: Luhn, from the right."""
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(number))]
    return -sum(d // 10 + d % 10 for d in doubled) % 10


def test_snomed_codes_carry_their_check_digit() -> None:
    lines = [line for table in codes.TABLES.values() for line in table if line.system == SNOMED]
    assert len(lines) > 40
    for line in lines:
        assert _verhoeff(line.code) == 0, line


_D = [[(i + j) % 5 if j < 5 else 5 + (i + j) % 5 for j in range(10)] for i in range(5)]
_D += [[5 + (i - j) % 5 if j < 5 else (i - j) % 5 for j in range(10)] for i in range(5)]
_P = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def _verhoeff(number: str) -> int:
    """Zero if the last digit is the check digit (Verhoeff 1969), which every SNOMED CT identifier ends with."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        permuted = int(digit)
        for _ in range(place % 8):
            permuted = _P[permuted]
        check = _D[check][permuted]
    return check


#: What a code says of its variable, or that it says nothing.
SAID = [
    (codes.AUGMENTATIONS, codes.ICD9_CM, "81.65", "PVP"),
    (codes.AUGMENTATIONS, codes.ICD9_CM, "81.6500", "PVP"),
    (codes.AUGMENTATIONS, codes.ICD9_CM, "81.6600x001", "PKP"),  # as hospitals in China write it
    (codes.AUGMENTATIONS, codes.ICD9_CM, "81.6", None),
    (codes.AUGMENTATIONS, codes.CPT, "22510", "PVP"),
    (codes.AUGMENTATIONS, codes.CPT, "2251", None),
    (codes.ILLNESSES, codes.ICD10, "G45.9", True),
    (codes.ILLNESSES, codes.ICD10, "G45.4", None),  # transient global amnesia
    (codes.ILLNESSES, codes.ICD10_CM, "Z86.73", True),
    (codes.ILLNESSES, codes.ICD10, "Z86.73", None),
    (codes.ILLNESSES, codes.ICD10_CM, "Z79.52", None),  # steroids without their dose
    (codes.ILLNESSES, SNOMED, "700379002", True),
    (codes.BONE_DRUGS, codes.ATC, "M05BB03", "bisphosphonate_oral"),
    (codes.BONE_DRUGS, codes.ATC, "M05BA06", None),  # ibandronate: swallowed or infused
]


@pytest.mark.parametrize(("table", "system", "code", "value"), SAID)
def test_a_code_says_what_its_system_says(table: tuple[Code, ...], system: str, code: str, value: object) -> None:
    line = codes.found(table, [(system, code)])
    assert (line and line.value) == value


def test_the_document_shows_the_table_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "ehr.md").read_text(encoding="utf-8")
    assert text.split("<!-- codes -->\n")[1].split("<!-- end of codes -->")[0].strip() == markdown()
