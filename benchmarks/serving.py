"""One full answer over HTTP, beside a constant in the same BentoML and beside the straightforward service.

    python -m benchmarks.serving

Needs wrk. The services run one after another, one worker each, in rounds, so that what else the machine does falls on
all of them; the load generator shares the same cores. Prints a table and writes benchmarks/results/serving.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.plain_models import fit_plain
from features.build import build
from features.errors import DependencyMissing
from features.records import to_columns
from models import Settings
from serving.schema import read_question
from tests.service.questions import EXAMPLE
from tests.service.released import release_all, training_data

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "serving.json"
PATIENTS, ROUNDS, SECONDS, WARM_SECONDS = 1500, 3, 3, 1
CONNECTIONS = (1, 4, 16)
SERVICES = {
    "cemrisk": "serving.service:Service",
    "constant": "benchmarks.constant_service:Constant",
    "constant, BentoML's defaults": "benchmarks.constant_default_service:ConstantDefault",
    "plain": "benchmarks.plain_service:Plain",
}
_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def main() -> None:
    """Fit, measure, print, write."""
    if shutil.which("wrk") is None:
        raise DependencyMissing("wrk is needed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bodies = _prepare(folder)
        measured = [_round(folder, bodies) for _ in range(ROUNDS)]
    found = {name: {str(c): _median([one[name][c] for one in measured]) for c in CONNECTIONS} for name in SERVICES}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"made_by": _recipe(), "results": found, "ratios": _ratios(found)}, indent=1) + "\n")
    print(_table(found))


def _prepare(folder: Path) -> dict[str, Path]:
    """Release, plain models and request bodies; returns the body of each service."""
    print("fitting …", file=sys.stderr)
    data = training_data(PATIENTS)
    release_all(folder / "home", data, Settings(seed=1, folds=3, refits=100), Settings(seed=1, folds=3, refits=24))
    fit_plain(data["leakage"], data["refracture"], folder / "plain.joblib")  # type: ignore[arg-type]
    columns = to_columns(read_question(EXAMPLE).records)
    plain = {}
    for outcome in ("leakage", "refracture"):
        matrix = build(columns, outcome, detection="CT")
        row = zip(matrix.columns, matrix.values[0].tolist(), strict=True)
        plain[outcome] = {name: None if value != value else value for name, value in row}
    (folder / "question.json").write_text(json.dumps(EXAMPLE))
    (folder / "plain.json").write_text(json.dumps(plain))
    return {name: folder / ("plain.json" if name == "plain" else "question.json") for name in SERVICES}


def _round(folder: Path, bodies: dict[str, Path]) -> dict[str, dict[int, dict[str, float]]]:
    found = {}
    for name, target in SERVICES.items():
        path = "/risk" if name == "plain" else "/v1/risk"
        with _served(target, folder) as url:
            _wrk(url + path, bodies[name], 4, WARM_SECONDS)
            found[name] = {c: _wrk(url + path, bodies[name], c, SECONDS) for c in CONNECTIONS}
    return found


@contextlib.contextmanager
def _served(target: str, folder: Path) -> Iterator[str]:
    """A BentoML service on a port of its own, with the same environment for all."""
    environment = {
        **os.environ,
        "CEMRISK_HOME": str(folder / "home"),
        "PLAIN_MODELS": str(folder / "plain.joblib"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", "3917"]
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait("http://127.0.0.1:3917/readyz")
        yield "http://127.0.0.1:3917"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:
            if response.status == 200:
                return
        time.sleep(0.2)
    raise TimeoutError("the service did not become ready in 90 s")


def _wrk(url: str, body: Path, connections: int, seconds: int) -> dict[str, float]:
    """Requests per second, median and 99th percentile of latency in ms; an error of any request is an error here."""
    script = body.with_suffix(".lua")
    script.write_text(_LUA.replace("{body}", str(body)))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", out)
    if numbers is None or int(numbers[5]):
        raise RuntimeError(f"requests failed: {out}")
    requests, microseconds = int(numbers[1]), int(numbers[2])
    return {
        "requests_per_second": requests / microseconds * 1e6,
        "median_ms": float(numbers[3]) / 1000,
        "p99_ms": float(numbers[4]) / 1000,
    }


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def _ratios(found: dict[str, Any]) -> dict[str, float]:
    """The two that matter, at four connections."""
    ours, constant, plain = (found[name]["4"] for name in ("cemrisk", "constant", "plain"))
    default = found["constant, BentoML's defaults"]["4"]
    return {
        "throughput_over_plain": round(ours["requests_per_second"] / plain["requests_per_second"], 2),
        "median_latency_over_constant": round(ours["median_ms"] / constant["median_ms"], 2),
        "median_latency_over_constant_with_defaults": round(ours["median_ms"] / default["median_ms"], 2),
    }


def _recipe() -> dict[str, Any]:
    packages = (
        "bentoml",
        "fastapi",
        "numpy",
        "lifelines",
        "scikit-learn",
        "xgboost-cpu",
        "shap",
        "uvloop",
        "httptools",
    )
    return {
        "command": "python -m benchmarks.serving",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in packages},
        "rounds": ROUNDS,
        "seconds": SECONDS,
        "patients": PATIENTS,
    }


def _table(found: dict[str, Any]) -> str:
    lines = ["| service | connections | requests/s | median ms | p99 ms |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, by_count in found.items():
        for count, one in by_count.items():
            numbers = f"{one['requests_per_second']:.0f} | {one['median_ms']:.2f} | {one['p99_ms']:.2f}"
            lines.append(f"| {name} | {count} | {numbers} |")
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in _ratios(found).items())])


if __name__ == "__main__":
    main()
