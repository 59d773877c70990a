"""schemathesis against a running service, with all its checks and a key: what it found, as its own report says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("fuzz_progress.py")


def fuzz(
    url: str, key: str, folder: Path, *, seed: int, phases: str, examples: int, only: str = ".*"
) -> dict[str, Any]:
    """Its JSON report. ``only``: a pattern of the paths; ``examples``: at most so many cases of an operation.

    How far it is goes to standard error each minute.
    """
    report = folder / "fuzz.json"
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    command += [f"{url}/openapi.json", "--header", f"Authorization: Bearer {key}", "--include-path-regex", only]
    command += ["--phases", phases, "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
    command += ["--request-timeout", "120", "--checks", "all", "--report", "json", "--report-json-path", str(report)]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert report.is_file(), done.stdout[-3000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found | {"said": done.stdout}
