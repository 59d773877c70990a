"""One full answer over HTTP, beside a constant in the same BentoML and beside the straightforward service.

    python -m benchmarks.serving [--rounds 3] [--seconds 3]

Needs wrk. cemrisk runs as `cemrisk serve`, with access keys and the durable log, the others as `bentoml serve` runs
them. They run one after another, one worker each if nothing else is said, in rounds, so that what else the machine does
falls on all of them; the load generator shares the same cores. Takes about six minutes on two cores. Prints tables, and
writes benchmarks/results/serving.json unless it was asked for less than by default.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.costs import cpu_seconds, memory_mb, require_gone, tree
from benchmarks.plain_models import fit_plain
from benchmarks.wrk import requests, require_wrk
from features.build import build
from features.records import to_columns
from models import Settings
from serving import keys
from serving.policy import Role
from serving.schema import read_question
from tests.service.questions import EXAMPLE
from tests.service.released import release_all, training_data

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "serving.json"
PATIENTS, ROUNDS, SECONDS, WARM_SECONDS = 1500, 3, 3, 1
CONNECTIONS = (1, 4, 16)
PORT = 3917
_BENTOML = ("-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", str(PORT))
_CEMRISK = ("-m", "cemrisk", "serve", "--port", str(PORT), "--workers")
SERVICES: dict[str, tuple[str, ...]] = {
    "cemrisk": (*_CEMRISK, "1"),
    "cemrisk, 2 workers": (*_CEMRISK, "2"),
    "constant": (*_BENTOML, "benchmarks.constant_service:Constant"),
    "constant, BentoML's defaults": (*_BENTOML, "benchmarks.constant_default_service:ConstantDefault"),
    "plain": (*_BENTOML, "benchmarks.plain_service:Plain"),
}
Measured = dict[str, dict[str, float]]


def main() -> None:
    """Fit, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"how often each is started ({ROUNDS})")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="S", help=f"of each measurement ({SECONDS})")
    arguments = parser.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bodies = _prepare(folder)
        _, key = keys.create(folder / "home", "benchmark", [Role.ASK])
        measured = []
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds}", file=sys.stderr)
            measured.append(_round(folder, bodies, key, arguments.seconds))
    found = {
        name: {part: _median([one[name][part] for one in measured]) for part in measured[0][name]} for name in SERVICES
    }
    if arguments.rounds >= ROUNDS and arguments.seconds >= SECONDS:
        RESULTS.parent.mkdir(exist_ok=True)
        kept = {"made_by": _recipe(), "results": found, "ratios": _ratios(found)}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
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


def _round(folder: Path, bodies: dict[str, Path], key: str, seconds: int) -> dict[str, Measured]:
    """For each service what it costs, and under its number of connections what it does."""
    found = {}
    for name, command in SERVICES.items():
        path = "/risk" if name == "plain" else "/v1/risk"
        with _served(command, folder) as (url, cost):
            requests(url + path, bodies[name], 4, WARM_SECONDS, key)
            before = cost()["cpu_seconds"]
            one = {str(c): requests(url + path, bodies[name], c, seconds, key) for c in CONNECTIONS}
            found[name] = {"cost": cost(), **one}
            # Depends on what else the machine does far less than the requests per second do.
            spent = found[name]["cost"]["cpu_seconds"] - before
            found[name]["cost"]["cpu_ms_each"] = 1000 * spent / sum(each["requests"] for each in one.values())
        rates = ", ".join(f"{one[c]['requests_per_second']:.0f} at {c}" for c in one)
        print(f"  {name}: requests a second {rates} connections", file=sys.stderr)
    return found


@contextlib.contextmanager
def _served(command: tuple[str, ...], folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Its address, with the same environment for all, and a function that tells what it has cost."""
    environment = {
        **os.environ,
        "CEMRISK_HOME": str(folder / "home"),
        "CEMRISK_RATE": "1000000",
        "CEMRISK_BURST": "1000000",
        "PLAIN_MODELS": str(folder / "plain.joblib"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    begun = time.monotonic()
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{PORT}/readyz")
        ready, spent = time.monotonic() - begun, sum(map(cpu_seconds, tree(process.pid)))

        def cost() -> dict[str, float]:
            sizes = [memory_mb(pid) for pid in tree(process.pid)]
            return {
                "ready_seconds": ready,
                "ready_cpu_seconds": spent,
                "cpu_seconds": sum(map(cpu_seconds, tree(process.pid))),
                "worker_mb": max(rss for rss, _ in sizes),
                "all_mb": sum(pss for _, pss in sizes),
            }

        yield f"http://127.0.0.1:{PORT}", cost
    finally:
        family = tree(process.pid)
        process.terminate()
        process.wait(timeout=30)
        require_gone(family)


def _wait(url: str) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:
            if response.status == 200:
                return
        time.sleep(0.02)
    raise TimeoutError("the service did not become ready in 90 s")


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def _ratios(found: dict[str, Measured]) -> dict[str, float]:
    """Those that have an aim; throughput at four connections."""
    rate = {name: one["4"]["requests_per_second"] for name, one in found.items()}
    spent = {name: one["cost"]["cpu_ms_each"] for name, one in found.items()}
    return {
        "throughput over plain": round(rate["cemrisk"] / rate["plain"], 2),
        "throughput over constant": round(rate["cemrisk"] / rate["constant"], 3),
        "throughput over constant, BentoML's defaults": round(
            rate["cemrisk"] / rate["constant, BentoML's defaults"], 3
        ),
        "processor time over constant": round(spent["cemrisk"] / spent["constant"], 2),
        "processor time of plain over cemrisk": round(spent["plain"] / spent["cemrisk"], 2),
        "p99 at 16 connections, ms": found["cemrisk"]["16"]["p99_ms"],
        "p99 at 16 connections with 2 workers, ms": found["cemrisk, 2 workers"]["16"]["p99_ms"],
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
        "load_average": round(os.getloadavg()[1], 1),
        "packages": {name: version(name) for name in packages},
        "rounds": ROUNDS,
        "seconds": SECONDS,
        "patients": PATIENTS,
    }


def _table(found: dict[str, Measured]) -> str:
    lines = ["| service | connections | requests/s | median ms | p99 ms |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, parts in found.items():
        for count in map(str, CONNECTIONS):
            one = parts[count]
            numbers = f"{one['requests_per_second']:.0f} | {one['median_ms']:.2f} | {one['p99_ms']:.2f}"
            lines.append(f"| {name} | {count} | {numbers} |")
    lines += [
        "",
        "| service | s to ready | processor s to ready | processor ms an answer | largest process, MB | all, MB |",
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, parts in found.items():
        cost = parts["cost"]
        times = f"{cost['ready_seconds']:.1f} | {cost['ready_cpu_seconds']:.1f} | {cost['cpu_ms_each']:.2f}"
        lines.append(f"| {name} | {times} | {cost['worker_mb']:.0f} | {cost['all_mb']:.0f} |")
    load = f"load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in _ratios(found).items()), load])


if __name__ == "__main__":
    main()
