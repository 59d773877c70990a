"""Which worker takes a connection, and the end of one under clients who come back at once after each answer."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.run import bound
from tests.service.process import free_port

CLIENTS = 8
ENDS_WITHIN_SECONDS = 6

#: An answer that keeps the whole worker busy, as the computing of a risk does on a slow machine.
_SERVER = """
import socket, sys, time
import uvicorn
from serving.draining import DrainingServer

async def app(scope, receive, send):
    if scope["type"] == "http":
        time.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

listening, lifeline, told = map(int, sys.argv[1:])
config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=10)
DrainingServer(config, lifeline, told).run(sockets=[socket.socket(fileno=listening)])
"""


@dataclass
class Busy:
    """A server without anything behind it. Closing ``lifeline`` asks it to end."""

    process: subprocess.Popen[bytes]
    port: int
    lifeline: int
    ends: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """A new connection for each question, until there is none to be had."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.connect()
            except OSError:
                return
            try:
                connection.request("GET", "/")
                self.ends.append(connection.getresponse().read().decode())
            except (OSError, http.client.HTTPException) as error:
                self.ends.append(type(error).__name__)
            connection.close()


@contextlib.contextmanager
def _started(server: str, *arguments: int) -> Iterator[Busy]:
    port = free_port()
    lifeline, told = os.pipe(), os.pipe()
    with bound("127.0.0.1", port) as listening:
        handles = (listening.fileno(), lifeline[0], told[1])
        process = subprocess.Popen(
            [sys.executable, "-c", server, *map(str, (*handles, *arguments))],
            cwd=Path(__file__).parents[2],
            pass_fds=handles,
        )
    try:
        for _ in range(*arguments or (1,)):
            assert os.read(told[0], 1) == b"r"
        yield Busy(process, port, lifeline[1])
    finally:
        process.kill()
        process.wait()
        for handle in (lifeline[0], *told):
            os.close(handle)


@pytest.fixture
def busy() -> Iterator[Busy]:
    with _started(_SERVER) as found:
        yield found


def test_clients_who_come_back_at_once_do_not_keep_a_worker_from_its_end(busy: Busy) -> None:
    clients = [threading.Thread(target=busy.ask, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    while len(busy.ends) < 2 * CLIENTS:
        time.sleep(0.01)
    os.close(busy.lifeline)
    busy.process.wait(timeout=ENDS_WITHIN_SECONDS)
    for client in clients:
        client.join(timeout=20)
    assert set(busy.ends) == {"ok"}


#: Workers that say who they are, forked as serving.forker does it; the last argument is how many.
_WORKERS = """
import os, socket, sys, time
import uvicorn
from serving.draining import DrainingServer
from serving.shares import shares

async def app(scope, receive, send):
    if scope["type"] == "http":
        time.sleep(0.003)
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

listening, lifeline, told, workers = map(int, sys.argv[1:])
for share in shares(workers):
    if os.fork() == 0:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=10)
        DrainingServer(config, lifeline, told, share).run(sockets=[socket.socket(fileno=listening)])
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def _asked(connection: http.client.HTTPConnection) -> str:
    """Which worker answers there."""
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


@contextlib.contextmanager
def _opened(port: int, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    """All at once, as a load generator or a proxy opens them."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(count)]
    try:
        for connection in connections:
            connection.connect()
        yield connections
    finally:
        for connection in connections:
            connection.close()


@pytest.fixture
def pair() -> Iterator[Busy]:
    with _started(_WORKERS, 2) as found:
        yield found
        os.close(found.lifeline)


def test_two_workers_share_connections(pair: Busy) -> None:
    """Evenly on a quiet machine; on a busy one a worker may get no processor while it would be its turn."""
    for count in (4, 16, 40):
        with _opened(pair.port, count) as connections:
            shares = Counter(map(_asked, connections))
        assert len(shares) == 2 and min(shares.values()) >= count // 4, shares
        time.sleep(0.1)  # the workers see that they have gone


def test_a_worker_that_does_not_take_its_share_keeps_nobody_waiting(pair: Busy) -> None:
    with _opened(pair.port, 8) as first:
        shares = Counter(map(_asked, first))
        stuck = int(shares.most_common()[-1][0])
        os.kill(stuck, signal.SIGSTOP)
        try:
            since = time.monotonic()
            with _opened(pair.port, 20) as more:
                assert set(map(_asked, more)) == set(shares) - {str(stuck)}
            assert time.monotonic() - since < 5
        finally:
            os.kill(stuck, signal.SIGCONT)
