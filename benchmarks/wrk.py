"""The load generator of the benchmarks.

wrk counts a pause of the service for each request that would have been sent during it: its 99th percentile is that of
clients who ask in a steady rhythm, and one pause of 0.1 s in a run of 3 s is enough to make it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from features.errors import DependencyMissing

#: For an answer; wrk's own two seconds are too few where much else runs.
PATIENCE_SECONDS = 30
_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
local file = io.open("{body}")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def require_wrk() -> None:
    """Raise ``DependencyMissing`` if it is not installed."""
    if shutil.which("wrk") is None:
        raise DependencyMissing("wrk is needed (apt-get install wrk)")


def requests(url: str, body: Path, connections: int, seconds: int, key: str = "") -> dict[str, float]:
    """Requests per second, median and 99th percentile of latency in ms; an error of any request is an error here."""
    script = body.with_suffix(".lua")
    script.write_text(_LUA.replace("{body}", str(body)).replace("{key}", key))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        f"{PATIENCE_SECONDS}s",
        "-s",
        str(script),
        url,
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", out)
    if numbers is None or int(numbers[5]):
        raise RuntimeError(f"requests failed: {out}")
    count, microseconds = int(numbers[1]), int(numbers[2])
    return {
        "requests": count,
        "requests_per_second": count / microseconds * 1e6,
        "median_ms": float(numbers[3]) / 1000,
        "p99_ms": float(numbers[4]) / 1000,
    }
