"""The public validator of the npm package ``fhir`` 4.12: structure, cardinality, types and bound codes of FHIR R4."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NODE = shutil.which("node") or shutil.which("nodejs")
INSTALLED = NODE is not None and (FOLDER / "node_modules" / "fhir").is_dir()
REASON = f"the FHIR validator is not installed (node, then: npm ci --prefix tests/service/{FOLDER.name})"


def complaints(resources: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Of each resource what is wrong with it: place and message."""
    assert NODE is not None
    lines = "".join(json.dumps(resource) + "\n" for resource in resources)
    command = [NODE, str(FOLDER / "validate.js")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [[f"{m['location']}: {m['message']}" for m in json.loads(line)] for line in done.stdout.splitlines()]
