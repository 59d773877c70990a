"""A service whose ``cemrisk serve`` was killed goes on without it, until the next one takes its place.

    orphans   a forker (``serving.forker``) and its workers; ``Offer`` hands their socket to whoever starts the service
    heir      the next ``cemrisk serve`` (``serving.run``); finds the port taken, and the orphans with ``find``

They meet on a Unix socket in the state folder, which listens only while the service is orphaned. The heir keeps the
connection: by a byte he tells the orphans to end; if he dies before that they go on. Both sides ask the kernel whose
process the other one is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.log_lines import LOGGER

logger = logging.getLogger(LOGGER)

#: How long a service goes on that nobody looks after; begins anew when an heir dies before he was ready.
ORPHANED_SECONDS = 30.0
#: How long orphans may take to answer an heir: they look every ``LOOK_EVERY_SECONDS``, unless they try a bundle.
ANSWER_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.05
END = b"e"
#: ``struct ucred`` of <sys/socket.h>: process, user, group.
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Orphans:
    """Who serves still: their ``listening`` socket, the ``connection`` to their forker and their process ``group``."""

    listening: socket.socket
    connection: socket.socket
    group: int


def find(home: Path, address: str, port: int) -> Orphans | None:
    """The orphans of a service of this state folder and address that was killed, if there are any."""
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.settimeout(ANSWER_SECONDS)
        try:
            with _near(_place(home, address, port)) as path:
                connection.connect(path)
            group, own = _peer(connection)
            handles = socket.recv_fds(connection, 1, 1)[1] if own else []
        except OSError:
            return None
        if not handles:
            return None
        listening = opened.enter_context(socket.socket(fileno=handles[0]))
        if listening.getsockname()[:2] != (address, port):
            return None
        opened.pop_all()
        return Orphans(listening, connection, group)


class Offer:
    """What orphans hold out to an heir. Raises ``OSError`` if they cannot: then nobody could ever take their place."""

    def __init__(self, home: Path, listening: int, seconds: float) -> None:
        with socket.socket(fileno=os.dup(listening)) as own:
            self._path = _place(home, *own.getsockname()[:2])
        self._listening, self._seconds = listening, seconds
        self._heir: socket.socket | None = None
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # of orphans of before: they see it and end
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _near(self._path) as path:
            self._door.bind(path)
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino
        self._door.listen()
        self._door.setblocking(False)
        self._until = time.monotonic() + seconds

    def is_over(self) -> bool:
        """One look at who came and what the heir says; True once everybody must end."""
        with contextlib.suppress(OSError):  # nobody has come, or nothing is said
            if self._heir is None:
                self._let_in(self._door.accept()[0])
            else:
                said = _heard(self._heir)
                if said == END:
                    return True
                self._heir.close()
                self._heir, self._until = None, time.monotonic() + self._seconds
                logger.warning("who had begun to take the service over is gone")
        return self._heir is None and (time.monotonic() > self._until or not self._is_ours())

    def _let_in(self, heir: socket.socket) -> None:
        heir.setblocking(False)
        try:
            if _peer(heir)[1]:
                socket.send_fds(heir, [b"s"], [self._listening])
                self._heir = heir
                return
        except OSError:  # gone already
            pass
        heir.close()

    def _is_ours(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it, as a worker does that was forked meanwhile."""
        self._door.close()
        if self._heir is not None:
            self._heir.close()

    def withdraw(self) -> None:
        """Nobody can come any more. An heir's connection stays until the process ends: he waits for that."""
        if self._is_ours():
            self._path.unlink(missing_ok=True)
        self._door.close()


def _heard(heir: socket.socket) -> bytes:
    """A byte, or nothing if he is gone. Raises ``BlockingIOError`` if he is there and has not said anything."""
    try:
        return heir.recv(1)
    except ConnectionError:
        return b""


def _peer(connection: socket.socket) -> tuple[int, bool]:
    """The process at the other end, and whether it is one of our own user that we can see."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid == os.geteuid() and pid > 0


def _place(home: Path, address: str, port: int) -> Path:
    return home / ".orphans" / f"{address}-{port}"


@contextlib.contextmanager
def _near(path: Path) -> Iterator[str]:
    """A name for it that is short enough for the address of a Unix socket (108 bytes)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
