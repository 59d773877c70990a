"""What the durable log costs: the same application with and without it, and how many records one chain takes.

    python -m benchmarks.query_log [--released DIR] [--rounds 3] [--seconds 2]

Needs wrk. Both applications run under plain uvicorn, one after the other in interleaved rounds, with the load generator
on the same cores. Before that one, two and four processes append to one chain as fast as they can, with one record in a
commit and with sixteen. Takes about two minutes on two cores. Writes benchmarks/results/query_log.md unless it was
asked for less than by default.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.released import add_option, release_into
from benchmarks.wrk import requests, require_wrk
from serving.ask import free_port
from serving.query_log import LogSettings, QueryLog
from serving.query_log.anchor import advance
from serving.query_log.entry import entry_of
from serving.query_log.keys import ensure_keys, read_keys
from serving.query_log.store import fits, open_store
from tests.service import logged

RESULTS = Path(__file__).parent / "results" / "query_log.md"
ROUNDS, SECONDS, CONNECTIONS = 3, 2, (1, 4, 16)
WRITERS, SIZES, APPEND_SECONDS = (1, 2, 4), (1, 16), 2.0
WAIT_SECONDS = 120


def main() -> None:
    """Measure, print, write."""
    from tests.service.questions import EXAMPLE  # not above: the processes that append import this module too

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_option(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"with and without the log ({ROUNDS})")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="S", help=f"of each measurement ({SECONDS})")
    arguments = parser.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release_into(folder / "home", arguments.released)
        (folder / "question.json").write_text(json.dumps(EXAMPLE))
        chains = [(count, size, *_appended(folder, count, size)) for size in SIZES for count in WRITERS]
        rounds = []
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds} …", file=sys.stderr)
            rounds.append({mode: _measured(folder, mode, arguments.seconds) for mode in ("with", "without")})
    table = _table(rounds, chains)
    if arguments.rounds >= ROUNDS and arguments.seconds >= SECONDS:
        RESULTS.write_text(table)
    print(table)


def serve(home: Path, port: int, with_log: bool) -> None:
    """One worker without BentoML: what differs is the log alone."""
    import uvicorn

    from serving.app import create_app
    from serving.shelf import Shelf

    shelf = Shelf()
    shelf.refresh(home)
    log = QueryLog("benchmark", LogSettings.of(home, {})) if with_log else None
    uvicorn.run(create_app(shelf.get, log=log), host="127.0.0.1", port=port, log_config=None)


def _measured(folder: Path, mode: str, seconds: int) -> dict[int, dict[str, float]]:
    with _served(folder / "home", mode) as url:
        requests(f"{url}/v1/risk", folder / "question.json", 4, 1)
        return {c: requests(f"{url}/v1/risk", folder / "question.json", c, seconds) for c in CONNECTIONS}


@contextlib.contextmanager
def _served(home: Path, mode: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.query_log", "--serve", str(home), str(port), mode]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=dict(os.environ))
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/v1/dictionary", timeout=2):
                break
            time.sleep(0.2)
        else:
            raise TimeoutError("the application did not answer in 90 s")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _appended(folder: Path, count: int, size: int) -> tuple[float, int]:
    """Records a second in one chain by so many processes; raises if the chain is not whole afterwards."""
    print(f"{count} writing one chain, {size} records in a commit …", file=sys.stderr)
    place = logged.settings(folder / f"chain-{count}-{size}")
    ensure_keys(place.key)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    writers = [context.Process(target=_append, args=(place, size, barrier)) for _ in range(count)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if any(writer.exitcode for writer in writers):
        raise RuntimeError("a process could not append")
    verdict = logged.verdict(place, read_keys(place.key))
    assert verdict.whole, verdict.faults
    return verdict.records / APPEND_SECONDS, verdict.records


def _append(place: LogSettings, size: int, barrier: Barrier) -> None:
    keys = ensure_keys(place.key)
    with contextlib.closing(open_store(place, keys)) as store:
        barrier.wait(WAIT_SECONDS)  # if one of them failed the others must not wait for it for ever
        until = time.monotonic() + APPEND_SECONDS
        while time.monotonic() < until:
            commit = store.append([entry_of(logged.answered(), keys, False, "benchmark") for _ in range(size)], keys)
        advance(place.anchor, commit, fits(store, keys))


def _table(rounds: list[dict[str, dict[int, dict[str, float]]]], chains: list[tuple[int, int, float, int]]) -> str:
    lines = [
        f"Made by `python -m benchmarks.query_log` on {os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f}."
    ]
    head = "| connections | requests/s without | with | ratio | median ms without | with | p99 ms without | with |"
    lines += ["", head, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for c in CONNECTIONS:
        numbers = {
            (name, mode): statistics.median(one[mode][c][name] for one in rounds)
            for name in ("requests_per_second", "median_ms", "p99_ms")
            for mode in ("without", "with")
        }
        rate = [numbers["requests_per_second", mode] for mode in ("without", "with")]
        ratio = statistics.median(
            one["with"][c]["requests_per_second"] / one["without"][c]["requests_per_second"] for one in rounds
        )
        times = [numbers[name, mode] for name in ("median_ms", "p99_ms") for mode in ("without", "with")]
        told = " | ".join(f"{value:.1f}" for value in times)
        lines.append(f"| {c} | {rate[0]:.0f} | {rate[1]:.0f} | {ratio:.2f} | {told} |")
    lines += ["", "| writers of one chain | records in a commit | records/s, all durable |", "| ---: | ---: | ---: |"]
    lines += [f"| {count} | {size} | {rate:.0f} |" for count, size, rate, _ in chains]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "with")
    else:
        main()
