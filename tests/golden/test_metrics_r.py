"""Our metrics against R's programs: on simulated inputs shipped here, and live on public data where R is installed.

Recipe of every value in ``metrics/*.json``: ``sh benchmarks/r/metrics_golden.sh`` (R 4.2.2 with Debian's packages; each
file names their versions, ``benchmarks/r/metrics.R`` the call behind each number). The public data stay in R's
``survival`` package; only R's numbers for them are here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import metrics

HERE = Path(__file__).parent / "metrics"
SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "r"
PUBLIC = {"gbsg": (730.5, 1826.25), "colon": (365.5, 1461.5), "mgus2": (1826.5, 3652.5), "nafld1": (1826.5, 3652.5)}
PACKAGES = ("survival", "riskRegression", "prodlim", "pec", "geepack", "rms", "cmprsk", "jsonlite")
CUTS = (0.1, 0.2, 0.3)
DISTANCES = ("ici", "e50", "e90", "emax")
# Looser where R's estimator is another one, with the reason; relative 1e-5 everywhere else (R's iterations stop there).
LOOSE = {
    "concordance_pec": 1e-3,  # weighs a pair by 1/(G(t-) G(t)), ours by 1/G(t-)^2
    "concordance_uno_se": 2e-2,  # takes the weights as known
    "auc_se": 5e-3,  # Hmisc divides by other terms of order 1/n; riskRegression agrees to 1e-5
    "brier_se": 5e-3,
    "auc": 1e-4,  # binary only: val.prob sorts risks into bins of 0.002 first
}
# R leaves out the factor m/(m-1) for m clusters, which ours has.
WITHOUT_FACTOR = ("observed_se", "concordance_se", "calibration_in_the_large_se", "calibration_slope_se")


def _golden(name: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads((HERE / f"{name}.json").read_text())["results"]
    return results


def _table(path: Path) -> dict[str, np.ndarray]:
    names = path.read_text().splitlines()[0].replace('"', "").split(",")
    values = np.loadtxt(path, delimiter=",", skiprows=1)
    return dict(zip(names, values.T, strict=True))


def _numbers(found: dict[str, metrics.Estimate]) -> dict[str, float]:
    return {f"{name}{ending}": getattr(one, part) for name, one in found.items()
            for ending, part in (("", "value"), ("_se", "se"))}  # fmt: skip


def _ours_binary(table: dict[str, np.ndarray]) -> dict[str, Any]:
    risk, y = table["risk"], table["y"]
    names = ("auc", "brier", "scaled_brier", "log_loss")
    agreement = metrics.calibration(risk, y)
    members = ("oe", "calibration_in_the_large", "calibration_slope", *DISTANCES)
    found = {name: getattr(metrics, name)(risk, y) for name in names}
    found |= {name: getattr(agreement, name) for name in members}
    return {**_numbers(found), "net_benefit": metrics.net_benefit(risk, y, CUTS).value}


def _ours_at(table: dict[str, np.ndarray], horizon_days: float) -> dict[str, Any]:
    at = (table[f"risk_{horizon_days:g}"], table["code"], table["days"], horizon_days)
    agreement = metrics.calibration_at(*at)
    found = {name: getattr(metrics, f"{name}_at")(*at) for name in ("auc", "brier", "scaled_brier", "log_loss")}
    found |= {name: getattr(metrics, name)(*at) for name in ("concordance", "concordance_uno")}
    members = ("observed", "oe", "calibration_in_the_large", "calibration_slope", *DISTANCES)
    found |= {name: getattr(agreement, name) for name in members}
    same = {"observed_cmprsk": found["observed"].value, "concordance_pec": found["concordance_uno"].value}
    return {**_numbers(found), **same, "net_benefit": metrics.net_benefit_at(*at, CUTS).value}


def _compare(ours: dict[str, Any], theirs: dict[str, Any], rows: int, at: bool) -> None:
    checked = set(theirs) & set(ours)
    assert len(checked) >= 14
    for name in checked:
        expected = np.asarray(theirs[name]) * (np.sqrt(rows / (rows - 1)) if name in WITHOUT_FACTOR else 1.0)
        loose = 0.0 if at and name == "auc" else LOOSE.get(name, 0.0)
        assert ours[name] == pytest.approx(expected, rel=max(1e-5, loose), abs=1e-6), name


def test_binary_metrics_equal_r():
    table = _table(HERE / "binary.csv")
    _compare(_ours_binary(table), _golden("binary")[0], len(table["y"]), at=False)


@pytest.mark.parametrize("name", ["single", "competing"])
def test_metrics_at_a_horizon_equal_r(name):
    table = _table(HERE / f"{name}.csv")
    for theirs in _golden(name):
        _compare(_ours_at(table, theirs["horizon_days"]), theirs, len(table["days"]), at=True)


def _run_r(script: str, *arguments: str) -> None:
    program = shutil.which("Rscript")
    assert program is not None
    done = subprocess.run([program, str(SCRIPTS / script), *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _r_is_ready() -> bool:
    program = shutil.which("Rscript")
    names = ", ".join(f'"{name}"' for name in PACKAGES)
    code = f"quit(status = sum(!sapply(c({names}), requireNamespace, quietly = TRUE)))"
    return program is not None and subprocess.run([program, "-e", code], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Risks predicted by R on public data, and R's metrics of them, made now."""
    if not _r_is_ready():
        pytest.skip(
            "Rscript or a package of benchmarks/r/metrics.R is not installed (Debian: r-base-core, r-cran-<name>)"
        )
    folder = tmp_path_factory.mktemp("public")
    _run_r("survival_data.R", str(folder))
    for name, horizons in PUBLIC.items():
        _run_r("metrics.R", str(folder / f"{name}.csv"), str(folder / f"{name}.json"), *(f"{h:g}" for h in horizons))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_public_data_equal_r_live(public, name):
    table = _table(public / f"{name}.csv")
    live = json.loads((public / f"{name}.json").read_text())["results"]
    for theirs, committed in zip(live, _golden(f"public_{name}"), strict=True):
        _compare(_ours_at(table, theirs["horizon_days"]), theirs, len(table["days"]), at=True)
        # Other versions of R's packages may move the last digits; more would be news.
        for key, value in committed.items():
            assert theirs[key] == pytest.approx(value, rel=1e-3, abs=1e-5), key


@pytest.mark.slow
def test_published_validation_of_rotterdam_in_gbsg(public):
    """McLernon 2023 (STRATOS), 5 years: Harrell 0.65, Uno 0.64, AUC 0.68, O/E 1.02, Brier 0.22, slope 1.06.

    Their slope is the coefficient of a Cox model on the linear predictor over all five years, an estimator for
    proportional hazards alone, and R gives it for these risks; ours is of the risk at five years and wider.
    """
    table, theirs = _table(public / "gbsg.csv"), json.loads((public / "gbsg.json").read_text())["results"][1]
    ours = _ours_at(table, 1826.25)
    printed = {"concordance": 0.65, "concordance_uno": 0.64, "auc": 0.68, "oe": 1.02, "brier": 0.22}
    assert {name: round(ours[name], 2) for name in printed} == printed
    assert round(theirs["cox_slope"], 2) == 1.06
    slope = metrics.calibration_at(table["risk_1826.25"], table["code"], table["days"], 1826.25).calibration_slope
    assert slope.lo < 1.06 < slope.hi
