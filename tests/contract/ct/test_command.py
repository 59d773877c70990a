"""``cemrisk ct`` from its arguments to its files, and the query that is made of its output."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from features.check import judge_record
from features.ct.arguments import add_arguments
from features.ct.command import run, told_values
from features.ct.question import query
from features.ct.scan import measure_scan
from features.ct.volume import Volume
from features.dictionary import VARIABLES, Moment
from features.errors import DependencyMissing, UsageError
from features.registry.cells import write
from tests.contract.ct.files import write_nifti


@pytest.fixture
def files(trio: tuple[Volume, Volume], tmp_path: Path) -> tuple[Path, Path]:
    scan, labels = trio
    (tmp_path / "ct.json").write_text(json.dumps({"Modality": "CT", "KVP": 100, "ConvolutionKernel": "B70f"}))
    return write_nifti(scan, tmp_path / "ct.nii.gz"), write_nifti(labels, tmp_path / "labels.nii.gz")


def cemrisk_ct(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(a) for a in arguments]))


def test_one_level_to_json_and_to_a_query(files: tuple[Path, Path], tmp_path: Path) -> None:
    out, overlay = tmp_path / "l1.json", tmp_path / "l1.png"
    assert cemrisk_ct(files[0], "--labels", files[1], "--level", "L1", "--out", out, "--overlay", overlay) == 0
    assert overlay.stat().st_size > 10_000
    report = json.loads(out.read_text())
    (vertebra,) = report["vertebrae"]
    assert vertebra["values"]["fvah_mm"]["value"] == pytest.approx(19.0, abs=0.6)
    assert vertebra["values"]["adj_ah_above_mm"]["value"] == pytest.approx(27.0, abs=0.6)
    assert vertebra["values"]["adj_ah_below_mm"]["value"] == pytest.approx(27.0, abs=0.6)
    assert vertebra["derived"]["avhr_pct"]["value"] == pytest.approx(100 * 19 / 27, abs=3)
    assert vertebra["values"]["rka_deg"]["value"] == pytest.approx(0.0, abs=1.5)
    assert vertebra["values"]["cortical_disruption"]["value"] is False
    details = vertebra["details"]
    entries = [*vertebra["values"].values(), *report["patient"]["values"].values(), *details["ct_value_thirds"]]
    entries += [entry for name, entry in details.items() if name != "ct_value_thirds"]
    for entry in entries:
        assert entry["voxels"] > 0 and len(entry["roi_sha256"]) == 16 and len(entry["voxel_range"]) == 3
        assert entry["slices"] == entry["voxel_range"][2] and entry["image"] in {"image", "labels"}
        assert entry["source"] == source_of_the_scan(report)
    regions = {name: [r["level"] for r in e.get("regions", [e])] for name, e in vertebra["values"].items()}
    assert regions["rka_deg"] == ["T12", "L2"]
    assert regions["hu_adjacent_mean"] == ["T12", "L2"]
    assert regions["lost_volume_ml"] == ["L1", "T12", "L2"]
    assert (regions["fvah_mm"], regions["adj_ah_above_mm"]) == (["L1"], ["T12"])
    assert {
        "series",
        "kvp",
        "kernel",
        "slice_thickness_mm",
        "spacing_mm",
        "contrast",
        "labels",
        "method_version",
    } <= set(report["scan"])
    assert {"kvp_not_120", "sharp_kernel", "acquisition_unknown"} == {
        w["code"] for w in report["warnings"] if w["level"] is None
    }


def source_of_the_scan(report: dict[str, Any]) -> dict[str, Any]:
    """What has to stand beside every value."""
    scan = report["scan"]
    same = ("series", "kvp", "kernel", "slice_thickness_mm", "spacing_mm", "contrast", "method_version")
    labels = scan["labels"]
    return {name: scan[name] for name in same} | {
        "labels": f"{labels['source']}, {labels['scheme']}",
        "labels_series": labels["series"],
    }


def test_the_query_is_in_order_as_it_is(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    cemrisk_ct(files[0], "--labels", files[1], "--out", out)
    report = json.loads(out.read_text())
    body = query(report, {"age_years": 73, "sex": "female"}, {"L1": {"procedure": "PVP", "planned_volume_ml": 4.5}})
    assert [v["level"] for v in body["vertebrae"]] == ["L1"]
    assert 100 < body["patient"]["hu_l1"] < 120
    assert {w["level"] for w in body["ct"]} <= {None, "L1", "L2", "T12"}
    record = body["patient"] | body["vertebrae"][0]
    assert set(record) <= set(VARIABLES)
    assert all(VARIABLES[name].known_at <= Moment.PLANNED for name in record)
    typed = {name: frozenset(v) if isinstance(v, list) else v for name, v in record.items()} | {"patient_id": "p"}
    assert [f for f in judge_record(typed) if f.rejects] == []
    assert {("kvp_not_120", None), ("sharp_kernel", None)} <= {(w["code"], w["level"]) for w in body["ct"]}


def test_label_values_can_be_told(trio: tuple[Volume, Volume], files: tuple[Path, Path], tmp_path: Path) -> None:
    other = np.where(trio[1].voxels == 20, 5, 0).astype(np.int16)
    labels = write_nifti(Volume(other, trio[1].affine), tmp_path / "five.nii.gz")
    out = tmp_path / "told.json"
    assert cemrisk_ct(files[0], "--labels", labels, "--level", "L1", "--label-value", 5, "--out", out) == 0
    assert json.loads(out.read_text())["scan"]["labels"]["values"] == {"L1": 5}
    for wrong in (["--label-value", "5"], ["--label-value", "X9=5"], ["--level", "L1", "--label-value", "zero"]):
        with pytest.raises(UsageError):
            cemrisk_ct(files[0], "--labels", labels, *wrong)
    with pytest.raises(UsageError, match="not among the labels"):
        cemrisk_ct(files[0], "--labels", files[1], "--level", "L5")


def test_without_labels_it_says_how_to_supply_them(files: tuple[Path, Path]) -> None:
    with pytest.raises(DependencyMissing, match="--labels"):
        cemrisk_ct(files[0])


def patient_folder(root: Path, name: str, trio: tuple[Volume, Volume]) -> None:
    (root / name).mkdir(parents=True)
    write_nifti(trio[0], root / name / "image.nii.gz")
    write_nifti(trio[1], root / name / "labels.nii.gz")


def registry(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = [n for n in VARIABLES if any(n in row for row in rows)]
    lines = [",".join(names)] + [",".join(write(VARIABLES[n], row.get(n)) for n in names) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def dated(folder: Path, day: str) -> None:
    (folder / "image.json").write_text(json.dumps({"Modality": "CT", "AcquisitionDate": day}))


def test_a_folder_of_scans_fills_the_gaps_of_a_registry(
    trio: tuple[Volume, Volume], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = tmp_path / "scans"
    patient_folder(scans, "anna", trio)
    dated(scans / "anna", "20210301")
    (scans / "bert").mkdir()
    (scans / "nobody").mkdir()
    common = {"centre_id": "c1", "procedure_date": "2021-03-04", "age_years": 71.0, "sex": "female"}
    rows = [
        {"patient_id": "anna", "level": "L1", "fvah_mm": 30.0, **common},
        {"patient_id": "anna", "level": "L4", **common},
        {"patient_id": "bert", "level": "L2", **common},
        {"patient_id": "carl", "level": "L2", **common},
    ]
    out = tmp_path / "filled.csv"
    assert cemrisk_ct(scans, "--registry", registry(tmp_path / "r.csv", rows), "--out", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows_without_scan"] == [4]
    assert [(entry["row"], entry["code"]) for entry in summary["rows_withheld"]] == [(2, "level_not_labelled")]
    assert summary["folders_without_row"] == [3]
    assert [(entry["folder"], entry["code"]) for entry in summary["folders_rejected"]] == [(2, "incomplete")]
    assert summary["kept"] == 1
    assert "anna" not in json.dumps(summary)
    header, first = (line.split(",") for line in out.read_text().splitlines()[:2])
    filled = dict(zip(header, first, strict=True))
    assert filled["fvah_mm"] == "30.0"
    assert float(filled["pvh_mm"]) == pytest.approx(26.0, abs=0.6)
    assert filled["intravertebral_cleft"] == "0"
    (used,) = json.loads((tmp_path / "filled.provenance.json").read_text())["rows"]
    assert (used["row"], used["level"], used["moment"], used["days_from_procedure"]) == (1, "L1", "preop", -3)
    assert used["stated_otherwise"] == ["fvah_mm"]
    assert set(used["filled"]) == {name for name, text in filled.items() if text} - set(rows[0]) - {"treated_count"}
    for entry in used["filled"].values():
        assert len(entry["roi_sha256"]) == 16 and entry["source"]["method_version"] and "value" not in entry


def test_what_is_read_is_not_overwritten(files: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in files]
    for target in files:
        with pytest.raises(UsageError, match="--out"):
            cemrisk_ct(files[0], "--labels", files[1], "--level", "L1", "--out", target)
        with pytest.raises(UsageError, match="--overlay"):
            cemrisk_ct(files[0], "--labels", files[1], "--level", "L1", "--overlay", target)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("option", ["--out", "--overlay"])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_replaced(option: str, kind: str, tmp_path: Path) -> None:
    """A device such as /dev/null would become a file for everybody."""
    target = tmp_path / "target"
    target.mkdir() if kind == "folder" else os.mkfifo(target)
    with pytest.raises(UsageError, match=f"{option}: a folder or a device"):
        cemrisk_ct(tmp_path / "missing.nii", "--labels", tmp_path / "missing.nii", option, target)
    assert not target.is_file()


def test_slices_thicker_than_their_step_hide_breaches_and_clefts(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Slices of 3 mm reconstructed every 1.2 mm."""
    (tmp_path / "ct.json").write_text(json.dumps({"Modality": "CT", "KVP": 120, "SliceThickness": 3.0}))
    report = measure_scan(*files, level="L1")
    (vertebra,) = report["vertebrae"]
    assert not {"cortical_disruption", "endplate_disruption", "intravertebral_cleft"} & set(vertebra["values"])
    assert vertebra["details"]["shell"]["reason"] == "slices above 1.25 mm hide gaps in the shell"
    assert "breach_not_assessable" in {warning["code"] for warning in vertebra["warnings"]}


def test_a_missing_folder_is_said_before_anything_is_measured(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        cemrisk_ct(files[0], "--labels", files[1], "--out", tmp_path / "nowhere" / "l1.json")


def test_a_module_beside_the_scan_is_not_run(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "nibabel.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(beside)
    assert cemrisk_ct(files[0], "--labels", files[1], "--level", "L1", "--out", tmp_path / "l1.json") == 0
    assert not (beside / "ran").exists()


@pytest.mark.parametrize(
    "told",
    [["L1=²"], ["L1=٢"], ["20"], ["L1=0"], ["L9=3"], ["L1=70000"], ["L1=20", "L1=21"], ["L1=20", "L2=20"], ["L1="]],
)
def test_a_label_value_that_is_none_is_wrong_usage(told: list[str]) -> None:
    with pytest.raises(UsageError, match="--label-value"):
        told_values(None, told)
    assert told_values("L2", ["21", "L1=20"]) == {"L2": 21, "L1": 20}


def test_a_stopped_command_leaves_nothing_behind(files: tuple[Path, Path], tmp_path: Path) -> None:
    """SIGTERM while a large file is being decoded: neither voxels, nor a process, nor half a result."""
    temporary, out = tmp_path / "temporary", tmp_path / "out.json"
    temporary.mkdir()
    large = nib.Nifti1Image(np.zeros((400, 400, 400), np.int16), np.diag([1.0, 1.0, 1.0, 1.0]))
    nib.save(large, tmp_path / "large.nii.gz")
    command = [sys.executable, "-m", "cemrisk", "ct", tmp_path / "large.nii.gz", "--labels", files[1], "--out", out]
    with subprocess.Popen([str(c) for c in command], env=os.environ | {"TMPDIR": str(temporary)}) as running:
        for _ in range(600):
            if list(temporary.rglob("voxels.raw")):
                break
            time.sleep(0.05)
        else:
            running.kill()
            pytest.fail("nothing was decoded")
        running.terminate()
        assert running.wait(timeout=60) == 143
    assert list(temporary.iterdir()) == []
    assert not out.exists() and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    "unused", [["--labels", "x.nii"], ["--level", "L1"], ["--label-value", "L1=2"], ["--overlay", "x.png"],
               ["--question", "x.json"]]
)  # fmt: skip
def test_options_that_a_registry_would_not_use_are_refused(unused: list[str]) -> None:
    with pytest.raises(UsageError, match=unused[0]):
        cemrisk_ct("scans", "--registry", "r.csv", *unused)


def test_options_of_a_registry_are_refused_without_one() -> None:
    with pytest.raises(UsageError, match="--mapping"):
        cemrisk_ct("ct.nii", "--labels", "l.nii", "--mapping", "map.toml")
