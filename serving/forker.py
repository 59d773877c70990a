"""Loads the service once and forks workers from it: a worker that was killed is replaced in a tenth of a second.

Run by ``serving.supervisor`` with the number of workers and three handles: the listening socket, the lifeline (ends
when everybody must end) and a pipe on which each worker says that it is ready.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
#: A worker that lives shorter than this may have a fault that its successor will have too: wait longer each time.
SHORT_LIFE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.5
#: Of <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1


def main(workers: int, listening: int, lifeline: int, told: int) -> int:
    """Fork, replace, and end when asked to or when the supervisor is gone."""
    end_with_parent()
    gc.disable()  # while modules are loaded nothing becomes garbage that would be worth the search
    from serving import service  # the slow part: done once, shared by all workers

    service.prepare()
    gc.collect()
    gc.freeze()  # what is loaded stays; a collector that walked it would copy it into each worker
    gc.enable()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    born: dict[int, float] = {}
    pause, not_before = 0.0, 0.0
    while True:
        if time.monotonic() >= not_before:
            for _ in range(workers - len(born)):
                pid = os.fork()
                if pid == 0:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                    _end(service.work(listening, lifeline, told))
                born[pid] = time.monotonic()
        if _is_asked_to_end(lifeline):
            return _end_all(born, listening, told)
        service.prepare()
        lives = _buried(born)
        if lives:
            short = min(lives) < SHORT_LIFE_SECONDS
            pause = min(2 * pause + FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) if short else 0.0
            not_before = time.monotonic() + pause


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process as soon as its parent ends, however that ends.

    The lifeline says it too, but is looked at between other things; until then nobody else could have the port. Needs
    Linux; where it is refused the lifeline remains.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def _is_asked_to_end(lifeline: int) -> bool:
    """Wait for a child's end, a signal to stop, or the end of the supervisor; True for the last two."""
    found = signal.sigtimedwait(_SIGNALS, LOOK_EVERY_SECONDS)
    if found is not None and found.si_signo != signal.SIGCHLD:
        return True
    return bool(select.select([lifeline], [], [], 0)[0])


def _buried(born: dict[int, float]) -> list[float]:
    """How long those lived that have ended, in seconds."""
    lives = []
    for pid in list(born):
        if os.waitpid(pid, os.WNOHANG)[0]:
            lives.append(time.monotonic() - born.pop(pid))
    return lives


def _end_all(born: dict[int, float], listening: int, told: int) -> int:
    """Stop listening before the workers are told: who comes after them is refused, and not forgotten in a queue."""
    os.close(listening)
    os.close(told)
    for pid in born:
        os.kill(pid, signal.SIGTERM)
    for pid in born:
        os.waitpid(pid, 0)
    return 0


def _end(code: int) -> None:
    """Of a worker: without what the forker had planned for its own end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
