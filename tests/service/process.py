"""The service in a process of its own, as ``cemrisk serve`` starts it, with what it wrote."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

_START = """
import os, sys
from pathlib import Path
from serving.run import serve_forever
sys.exit(serve_forever(Path(sys.argv[1]), os.environ, port=int(sys.argv[2]), workers=int(sys.argv[3])))
"""
READY_WITHIN_SECONDS = 60


@dataclass
class Running:
    """``url`` of the service, the ``process`` that started it, and the file of all that it wrote."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    home: Path

    def wait_ready(self) -> None:
        self._wait("/readyz")

    def wait_alive(self) -> None:
        self._wait("/livez")

    def _wait(self, path: str) -> None:
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)
        raise AssertionError(f"{path} was not 200 within {READY_WITHIN_SECONDS} s: {self.log.read_text()}")

    def wait_taken_over(self, orphans: list[int]) -> None:
        """Until it answers in the place of a service whose supervisor was killed."""
        until = time.monotonic() + READY_WITHIN_SECONDS
        while not self.workers() or any(lives(pid) for pid in orphans):
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> list[int]:
        """kill -9 of what was started; returns whom it leaves behind."""
        left = [*self.forkers(), *self.workers()]
        self.process.kill()
        self.process.wait()
        return left

    def workers(self) -> list[int]:
        """Processes that answer: the children of the forker."""
        return [pid for forker in self.forkers() for pid in children(forker)]

    def forkers(self) -> list[int]:
        """The process that workers are forked from."""
        return [pid for pid in children(self.process.pid) if b"serving.forker" in _command(pid)]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def lives(pid: int) -> bool:
    """Ended processes that nobody has buried yet, as in a container without an init, do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end_orphans(home: Path) -> None:
    """Kill forkers of this state folder, and their workers with them; a service that was killed leaves them behind."""
    own = f"CEMRISK_HOME={home.resolve()}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"serving.forker" in _command(int(folder.name)) and own in (folder / "environ").read_bytes().split(
                b"\0"
            ):
                os.killpg(int(folder.name), signal.SIGKILL)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def children(pid: int) -> list[int]:
    """Process ids of those that it has started."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(home: Path, folder: Path, workers: int = 1, port: int | None = None) -> Iterator[Running]:
    """Start the service on a free port or this one; it is stopped at the end if the test did not do it."""
    port, log = port or free_port(), folder / "service.log"
    with log.open("ab") as file:
        command = [sys.executable, "-c", _START, str(home), str(port), str(workers)]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=dict(os.environ))
    found = Running(f"http://127.0.0.1:{port}", process, log, home)
    try:
        yield found
    finally:
        if process.poll() is None:
            found.stop()
        elif process.returncode < 0:
            _end_orphans(home)
