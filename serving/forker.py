"""Loads the service once and forks workers from it: a worker that was killed is replaced in a tenth of a second.

Run by ``serving.supervisor``. It goes on for a while if the supervisor is killed, and offers the socket to the next one
(``serving.takeover``); workers end once both are gone.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from serving import log_lines, takeover, trial
from serving.log_lines import LOGGER
from serving.shares import Share, shares
from serving.takeover import Offer

logger = logging.getLogger(LOGGER)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
#: A worker that ends by itself sooner than this may have a fault that its successor has too: wait longer each time.
SHORT_LIFE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.5
#: Of <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1


def main(home: Path, workers: int, supervisor: int, listening: int, lifeline: int, hold: int, told: int) -> int:
    """Fork, replace, and end when asked to.

    ``home``: the state folder. ``supervisor``: its process id. Handles: the ``listening`` socket; ``lifeline``, which
    ends when workers must, and ``hold``, one of its other ends, so that it lasts as long as this process; ``told``,
    where workers say that they are ready.
    """
    tell_when_parent_ends(signal.SIGTERM)
    if os.getppid() != supervisor:
        return 0
    log_lines.begin("forker", os.environ)
    gc.disable()  # while modules are loaded nothing becomes garbage that would be worth the search
    with trial.ahead(home):
        from serving import service  # the slow part: done once, shared by all workers
    service.prepare()
    gc.collect()
    gc.freeze()  # what is loaded stays; a collector that walked it would copy it into each worker
    gc.enable()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    tell_when_parent_ends(signal.SIGCHLD)  # from here on there is something to go on with
    offer: Offer | None = None

    def work(share: Share) -> int:
        os.close(hold)
        if offer is not None:
            offer.close()
        return service.work(listening, lifeline, told, share)

    crew = _Crew(shares(workers), work)
    while True:
        crew.fill()
        if _is_asked_to_end(takeover.LOOK_EVERY_SECONDS if offer else LOOK_EVERY_SECONDS):
            break
        if offer is None and os.getppid() != supervisor:
            offer = _offer(home, listening)
            if offer is None:
                break
        if offer is not None and offer.is_over():
            break
        service.prepare()
        crew.bury()
    if offer is not None:
        offer.withdraw()
    # Before the workers are told: who comes after them is refused, and not forgotten in a queue.
    os.close(listening)
    os.close(told)
    crew.end()
    return 0


def tell_when_parent_ends(number: signal.Signals) -> None:
    """Have the kernel send this signal to this process as soon as its parent ends, however that ends.

    Needs Linux; where it is refused, whoever looks at the id of his parent from time to time finds it out later.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _is_asked_to_end(seconds: float) -> bool:
    """Wait for a child's or the parent's end (False) or a signal to stop (True)."""
    found = signal.sigtimedwait(_SIGNALS, seconds)
    return found is not None and found.si_signo != signal.SIGCHLD


def _offer(home: Path, listening: int) -> Offer | None:
    """None if nobody could take the service over: then going on would only keep the port from the next one."""
    try:
        made = Offer(home, listening, takeover.ORPHANED_SECONDS)
    except OSError as error:
        logger.error("cemrisk serve is gone; its workers end, since no socket can be made: %s", error.strerror)
        return None
    seconds = takeover.ORPHANED_SECONDS
    logger.warning("cemrisk serve is gone; its workers go on for %.0f s, or until it is started again", seconds)
    return made


@dataclass
class _Crew:
    """A worker for each of the ``shares``: a process that runs ``work``; ``born``: since when it lives."""

    shares: list[Share]
    work: Callable[[Share], int]
    born: dict[int, tuple[float, Share]] = field(default_factory=dict)
    pause: float = 0.0
    not_before: float = 0.0

    def fill(self) -> None:
        """Fork those that are missing, unless the last ones had to be given a pause."""
        if time.monotonic() < self.not_before:
            return
        taken = [share for _, share in self.born.values()]
        for share in [one for one in self.shares if one not in taken]:
            pid = os.fork()
            if pid == 0:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                _end(self.work(share))
            self.born[pid] = time.monotonic(), share

    def bury(self) -> None:
        """Look who has ended. Who was killed from outside had no fault of its own and is replaced at once."""
        failed = []
        for pid in list(self.born):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                since, share = self.born.pop(pid)
                share.leave()
                life = time.monotonic() - since
                failed.append(life < SHORT_LIFE_SECONDS and os.waitstatus_to_exitcode(status) != -signal.SIGKILL)
        if failed:
            self.pause = min(2 * self.pause + FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) if any(failed) else 0.0
            self.not_before = time.monotonic() + self.pause

    def end(self) -> None:
        """Tell all to end, and wait for it."""
        for pid in self.born:
            os.kill(pid, signal.SIGTERM)
        for pid in self.born:
            os.waitpid(pid, 0)


def _end(code: int) -> None:
    """Of a worker: without what the forker had planned for its own end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
