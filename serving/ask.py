"""Ask a running service for the sample patient's risk and print the answer as a person would read it.

    python -m serving.ask --url http://127.0.0.1:3000      # a service that runs
    python -m serving.ask --start                          # start one, ask it, stop it
    CEMRISK_KEY=... python -m serving.ask                  # where keys are in use

Only the standard library is used: the file is also an example of a client.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

#: The patient of the contract's example: nobody, but typical.
SAMPLE: dict[str, Any] = {
    "case_id": "sample",
    "moment": "preop",
    "detection": "CT",
    "patient": {"age_years": 73, "sex": "female", "t_score": -3.1, "hu_l1": 62, "steroid_use": False},
    "vertebrae": [
        {
            "level": "L1",
            "fvah_mm": 17.2,
            "adj_ah_above_mm": 26.0,
            "adj_ah_below_mm": 28.0,
            "cortical_disruption": True,
            "intravertebral_cleft": False,
            "procedure": "PVP",
            "cement_product_id": "alliment",
            "planned_viscosity": "medium",
            "planned_volume_ml": 4.5,
        }
    ],
}
START_SECONDS = 60
WIDTH = 30


def ask(url: str, question: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """The service's answer to one question; raises ``urllib.error.HTTPError`` with a problem document if refused."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}/v1/risk", json.dumps(question).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def answer_text(answer: Mapping[str, Any]) -> str:
    """The answer as a table for a terminal."""
    lines = [f"*** {answer['notice']}", ""]
    for vertebra in answer["leakage"] or ():
        lines += _leakage_lines(vertebra)
    if answer["refracture"]:
        lines += _refracture_lines(answer["refracture"])
    lines += [f"unknown: {', '.join(sorted({entry['variable'] for entry in answer['missing']})) or 'nothing'}"]
    lines += [f"note: {entry['detail']}" for entry in answer["warnings"]]
    models = answer["models"].values()
    return "\n".join([*lines, "models: " + "; ".join(f"{m['name']} {m['version']} ({m['learner']})" for m in models)])


def _leakage_lines(vertebra: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Cement leakage at {vertebra['level']}, as {vertebra['detection']} would show it",
        _risk_line("risk", vertebra["risk"], vertebra["interval"], vertebra["average"]),
    ]
    lines += [f"  {'by route ' + route:{WIDTH}} {risk:6.1%}" for route, risk in (vertebra["routes"] or {}).items()]
    return [*lines, *_why(vertebra["explanation"]), *_plans(vertebra["what_if"]), ""]


def _refracture_lines(refracture: Mapping[str, Any]) -> list[str]:
    lines = ["New vertebral fracture (death competing)"]
    columns = zip(
        refracture["horizons_months"], refracture["risk"], refracture["interval"], refracture["average"], strict=True
    )
    for months, risk, interval, average in columns:
        lines.append(_risk_line(f"within {months} months", risk, interval, average))
    return [*lines, *_why(refracture["explanation"]), *_plans(refracture["what_if"], place=1), ""]


def _risk_line(name: str, risk: float, interval: Sequence[float], average: float) -> str:
    low, high = interval
    return f"  {name:{WIDTH}} {risk:6.1%}   (95 % interval {low:.1%} to {high:.1%}; average {average:.1%})"


def _why(explanation: Mapping[str, Any], most: int = 5) -> list[str]:
    ranked = sorted(explanation["contributions"], key=lambda entry: -abs(entry["contribution"]))[:most]
    return ["  why:"] + [f"    {entry['contribution']:+.2f}  {entry['text']}" for entry in ranked]


def _plans(what_if: list[Mapping[str, Any]], place: int | None = None) -> list[str]:
    lines = ["  another plan:"] if what_if else []
    for entry in what_if:
        risk = entry["risk"] if place is None else entry["risk"][place]
        before = "unknown" if entry["from"] is None else entry["from"]
        change = f"{entry['variable']}: {before} -> {entry['to']}"
        lines.append(f"    {change:{WIDTH + 22}} {risk:6.1%}   ({entry['evidence']})")
    return lines


@contextmanager
def running(port: int) -> Iterator[str]:
    """A service of its own on the port, stopped at the end; gives its address."""
    command = [sys.executable, "-m", "cemrisk", "serve", "--port", str(port)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, child)
        yield url
    finally:
        child.terminate()
        child.communicate(timeout=30)


def _wait_until_ready(url: str, child: subprocess.Popen[str]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    child.terminate()
    _, said = child.communicate(timeout=30)
    raise SystemExit(f"the service did not become ready:\n{said[-2000:]}")


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answered(url: str) -> str:
    """The answer as text; a refusal ends the program with what the service said."""
    try:
        return answer_text(ask(url, SAMPLE, os.environ.get("CEMRISK_KEY", "")))
    except urllib.error.HTTPError as error:
        hint = " (it is read from CEMRISK_KEY)" if error.code == 401 else ""
        with error:
            raise SystemExit(f"the service refused: {json.load(error)['detail']}{hint}") from None


def main() -> int:
    """Ask, print, and say how to go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="the service to ask")
    parser.add_argument("--start", action="store_true", help="start a service for the question, and stop it afterwards")
    arguments = parser.parse_args()
    if not arguments.start:
        print(_answered(arguments.url))
        return 0
    print("starting the service ...", file=sys.stderr)
    with running(free_port()) as url:
        print(_answered(url))
    print(
        "\nTo go on: `make serve` (page and API on http://127.0.0.1:3000), `make ui` (MLflow on http://127.0.0.1:5000),"
    )
    print("or `source .venv/bin/activate` and `cemrisk --help`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
