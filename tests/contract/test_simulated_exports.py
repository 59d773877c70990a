"""Simulated files through the front door: the reader of exports takes the clean ones whole and finds what is dirty."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from features.registry.export import Export, read_export
from training.simulate import Registry, simulate, write

#: Reason codes by which a reader may report each kind of defect.
REPORTED_AS = {
    "T-score printed positive": {"above_limit"},
    "anterior height in cm": {"below_limit"},
    "compression rate as remaining OR lost": {"compression_rate_ignored"},
    "age 9.0": {"below_limit"},
    "sex coded 0/1, 1/2, F/M": {"unknown_choice"},
    "leak type 'C,S' in one cell": {"unknown_choice"},
    "dates dd/mm v mm/dd": {"not_a_date"},
    "P-value-like text in numeric cells": {"not_a_number"},
    "duplicate rows per vertebra": {"duplicate_vertebra"},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return simulate(400, seed=12)


@pytest.fixture(scope="module")
def folder(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    write(registry, folder / "clean")
    write(registry, folder / "dirty", dirty=True)
    return folder


def assert_same_as(registry: Registry, export: Export) -> None:
    assert not export.rejected and len(export.accepted) == len(registry.patient)
    read = export.columns()
    for name, values in registry.columns.items():
        if values.dtype == object:
            assert list(read[name]) == list(values), name
        else:
            np.testing.assert_array_equal(read[name], values, err_msg=name)


def test_the_flat_file_is_read_whole(registry: Registry, folder: Path) -> None:
    assert_same_as(registry, read_export(folder / "clean" / "registry.csv"))


def test_redcap_gives_the_same_patients_without_their_names(registry: Registry, folder: Path) -> None:
    clean = folder / "clean"
    export = read_export(clean / "redcap.csv", dictionary=clean / "redcap_dictionary.csv")
    assert_same_as(registry, export)
    assert "patient_name" not in export.source_columns
    assert not any("Synthetic Person" in cell for row in export.rows for cell in row.cells)


def test_every_defect_is_reported_where_it_is(folder: Path) -> None:
    export = read_export(folder / "dirty" / "registry.csv")
    found = {(finding.row, finding.variable): set[str]() for finding in export.all_findings}
    for finding in export.all_findings:
        found[finding.row, finding.variable].add(finding.code)
    with (folder / "dirty" / "defects.csv").open(encoding="utf-8", newline="") as file:
        defects = list(csv.DictReader(file))
    assert {row["defect"] for row in defects} == set(REPORTED_AS)
    for row in defects:
        codes = found.get((int(row["row"]), row["column"]), set())
        assert codes & REPORTED_AS[row["defect"]], (row, codes)


def test_rows_without_a_defect_of_their_patient_are_accepted(folder: Path) -> None:
    export = read_export(folder / "dirty" / "registry.csv")
    with (folder / "dirty" / "defects.csv").open(encoding="utf-8", newline="") as file:
        spoilt = {int(row["row"]) for row in csv.DictReader(file)}
    patients = {row.record.get("patient_id") for row in export.rows if row.position in spoilt}
    assert all(row.accepted for row in export.rows if row.record.get("patient_id") not in patients)
    assert len(export.accepted) + len(export.rejected) == len(export.rows)
