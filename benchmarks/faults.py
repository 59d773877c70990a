"""Faults under load, each a function: what clients met, how soon they were answered again, and that nothing was lost.

    python -m benchmarks.faults [--only worker,disk] [--rounds 2] [--rounds-of all=20,worker=50]

Four clients ask all the time, on kept connections and new ones. After each kind of fault every answer that a client
received must be in the log as it was sent, and equal to what the models that it names say offline. Writes
benchmarks/results/faults.md, in which the rows of other runs stay.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bit_flips import flip_bits
from benchmarks.fault_rounds import Found, Scenario, counted
from features.build import Outcome
from features.errors import UsageError
from models.release import load_release, put_in_force, write_release
from tests.service.load import Load, check, load
from tests.service.process import Running, running
from tests.service.released import release_all
from tests.service.small_disk import small_disk

RESULTS = Path(__file__).parent / "results" / "faults.md"
WORKERS = 2
CLIENTS = 4


def kill_a_worker(home: Path, folder: Path, rounds: int) -> Found:
    """kill -9 of one of two workers."""
    return _killing(home, folder, rounds, lambda service: [random.choice(service.workers())])


def kill_all_workers(home: Path, folder: Path, rounds: int) -> Found:
    """kill -9 of all workers at once."""
    return _killing(home, folder, rounds, lambda service: service.workers())


def kill_the_forker(home: Path, folder: Path, rounds: int) -> Found:
    """kill -9 of the process that workers are forked from, the master of the workers."""
    return _killing(home, folder, rounds, lambda service: service.forkers())


def _killing(home: Path, folder: Path, rounds: int, victims: Callable[[Running], list[int]]) -> Found:
    found, usual = Found(rounds), []
    with running(home, folder, WORKERS) as service:
        service.wait_ready()
        with load(service.url) as asked:
            for _ in counted(rounds):
                usual.append(asked.next_answer_after(time.monotonic()))
                killed = victims(service)
                moment = time.monotonic()
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                found.recoveries.append(asked.next_answer_after(moment + 0.001))
                _until_whole(service, killed)
        assert service.stop() == 0
    found.note = f"before it the next answer came within {statistics.median(usual):.2f} s"
    return _checked(found, asked, home)


def _until_whole(service: Running, killed: list[int]) -> None:
    """As many workers as before, none of them of the dead."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        workers = service.workers()
        if len(workers) == WORKERS and not set(killed) & set(workers + service.forkers()) and service.forkers():
            return
        time.sleep(0.02)
    raise AssertionError("what was killed did not come back: " + service.log.read_text()[-2000:])


def kill_the_supervisor(home: Path, folder: Path, rounds: int) -> Found:
    """kill -9 of ``cemrisk serve`` itself; started again at once, as systemd does."""
    found, ready = Found(rounds), []
    with contextlib.ExitStack() as services:
        service = services.enter_context(running(home, folder, WORKERS))
        service.wait_ready()
        port = int(service.url.rpartition(":")[2])
        with load(service.url) as asked:
            for _ in counted(rounds):
                asked.next_answer_after(time.monotonic())
                left = service.kill()
                moment = time.monotonic()
                service = services.enter_context(running(home, folder, WORKERS, port))
                service.wait_taken_over(left)
                ready.append(time.monotonic() - moment)
                asked.next_answer_after(time.monotonic())
                found.recoveries.append(asked.longest_pause_since(moment))
        assert service.stop() == 0
    assert not asked.ends, asked.ends
    took = statistics.median(ready)
    found.note = f"seconds are the longest without an answer; the next one had taken over within {took:.2f} s"
    return _checked(found, asked, home)


def stop_under_load(home: Path, folder: Path, rounds: int) -> Found:
    """SIGTERM: no request that reached the service may be cut. Refused connections are the end of the service."""
    found = Found(rounds)
    total = Load("")
    for _ in counted(rounds):
        with running(home, folder, WORKERS) as service:
            service.wait_ready()
            with load(service.url, clients=8) as asked:
                asked.next_answer_after(time.monotonic() + 0.3)
                before = time.monotonic()
                assert service.stop() == 0
                found.recoveries.append(time.monotonic() - before)
            total.answers += asked.answers
            total.ends += asked.ends
    found.note = "seconds are those to the end"
    return _checked(found, total, home)


def full_disk(home: Path, folder: Path, rounds: int) -> Found:
    """The state folder's disk filled to the last byte for a second."""
    with small_disk(folder / "disk") as disk:
        if disk is None:
            raise UsageError("a disk to fill cannot be mounted here; as root, or under `unshare -rm`, it can")
        own = Path(shutil.copytree(home, disk.folder / "home"))
        return _unwritable(own, folder, rounds, lambda _: disk.fill(), lambda _: disk.free(), by_then=False)


def limited_files(home: Path, folder: Path, rounds: int) -> Found:
    """No file may grow any more (RLIMIT_FSIZE of the workers), for a second; then it may again."""

    def spoil(service: Running) -> None:
        size = (home / "query_log" / "log.db-wal").stat().st_size
        for pid in service.workers():
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, 4096), hard))

    def mend(service: Running) -> None:
        for pid in service.workers():
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    return _unwritable(home, folder, rounds, spoil, mend)


def locked_database(home: Path, folder: Path, rounds: int) -> Found:
    """Another program holds the log's database for three seconds."""
    held: list[sqlite3.Connection] = []

    def spoil(service: Running) -> None:
        holder = sqlite3.connect(home / "query_log" / "log.db", isolation_level=None, timeout=10)
        holder.execute("BEGIN IMMEDIATE")
        held.append(holder)

    def mend(service: Running) -> None:
        held[-1].execute("ROLLBACK")
        held.pop().close()

    return _unwritable(home, folder, rounds, spoil, mend, seconds=3.0)


def _unwritable(
    home: Path,
    folder: Path,
    rounds: int,
    spoil: Callable[[Running], None],
    mend: Callable[[Running], None],
    seconds: float = 1.0,
    by_then: bool = True,
) -> Found:
    """Nothing but 503 while the log cannot be written.

    ``by_then``: nothing can be from the moment on at which it was spoilt. Where not, some answers may follow, each with
    its record: on a full disk there may be room within the files that are there already.
    """
    found = Found(rounds)
    with running(home, folder, WORKERS) as service:
        service.wait_ready()
        with load(service.url, CLIENTS) as asked:
            for _ in counted(rounds):
                asked.next_answer_after(time.monotonic())
                spoil(service)
                known, refused = len(asked.answers), asked.ends["503"]
                _until_refused(asked, refused)
                time.sleep(seconds)
                # What was committed before may still have been on its way, one answer to each client.
                late = len(asked.answers) - known
                assert not by_then or late <= CLIENTS, "answered although the log could not be written"
                moment = time.monotonic()
                mend(service)
                found.recoveries.append(asked.next_answer_after(moment))
        assert service.stop() == 0
    return _checked(found, asked, home)


def _until_refused(asked: Load, known: int) -> None:
    until = time.monotonic() + 60
    while asked.ends["503"] == known:
        assert time.monotonic() < until, "nothing was refused although nothing can be written"
        time.sleep(0.01)


def promotions(home: Path, folder: Path, rounds: int) -> Found:
    """Another champion and version of leakage each time; no request may fail."""
    found = Found(rounds)
    with running(home, folder, WORKERS) as service:
        service.wait_ready()
        with load(service.url) as asked:
            for number in counted(rounds):
                champion = ("boosted", "logistic")[number % 2]
                version = str(100 + number)
                moment = time.monotonic()
                _promote(home, "leakage", champion, version)
                _until_told(asked, version)
                found.recoveries.append(time.monotonic() - moment)
        assert service.stop() == 0
    assert not asked.ends, asked.ends
    done = _checked(found, asked, home)
    done.note = "seconds are those until an answer names the new version"
    return done


def _promote(home: Path, outcome: Outcome, champion: str, version: str) -> None:
    before = load_release(home, outcome)
    assert before is not None
    folders = {learner: home / "models" / outcome / learner for learner in before.models}
    bundle = write_release(home, outcome, champion, folders, dict.fromkeys(folders, version), "training-2")
    put_in_force(home, outcome, bundle)


def _until_told(asked: Load, version: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for _, body, _ in asked.answers[-20:]:
            if json.loads(body)["models"]["leakage"]["version"] == version:
                return
        time.sleep(0.05)
    raise AssertionError("the promotion did not take effect")


def _checked(found: Found, asked: Load, home: Path) -> Found:
    counted = check(asked, home)
    found.answers, found.records = counted["answers"], counted["records"]
    found.ends = dict(sorted(asked.ends.items()))
    return found


#: Each with its full number of rounds.
SCENARIOS: dict[str, tuple[Scenario, int]] = {
    "worker": (kill_a_worker, 50),
    "all": (kill_all_workers, 20),
    "forker": (kill_the_forker, 20),
    "supervisor": (kill_the_supervisor, 20),
    "stop": (stop_under_load, 20),
    "disk": (full_disk, 10),
    "limit": (limited_files, 10),
    "locked": (locked_database, 5),
    "bits": (flip_bits, 2000),
    "promotions": (promotions, 50),
}


def main() -> int:
    """Release, spoil, check, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SCENARIOS), metavar="NAMES", help="which faults, all by default")
    parser.add_argument("--rounds", type=int, metavar="N", help="only try it: N rounds of each, nothing is written")
    parser.add_argument("--rounds-of", default="", metavar="NAME=N,…", help="other numbers of rounds")
    parser.add_argument("--released", type=Path, metavar="DIR", help="a home with models, instead of fitting some")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if not set(chosen) <= set(SCENARIOS):
        parser.error(f"--only: faults are {', '.join(SCENARIOS)}")
    rounds = {name: arguments.rounds or full for name, (_, full) in SCENARIOS.items()}
    rounds |= {name: int(number) for name, _, number in (o.partition("=") for o in arguments.rounds_of.split(",") if o)}
    done = 0
    with tempfile.TemporaryDirectory() as name:
        released = arguments.released or Path(name) / "released"
        if arguments.released is None:
            print("fitting …", file=sys.stderr)
            release_all(released)
        for one in chosen:
            print(f"{one}: {rounds[one]} rounds …", file=sys.stderr)
            row = _tried(one, released, Path(name) / one, rounds[one])
            print(row or "", file=sys.stderr)
            if row is not None and not arguments.rounds:
                _keep(one, row)
            done += row is not None
    if not arguments.rounds:
        print(RESULTS.read_text())
    return 0 if done == len(chosen) else UsageError.exit_code


def _tried(name: str, released: Path, folder: Path, rounds: int) -> str | None:
    """The row of a fault; None if it cannot be made here."""
    scenario = SCENARIOS[name][0]
    folder.mkdir()
    home = Path(shutil.copytree(released, folder / "home"))
    try:
        return _row(scenario, scenario(home, folder, rounds))
    except UsageError as error:
        print(error, file=sys.stderr)
        return None


def _keep(name: str, row: str) -> None:
    """The newest row of each fault, in the order of ``SCENARIOS``."""
    stored = RESULTS.with_suffix(".json")
    rows = json.loads(stored.read_text()) if stored.exists() else {}
    rows[name] = row
    stored.write_text(json.dumps(rows, indent=1) + "\n")
    RESULTS.write_text(_table([rows[one] for one in SCENARIOS if one in rows]))


def _row(scenario: Scenario, found: Found) -> str:
    times = sorted(found.recoveries)
    numbers = f"{statistics.median(times):.2f} | {times[-1]:.2f}" if times else " | "
    said = (scenario.__doc__ or "").partition("\n")[0].rstrip(".").partition(":")[0]
    ends = ", ".join(f"{count} {end}" for end, count in found.ends.items()) or "none"
    note = f"; {found.note}" if found.note else ""
    return f"| {said}{note} | {found.rounds} | {numbers} | {found.answers} | {ends if found.answers else ''} |"


def _table(rows: list[str]) -> str:
    head = "| fault | rounds | median s | longest s | answers, all logged and right | other ends of requests |"
    lines = ["Made by `python -m benchmarks.faults`; seconds until the first answer after the fault.", "", head]
    return "\n".join([*lines, "| --- | ---: | ---: | ---: | ---: | --- |", *rows, ""])


if __name__ == "__main__":
    sys.exit(main())
