"""What keeps the service alive: a small process that never loads a model, and a forker that starts workers in no time.

    supervisor (this module)    holds the listening socket; replaces the forker
      forker (serving.forker)   has loaded everything but the models; forks workers and replaces them
        worker                  answers, as BentoML runs it

Workers outlive a forker that dies: they go on answering until those of the next one are ready. Each generation of
workers holds the end of a *lifeline*, a pipe whose other end the supervisor and the forker have: when one writes there,
or both are gone, they finish what they have begun and end. By a second pipe they say that they are ready, and, by its
end, that all are gone. If the supervisor is killed, forker and workers go on until the next one has taken over
(``serving.takeover``): to that one they are a generation of before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.log_lines import LOGGER
from serving.takeover import END, Orphans

logger = logging.getLogger(LOGGER)

#: How long open requests may take to end once the service was asked to stop.
GRACE_SECONDS = 10
#: Beyond the grace, until the forker is killed.
PATIENCE_SECONDS = 5
#: Between forkers that die at once.
PAUSE_SECONDS = 1.0


@dataclass
class _Generation:
    """A forker with its workers, one process ``group``. ``ready``: how many workers have said that they are."""

    group: int
    lifeline: int
    told: int
    ready: int = 0
    over: bool = False

    def retire(self) -> None:
        """Ask its workers to finish and end."""
        if self.lifeline >= 0:
            with contextlib.suppress(OSError):  # all are gone already
                os.write(self.lifeline, END)
            os.close(self.lifeline)
            self.lifeline = -1

    def kill(self) -> None:
        """End the forker and its workers at once: they are a process group, which lives as long as one of them."""
        logger.error("processes of %d did not end in time and are killed", self.group)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)

    @classmethod
    def of(cls, orphans: Orphans) -> _Generation:
        """Their connection says both: by a byte that they must end, by its end that they have."""
        told = orphans.connection.detach()
        return cls(orphans.group, os.dup(told), told)


@dataclass
class _Newest(_Generation):
    """The one whose forker is a child of this process."""

    process: subprocess.Popen[bytes] = field(kw_only=True)
    pidfd: int = field(kw_only=True)


@dataclass
class Supervisor:
    """Runs ``workers`` workers on ``listening`` until SIGINT or SIGTERM, with what is released under ``home``.

    ``shared``: a handle that all of them hold as long as one lives. ``orphans``: who answers until they are ready.
    """

    home: Path
    listening: socket.socket
    workers: int
    environment: Mapping[str, str]
    shared: int
    orphans: Orphans | None = None
    _old: list[_Generation] = field(default_factory=list)

    def run(self) -> int:
        """Returns 0 if it was asked to stop; else what the forker ended with that never got a worker ready."""
        if self.orphans is not None:
            self._old.append(_Generation.of(self.orphans))
        with _signals() as asked:
            now = self._start()
            while True:
                found = self._wait([asked, *self._handles(now)])
                if asked in found:
                    return self._stop(now)
                for one in [now, *self._old]:
                    self._listen(one, found)
                self._old = [one for one in self._old if not one.over]
                if now.ready >= self.workers:
                    for one in self._old:
                        one.retire()
                if now.pidfd in found:
                    code = self._buried(now)
                    if not now.ready and not self._old:
                        return code or 1
                    self._old.append(now)
                    time.sleep(PAUSE_SECONDS if not now.ready else 0)
                    now = self._start()

    def _start(self) -> _Newest:
        lifeline = os.pipe()
        told = os.pipe()
        handles = (self.listening.fileno(), *lifeline, told[1])
        numbers = map(str, (self.workers, os.getpid(), *handles))
        command = [sys.executable, "-m", "serving.forker", str(self.home), *numbers]
        # A session of its own: Ctrl-C in a terminal would otherwise reach everybody twice. And a group, so that
        # all of them can be killed at once.
        process = subprocess.Popen(
            command, env=self.environment, pass_fds=(*handles, self.shared), start_new_session=True
        )
        os.close(lifeline[0])
        os.close(told[1])
        return _Newest(process.pid, lifeline[1], told[0], process=process, pidfd=os.pidfd_open(process.pid))

    def _handles(self, now: _Newest) -> list[int]:
        return [now.pidfd, *(one.told for one in [now, *self._old] if not one.over)]

    def _wait(self, handles: list[int], seconds: float | None = None) -> list[int]:
        return select.select(handles, [], [], seconds)[0]

    def _listen(self, one: _Generation, found: list[int]) -> None:
        if one.told in found and not one.over:
            said = _read(one.told)
            one.ready += len(said)
            if not said:
                one.over = True
                one.retire()
                os.close(one.told)

    def _buried(self, one: _Newest) -> int:
        os.close(one.pidfd)
        return one.process.wait()

    def _stop(self, now: _Newest) -> int:
        """First nobody listens any more but the workers, then they finish what has come in."""
        self.listening.close()
        logger.info("asked to stop")
        now.process.send_signal(signal.SIGTERM)
        for one in self._old:
            one.retire()
        until = time.monotonic() + GRACE_SECONDS + PATIENCE_SECONDS
        forker = [now.pidfd]
        waiting = [one for one in [now, *self._old] if not one.over]
        while waiting and time.monotonic() < until:
            found = self._wait([*forker, *(one.told for one in waiting)], max(0.0, until - time.monotonic()))
            if now.pidfd in found:  # it cannot tell its workers any more
                forker = []
                now.retire()
            for one in waiting:
                self._listen(one, found)
            waiting = [one for one in waiting if not one.over]
        for one in waiting:
            one.kill()
        now.process.wait()
        return 0


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except ConnectionError:  # orphans who were killed
        return b""


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A handle that can be read once SIGINT or SIGTERM has come."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    woken = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
