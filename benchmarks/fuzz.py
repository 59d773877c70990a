"""schemathesis on the live OpenAPI document with all checks and authentication: at least 20,000 cases.

    python -m benchmarks.fuzz > benchmarks/results/fuzz.md        # a quarter of an hour on two cores

Twice: with a key that asks, on everything; with a key that administers, on the off switch alone, since a model that the
first run had stopped would answer 503. The release is a small one, made here, with all outcomes. Standard error says
each minute how many requests were sent.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving import keys
from serving.policy import Role
from tests.service.fuzzing import fuzz
from tests.service.process import Running, running
from tests.service.released import release_all

PHASES = "examples,coverage,fuzzing"


def main() -> int:
    """Print what was found; exit code 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2000, help="cases of one operation in the fuzzing phase (2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the cases (1)")
    arguments = parser.parse_args()
    os.environ.update({"CEMRISK_RATE": "1000000", "CEMRISK_BURST": "1000000"})
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Path(name) / "home"
        print("fitting …", file=sys.stderr)
        release_all(home)
        asking = keys.create(home, "asks", [Role.ASK])[1]
        stopping = keys.create(home, "administers", [Role.ADMINISTER])[1]
        with running(home, folder) as service:
            service.wait_ready()
            print("with a key that asks, everything …", file=sys.stderr)
            everything = fuzz(
                service.url, asking, folder, seed=arguments.seed, phases=PHASES, examples=arguments.examples
            )
            print(everything["said"][-3000:], file=sys.stderr)
            print("with a key that administers, the off switch …", file=sys.stderr)
            switches = fuzz(
                service.url, stopping, folder, seed=arguments.seed, phases=PHASES, examples=300, only="(stop|resume)$"
            )
            print(switches["said"][-3000:], file=sys.stderr)
            print(_table({"asks": everything, "administers": switches}, service, arguments.examples))
    return 1 if any(report["failures"] or report["errors"] for report in (everything, switches)) else 0


def _table(reports: dict[str, dict[str, Any]], service: Running, examples: int) -> str:
    lines = [
        "# What a fuzzer finds",
        "",
        f"`python -m benchmarks.fuzz --examples {examples}` on commit {_commit()}, Python {platform.python_version()},",
        f"schemathesis {reports['asks']['schemathesis_version']}, all checks (`tests/service/schemathesis.toml`).",
        f"Cases: {sum(report['test_cases']['generated'] for report in reports.values()):,}. "
        f"Tracebacks in the service's log: {service.log.read_text().count('Traceback')}.",
        "",
        "| key | operations | cases | failures | errors | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, report in reports.items():
        cases, tested = report["test_cases"]["generated"], report["operations"]["tested"]
        found = f"{len(report['failures'])} | {len(report['errors'])} | {report['running_time']:.0f}"
        lines.append(f"| {kind} | {tested} | {cases:,} | {found} |")
    for kind, report in reports.items():
        lines += [
            f"\n{kind}: {one['title']}, {one['count']}, {', '.join(one['operations'])}" for one in report["failures"]
        ]
    return "\n".join(lines)


def _commit() -> str:
    """Of the code that ran, marked if it had changed since."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
