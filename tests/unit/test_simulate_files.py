"""The files of a simulated registry, clean and dirty."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from features.dictionary import VARIABLES
from features.errors import InputRejected
from training.simulate import Registry, World, command, simulate, write
from training.simulate.dirty import DUPLICATE, KINDS

TRUTH_HEADER = (
    "patient_id,level,leak_any_ct,leak_any_radiograph,leak_B,leak_S,leak_C,leak_D,"
    "refracture_any_m3,refracture_any_m12,refracture_any_m24,refracture_same_m3,refracture_same_m12,refracture_same_m24,"
    "refracture_adjacent_m3,refracture_adjacent_m12,refracture_adjacent_m24,"
    "refracture_remote_m3,refracture_remote_m12,refracture_remote_m24,death_m3,death_m12,death_m24"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return simulate(400, seed=6)


@pytest.fixture(scope="module")
def clean(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    write(registry, folder)
    return folder


@pytest.fixture(scope="module")
def dirty(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dirty")
    write(registry, folder, dirty=True)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_are_those_of_the_contract(clean: Path, dirty: Path) -> None:
    files = {"registry.csv", "truth.csv", "redcap.csv", "redcap_dictionary.csv", "world.yaml"}
    assert {path.name for path in clean.iterdir()} == files
    assert {path.name for path in dirty.iterdir()} == files | {"defects.csv"}


def test_truth_stands_row_for_row_beside_the_registry(clean: Path, dirty: Path, registry: Registry) -> None:
    assert (clean / "truth.csv").read_text().splitlines()[0] == TRUTH_HEADER
    for folder in (clean, dirty):
        written, truth = rows(folder / "registry.csv"), rows(folder / "truth.csv")
        assert [(r["patient_id"], r["level"]) for r in written] == [(r["patient_id"], r["level"]) for r in truth]
    risks = np.array([float(row["refracture_any_m12"]) for row in rows(clean / "truth.csv")])
    np.testing.assert_allclose(risks, registry.truth["refracture_any_m12"], rtol=1e-9)


def test_the_registry_holds_its_columns(clean: Path, registry: Registry) -> None:
    written = rows(clean / "registry.csv")
    assert set(written[0]) <= set(VARIABLES)
    for name in ("age_years", "fvah_mm", "hu_l1", "refracture_days", "died"):
        read = np.array([float(row[name]) if row[name] else np.nan for row in written])
        np.testing.assert_array_equal(read, registry.columns[name])
    for row, routes in zip(written, registry.columns["leak_routes"], strict=True):
        assert frozenset(row["leak_routes"].split(";")) == routes


def test_the_world_is_written_so_that_it_draws_the_same_patients(clean: Path, registry: Registry) -> None:
    again = simulate(400, 6, World.load(clean / "world.yaml"))
    np.testing.assert_array_equal(again.truth["leak_any_ct"], registry.truth["leak_any_ct"])
    np.testing.assert_array_equal(again.complete["refracture"], registry.complete["refracture"])


def test_redcap_says_the_same_as_the_flat_file(clean: Path) -> None:
    """Decoded by hand from its own dictionary; the reader of exports is not asked."""
    fields = {row["Variable / Field Name"]: row for row in rows(clean / "redcap_dictionary.csv")}
    assert len(next(iter(fields.values()))) == 18
    export = rows(clean / "redcap.csv")
    base = {row["record_id"]: row for row in export if not row["redcap_repeat_instrument"]}
    vertebrae = [row for row in export if row["redcap_repeat_instrument"] == "vertebra"]
    flat = rows(clean / "registry.csv")
    assert len(vertebrae) == len(flat) and len(base) == 400
    for there, here in zip(vertebrae, flat, strict=True):
        patient = base[there["record_id"]]
        assert there["record_id"] == here["patient_id"] and patient["redcap_data_access_group"] == here["centre_id"]
        for name, cell in here.items():
            if name not in ("patient_id", "centre_id"):
                source = there if fields[name]["Form Name"] == "vertebra" else patient
                assert decoded(source, fields[name]) == set(filter(None, cell.split(";"))), name


def decoded(row: dict[str, str], field: dict[str, str]) -> set[str]:
    """The labels or the value that a raw REDCap row holds for a field."""
    name, kind = field["Variable / Field Name"], field["Field Type"]
    choices = dict(
        part.split(", ", 1) for part in field["Choices, Calculations, OR Slider Labels"].split(" | ") if part
    )
    if kind == "checkbox":
        return {label for code, label in choices.items() if row[f"{name}___{code}"] == "1"}
    return {choices.get(row[name], row[name])} if row[name] else set()


def test_the_identifier_is_marked_and_looks_made_up(clean: Path) -> None:
    marked = [
        row["Variable / Field Name"] for row in rows(clean / "redcap_dictionary.csv") if row["Identifier?"] == "y"
    ]
    assert marked == ["patient_name"]
    names = {row["patient_name"] for row in rows(clean / "redcap.csv")} - {""}
    assert len(names) == 400 and all(name.startswith("Synthetic Person ") for name in names)


def test_every_kind_of_defect_is_there_and_written_down(dirty: Path) -> None:
    kinds = Counter(row["defect"] for row in rows(dirty / "defects.csv"))
    assert set(kinds) == set(KINDS) == set(World.load().tree["dirty_export_features"])
    spoilt = {row["row"] for row in rows(dirty / "defects.csv")}
    assert 0.02 < len(spoilt) / len(rows(dirty / "registry.csv")) < 0.25


def test_dirty_differs_from_clean_exactly_where_it_says(clean: Path, dirty: Path) -> None:
    defects = rows(dirty / "defects.csv")
    doubled = {int(row["row"]) for row in defects if row["defect"] == DUPLICATE}
    spoilt = rows(dirty / "registry.csv")
    for place in doubled:
        assert spoilt[place - 1] == spoilt[place - 2]
    kept = [(place, row) for place, row in enumerate(spoilt, start=1) if place not in doubled]
    found = {
        (place, name)
        for (place, row), original in zip(kept, rows(clean / "registry.csv"), strict=True)
        for name in original
        if row[name] != original[name]
    }
    assert found == {(int(d["row"]), d["column"]) for d in defects if d["defect"] != DUPLICATE and d["row"] != "0"}
    assert "compression_rate" in spoilt[0] and all(row["compression_rate"] for row in spoilt)


def test_an_unknown_defect_is_refused(tmp_path: Path) -> None:
    tree = dict(World.load().tree) | {"dirty_export_features": ["coffee on the keyboard"]}
    with pytest.raises(InputRejected):
        write(simulate(5, 1, World.of(tree, "odd")), tmp_path, dirty=True)


def test_command_writes_the_same_as_the_library(clean: Path, tmp_path: Path) -> None:
    said: list[str] = []
    command(400, 6, tmp_path / "new" / "folder", progress=said.append)
    assert (tmp_path / "new" / "folder" / "registry.csv").read_bytes() == (clean / "registry.csv").read_bytes()
    assert len(said) == 3
