"""One real training by the command line, shared by all tests that only look at it; canaries are in its export.

A canary is a patient's value that occurs once: if it is found anywhere in the home folder, a model or MLflow has kept
something of a single patient.
"""

from __future__ import annotations

import atexit
import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cemrisk
from training.simulate import command

PATIENTS = 1_200
#: Odd values by column: inside the limits, in the middle and at the ends of what others have.
CANARIES: dict[str, tuple[str, ...]] = {
    "hu_l1": ("61.73519", "3.1719", "213.73519"),
    "t_score": ("-2.7193713", "-5.8193713"),
    "bmi_kg_m2": ("23.719193", "38.719193"),
    "planned_volume_ml": ("4.3719137", "8.9719137"),
    "fvah_mm": ("18.7191373",),
    "age_years": ("73.719137", "97.719137"),
}
CANARY_PATIENT = "SIM-KANARI77123"
CANARY_CENTRE = "KANARICENTRE"
CANARY_DATE = "2017-02-23"


@dataclass(frozen=True)
class Trained:
    """``home``: CEMRISK_HOME; ``export``: what was trained from; ``report``: ``train --json``; ``said``: stderr."""

    home: Path
    export: Path
    report: dict[str, Any]
    said: str


@cache
def trained() -> Trained:
    """Simulate, spoil a row, add canaries, train all, promote both (by force: there are too few patients)."""
    place = Path(tempfile.mkdtemp(prefix="cemrisk-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    export = write_export(place)
    out, err = io.StringIO(), io.StringIO()
    with at_home(place / "home"), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cemrisk.main(["train", str(export), "--seed", "1", "--json"])
        assert code == 0, err.getvalue()
        report = json.loads(out.getvalue())
        for one in report["trained"]:
            number = best(one["outcome"], one["versions"])
            command = ["promote", one["outcome"], number, "--force", "--why", "few patients keep the tests quick"]
            assert cemrisk.main(command) == 0, err.getvalue()
    return Trained(place / "home", export, report, err.getvalue())


def best(outcome: str, versions: list[dict[str, Any]]) -> str:
    """The version that would be the challenger if there were enough patients."""
    end = "" if outcome == "leakage" else "_m12"
    models = [version for version in versions if version["role"] == "model"]
    return str(min(models, key=lambda version: version["metrics"][f"log_loss{end}"])["version"])


@contextlib.contextmanager
def at_home(home: Path) -> Iterator[None]:
    """The environment of a user whose state is in ``home``."""
    before = {name: os.environ.get(name) for name in ("CEMRISK_HOME", "MLFLOW_TRACKING_URI")}
    os.environ["CEMRISK_HOME"] = str(home)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def write_export(folder: Path, patients: int = PATIENTS, seed: int = 11) -> Path:
    """A simulated registry with one rejected row, one leak seen by fluoroscopy, and the canaries."""
    command(patients, seed, folder / "simulated", None, False, lambda message: None)
    with (folder / "simulated" / "registry.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    counts = [sum(other["patient_id"] == row["patient_id"] for other in rows[:200]) for row in rows[:200]]
    pair = counts.index(2)
    rows[pair]["fvah_mm"] = "1.9"  # centimetres: this row is rejected, the other one keeps its leakage
    alone = [row for row, count in zip(rows, counts, strict=False) if count == 1]
    alone[0]["leak_modality"] = "fluoroscopy"
    _add_canaries(alone[1:])
    path = folder / "registry.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _add_canaries(rows: list[dict[str, str]]) -> None:
    places = iter(rows)
    for column, values in CANARIES.items():
        for value in values:
            next(places)[column] = value
    last = next(places)
    last |= {"patient_id": CANARY_PATIENT, "centre_id": CANARY_CENTRE, "procedure_date": CANARY_DATE}
