"""Our bootstrap against rms::validate and val.prob on a binary case, resample by resample: the draws are R's own.

Recipe of ``validate/binary.json``: ``sh benchmarks/r/validate_golden.sh`` (the file names the versions).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bootstrap import by_r, data, validate_cox
from models.newton import fit_logistic, sigmoid
from training import metrics
from training.validate.bootstrap import Corrected, Resampled, correct

HERE = Path(__file__).parent / "validate"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "r" / "validate.R"


def table() -> tuple[np.ndarray, np.ndarray]:
    values = np.loadtxt(HERE / "binary.csv", delimiter=",", skiprows=1)
    return values[:, :-1], values[:, -1]


def risk(beta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return sigmoid(beta[0] + x @ beta[1:])


def judged(said: np.ndarray, y: np.ndarray) -> dict[str, float]:
    found = metrics.summary(said, y, curves=0)
    return {name: found[name] for name in ("auc", "brier", "calibration_slope")}


def ours(draws: list[list[int]]) -> Corrected:
    """The engine of ``--bootstrap`` around an unpenalised logistic model."""
    x, y = table()
    found = []
    for draw in draws:
        rows = np.array(draw) - 1
        beta = fit_logistic(x[rows], y[rows])
        found.append(Resampled(judged(risk(beta, x[rows]), y[rows]), judged(risk(beta, x), y)))
    return correct(judged(risk(fit_logistic(x, y), x), y), found)


def compare(theirs: dict[str, Any]) -> None:
    found, index = ours(theirs["draws"]), theirs["indices"]
    apparent, optimism, corrected = found.apparent, found.optimism, found.metrics
    assert 2 * apparent["auc"] - 1 == pytest.approx(index["Dxy"]["index.orig"], abs=1e-9)
    assert 2 * optimism["auc"] == pytest.approx(index["Dxy"]["optimism"], abs=1e-6)
    assert 2 * corrected["auc"] - 1 == pytest.approx(index["Dxy"]["index.corrected"], abs=1e-6)
    assert corrected["brier"] == pytest.approx(index["B"]["index.corrected"], abs=1e-6)
    assert optimism["calibration_slope"] == pytest.approx(index["Slope"]["optimism"], abs=1e-4)
    assert corrected["calibration_slope"] == pytest.approx(index["Slope"]["index.corrected"], abs=1e-4)
    val_prob = theirs["val_prob"]
    assert apparent["brier"] == pytest.approx(val_prob["Brier"], abs=1e-9)
    assert apparent["calibration_slope"] == pytest.approx(val_prob["Slope"], abs=1e-6)
    assert apparent["auc"] == pytest.approx(val_prob["C (ROC)"], abs=1e-4), "val.prob sorts risks into bins of 0.002"


def test_corrected_indices_equal_rms_on_the_same_draws() -> None:
    compare(json.loads((HERE / "binary.json").read_text()))


@pytest.fixture
def rscript() -> str:
    program = shutil.which("Rscript")
    wanted = "quit(status = sum(!sapply(c('rms', 'jsonlite'), requireNamespace, quietly = TRUE)))"
    if program is None or subprocess.run([program, "-e", wanted], capture_output=True).returncode:
        pytest.skip("Rscript, rms or jsonlite is not installed (Debian: r-cran-rms, r-cran-jsonlite)")
    return program


def test_corrected_indices_equal_rms_live(rscript, tmp_path) -> None:
    out = tmp_path / "out.json"
    done = subprocess.run(
        [rscript, SCRIPT, "binary", HERE / "binary.csv", out, "20"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    compare(json.loads(out.read_text()))


@pytest.mark.slow
def test_a_plain_cox_refit_is_validated_as_rms_does_it_live(rscript) -> None:
    """The apparent indices are the same numbers; the optimism is that of other draws, so near."""
    z, days, event = data(600)
    theirs, mine = by_r(z, days, event, 60)["indices"], validate_cox(z, days, event, 60, 1)
    for index, found in mine.items():
        assert found["index.orig"] == pytest.approx(theirs[index]["index.orig"], rel=1e-4, abs=1e-6), index
        assert found["optimism"] == pytest.approx(theirs[index]["optimism"], rel=0.5, abs=0.01), index
