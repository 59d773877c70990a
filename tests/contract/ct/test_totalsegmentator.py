"""TotalSegmentator's part without TotalSegmentator: absent, without weights, and as a package with its signature.

The stand-in has the parameters of ``totalsegmentator.python_api.totalsegmentator`` and the settings functions of
version 2; what it writes are labels that were drawn before. How well the real one labels is not seen here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import cemrisk
from features.ct.segment import WEIGHTS
from features.ct.volume import Volume
from tests.contract.ct.files import write_nifti

CONFIG = """
import json, os
from pathlib import Path

def get_totalseg_dir():
    return Path(os.environ["TOTALSEG_HOME_DIR"])

def get_weights_dir():
    own = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    return Path(own) if own else get_totalseg_dir() / "nnunet/results"

def get_config_key(name):
    return json.loads((get_totalseg_dir() / "config.json").read_text()).get(name)
"""
API = """
import json, os
from pathlib import Path
import nibabel as nib
from totalsegmentator.config import get_config_key, get_weights_dir

def totalsegmentator(input, output=None, ml=False, nr_thr_resamp=1, nr_thr_saving=6,
                     fast=False, nora_tag="None", preview=False, task="total", roi_subset=None,
                     statistics=False, radiomics=False, crop_path=None, body_seg=False,
                     force_split=False, output_type="nifti", quiet=False, verbose=False, test=0,
                     skip_saving=False, device="gpu", license_number=None,
                     statistics_exclude_masks_at_border=True, no_derived_masks=False,
                     v1_order=False, fastest=False, roi_subset_robust=None):
    print("Using Device:", device)
    image = nib.load(input)
    drawn = nib.load(os.environ["DRAWN_LABELS"])
    assert image.shape == drawn.shape
    nib.save(drawn, output)
    seen = {"input": str(input), "ml": ml, "task": task, "roi_subset": roi_subset, "device": device,
            "statistics": get_config_key("send_usage_stats"), "weights": str(get_weights_dir()),
            "proxy": os.environ["https_proxy"], "affine": image.affine.tolist()}
    Path(os.environ["SEEN"]).write_text(json.dumps(seen))
    return drawn
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in on the path of this process and its children, and the user's folder with settings and weights."""
    package, own = tmp_path / "packages" / "totalsegmentator", tmp_path / "own"
    package.mkdir(parents=True)
    for name, text in {"__init__.py": "", "config.py": CONFIG, "python_api.py": API}.items():
        (package / name).write_text(text)
    for number in WEIGHTS:
        (own / "nnunet" / "results" / f"Dataset{number}_TotalSegmentator").mkdir(parents=True)
    (own / "config.json").write_text(json.dumps({"totalseg_id": "mine", "send_usage_stats": True}))
    monkeypatch.syspath_prepend(str(package.parent))
    kept = [str(package.parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(kept))
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(own))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    return own


def test_absent_it_is_said_how_to_supply_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_nifti(Volume(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "ct.nii")
    assert cemrisk.main(["ct", str(image)]) == 16
    said = capsys.readouterr()
    assert "--labels" in said.err and said.out == ""


def test_a_scan_that_is_not_there_is_said_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cemrisk.main(["ct", str(tmp_path / "no.nii.gz")]) == 2
    assert "there is no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize("number", [WEIGHTS[0], WEIGHTS[-1]])
def test_without_one_of_its_weights_nothing_is_fetched(
    home: Path, number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    next((home / "nnunet" / "results").glob(f"Dataset{number}_*")).rmdir()
    image = write_nifti(Volume(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "ct.nii")
    assert cemrisk.main(["ct", str(image)]) == 16
    assert "weights" in capfd.readouterr().err
    assert not (tmp_path / "seen.json").exists()


def test_its_labels_are_measured_and_its_words_stay_off_the_result(
    home: Path,
    trio: tuple[Volume, Volume],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan, labels = trio
    image = write_nifti(scan, tmp_path / "scan of the patient.nii.gz")
    settings = (home / "config.json").read_bytes()
    monkeypatch.setenv("DRAWN_LABELS", str(write_nifti(labels, tmp_path / "drawn.nii.gz")))
    assert cemrisk.main(["ct", str(image), "--level", "L1", "--scheme", "verse"]) == 0
    said = capfd.readouterr()
    report = json.loads(said.out)
    assert "Using Device" in said.err
    assert report["vertebrae"][0]["values"]["fvah_mm"]["value"] == pytest.approx(19.0, abs=0.6)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["ml"], seen["task"], seen["device"], seen["statistics"]) == (True, "total", "cpu", False)
    assert seen["roi_subset"][0] == "vertebrae_T1" and len(seen["roi_subset"]) == 17
    assert seen["weights"] == str(home / "nnunet" / "results")
    assert "patient" not in seen["input"] and not Path(seen["input"]).exists()
    assert np.allclose(seen["affine"], nib.load(image).affine)
    assert seen["proxy"].startswith("http://127.0.0.1")
    assert (home / "config.json").read_bytes() == settings, "the user's own settings are left alone"


def test_a_failure_of_it_is_a_refusal(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = write_nifti(Volume(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "ct.nii")
    assert cemrisk.main(["ct", str(image)]) == 11  # the stand-in finds no labels drawn
    said = capfd.readouterr()
    assert said.out == "" and "--labels" in said.err
