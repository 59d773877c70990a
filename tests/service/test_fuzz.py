"""The OpenAPI document against the running service: no 5xx, no status, schema or media type that it does not name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from serving import keys
from serving.policy import Role
from tests.service.fuzzing import fuzz
from tests.service.process import running


@pytest.mark.slow
def test_what_a_fuzzer_finds_with_all_its_checks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few cases of each operation; benchmarks/fuzz.py sends tens of thousands."""
    for name in ("CEMRISK_RATE", "CEMRISK_BURST"):
        monkeypatch.setenv(name, "1000000")
    home = Path(shutil.copytree(home, tmp_path / "home"))
    _, key = keys.create(home, "fuzzer", [Role.ASK])
    with running(home, tmp_path) as service:
        service.wait_ready()
        report = fuzz(service.url, key, tmp_path, seed=1, phases="examples,fuzzing", examples=70)
        assert report["failures"] == [] and report["errors"] == [], report["said"][-5000:]
        assert report["test_cases"]["generated"] >= 300
        assert "Traceback" not in service.log.read_text()
