"""What docs/operating.md tells an administrator to type, against the code: names that no longer exist are found."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operating.md").read_text()
CODE = (
    "".join(path.read_text() for path in sorted((ROOT / "serving").rglob("*.py"))) + (ROOT / "cemrisk.py").read_text()
)
PACKAGES = {"features", "models", "serving", "training"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_alarms_ask_for_metrics_and_labels_that_the_service_has() -> None:
    rules = [
        rule
        for block in _blocks("yaml")
        for group in yaml.safe_load(block).get("groups", ())
        for rule in group["rules"]
    ]
    asked = " ".join(rule["expr"] for rule in rules)
    metrics = {re.sub(r"_(count|bucket)$", "", name) for name in re.findall(r"\bcemrisk_\w+", asked)}
    assert len(rules) > 4 and metrics == {
        "cemrisk_model",
        "cemrisk_request_seconds",
        "cemrisk_input_asked_total",
        "cemrisk_input_unknown_total",
    }
    for name in metrics:
        assert f'"{name}"' in CODE or f'"{name.removesuffix("_total")}"' in CODE or f"{name}{{" in CODE, name


def test_queries_of_the_documents_ask_for_series_that_there_are() -> None:
    from serving.meters import MeteredLog

    series = re.findall(r"^(\w+)(?:{(.*)})? ", MeteredLog("test").lines(), flags=re.MULTILINE)
    asked = re.findall(r"\b(cemrisk_\w+)(?:{(.*?)})?", " ".join(_blocks("promql")))
    assert len(asked) > 5
    for name, labels in asked:
        assert any(name == one and set(labels.split(",")) <= {*found.split(","), ""} for one, found in series), name


def test_every_variable_of_the_documents_is_read_and_every_one_that_is_read_is_documented() -> None:
    told = set(re.findall(r"CEMRISK_[A-Z_]*[A-Z]", TEXT + (ROOT / "docs" / "ehr.md").read_text()))
    read = set(re.findall(r"[\"'](CEMRISK_[A-Z_]*[A-Z])[\"']", CODE))
    assert told == read


def test_the_unit_lets_the_service_end_in_its_own_order() -> None:
    from serving.supervisor import GRACE_SECONDS, PATIENCE_SECONDS

    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(_blocks("ini")[0])
    assert unit["Service"]["KillMode"] == "process"
    assert int(unit["Service"]["TimeoutStopSec"]) > GRACE_SECONDS + PATIENCE_SECONDS


def test_scripts_can_be_read_by_a_shell() -> None:
    scripts = re.findall(r"^```\n(#!/bin/sh\n.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert len(scripts) >= 2
    for script in scripts:
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_what_keeps_the_workers_alive_loads_no_library() -> None:
    """It has to be up before anything else can begin, and to stay small."""
    text = "import serving.run, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "bentoml", "fastapi", "starlette", "jwt", "cryptography"} & set(done.stdout.split())


def test_the_containerfile_copies_what_there_is_and_all_of_the_packages() -> None:
    text = (ROOT / "Containerfile").read_text()
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, flags=re.MULTILINE) for name in line.split()
    }
    assert all((ROOT / name).exists() for name in copied) and copied >= PACKAGES | {
        "requirements.lock",
        "pyproject.toml",
    }
    let_in = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == copied
