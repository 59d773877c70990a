"""Whether memory or open handles of the service grow with what it answers: keys and durable log on.

    python -m benchmarks.endurance [--answers 200000] [--workers 2] [--released DIR]

Clients ask on kept connections and on new ones, questions that differ. After each twentieth of the answers, with the
clients paused, the workers' memory and handles are noted; the first note comes after the first twentieth, since
allocators and caches fill before. At the end every answer must be in the log, the whole log must verify, and no process
of the service may be left. Takes about twenty minutes on two cores. Writes benchmarks/results/endurance.md unless fewer
answers than by default are asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import handles, memory_mb, require_gone, tree
from benchmarks.released import add_option, release_into
from serving import keys
from serving.policy import Role
from serving.query_log import LogSettings
from serving.query_log.keys import read_keys
from tests.service import logged
from tests.service.load import QUESTIONS
from tests.service.process import Running, running

RESULTS = Path(__file__).parent / "results" / "endurance.md"
ANSWERS, WORKERS, NOTES, CLIENTS = 200_000, 2, 20, 4
#: A client makes a new connection after so many questions.
KEPT_FOR = 50
#: What the memory of all workers may grow from the first note to the last, in MB.
GROWTH_MB = 5.0


@dataclass(frozen=True, slots=True)
class Note:
    """After so many answers: resident memory and handles of all workers together, and the log's size."""

    answers: int
    seconds: float
    memory_mb: float
    handles: int
    log_mb: float


def endure(home: Path, folder: Path, answers: int, workers: int, notes: int = NOTES) -> list[Note]:
    """Ask so many questions and note what it costs. Raises if one is not answered or not in the log."""
    _, key = keys.create(home, "endurance", [Role.ASK])
    no_limit = {"CEMRISK_RATE": "1000000", "CEMRISK_BURST": "1000000"}
    with _environment(no_limit), running(home, folder, workers) as service:
        service.wait_ready()
        begun = time.monotonic()
        found = []
        for number in range(1, notes + 1):
            _ask(service.url, key, answers // notes)
            found.append(_note(service, home, number * (answers // notes), time.monotonic() - begun))
            print(_said(found[-1], answers), file=sys.stderr)
        family = tree(service.process.pid)
        if service.stop():
            raise RuntimeError("the service did not end as asked")
        require_gone(family)
    place = LogSettings.of(home, {})
    verdict = logged.verdict(place, read_keys(place.key))
    if verdict.faults or verdict.records != found[-1].answers:
        raise RuntimeError(f"{found[-1].answers} answers, {verdict.records} records, faults: {verdict.faults}")
    return found


@contextlib.contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _ask(url: str, key: str, answers: int) -> None:
    """So many answers, by ``CLIENTS`` clients at once; all connections are closed afterwards."""
    failures: list[str] = []
    shares = [answers // CLIENTS + (number < answers % CLIENTS) for number in range(CLIENTS)]
    threads = [threading.Thread(target=_client, args=(url, key, share, failures)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} clients gave up: {failures[0]}")


def _client(url: str, key: str, answers: int, failures: list[str]) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    bodies = [json.dumps(one) for one in QUESTIONS]
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        for number in range(answers):
            connection.request("POST", "/v1/risk", bodies[number % len(bodies)], headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {body[:200]!r}")
            if number % KEPT_FOR == KEPT_FOR - 1:
                connection.close()
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        failures.append(repr(error))
    finally:
        connection.close()


def _note(service: Running, home: Path, answers: int, seconds: float) -> Note:
    time.sleep(0.5)  # connections that were closed are let go of
    workers = service.workers()
    memory = sum(memory_mb(pid)[0] for pid in workers)
    size = sum(path.stat().st_size for path in (home / "query_log").iterdir()) / 2**20
    return Note(answers, seconds, round(memory, 1), sum(map(handles, workers)), round(size, 1))


def _said(note: Note, answers: int) -> str:
    return f"{note.answers:,} of {answers:,} answers, {note.seconds:.0f} s: {note.memory_mb} MB, {note.handles} handles"


def growth(notes: list[Note]) -> tuple[float, int]:
    """Memory in MB and handles, the mean of the last quarter less that of the first quarter of the notes."""
    quarter = max(1, len(notes) // 4)
    first, last = notes[:quarter], notes[-quarter:]
    memory = sum(one.memory_mb for one in last) / quarter - sum(one.memory_mb for one in first) / quarter
    return round(memory, 2), max(one.handles for one in last) - max(one.handles for one in first)


def main() -> int:
    """Release, ask, judge, write; exit code 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=ANSWERS, metavar="N", help=f"how many ({ANSWERS})")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help=f"of the service ({WORKERS})")
    add_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release_into(folder / "home", arguments.released)
        notes = endure(folder / "home", folder, arguments.answers, arguments.workers)
    table = _table(notes, arguments.workers)
    print(table)
    if arguments.answers >= ANSWERS:
        RESULTS.write_text(table)
    memory, more = growth(notes)
    return int(memory > GROWTH_MB or more > 0)


def _table(notes: list[Note], workers: int) -> str:
    memory, more = growth(notes)
    lines = [
        f"Made by `python -m benchmarks.endurance` with {workers} workers on {os.cpu_count()} cores, load average "
        f"{os.getloadavg()[1]:.1f}, Python {platform.python_version()}.",
        "",
        "| answers | seconds | memory of the workers, MB | handles | log, MB |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(f"| {n.answers} | {n.seconds:.0f} | {n.memory_mb} | {n.handles} | {n.log_mb} |" for n in notes),
        "",
        f"From the first quarter to the last: {memory:+.2f} MB, {more:+d} handles. Every answer is in the log.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
