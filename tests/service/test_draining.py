"""The end of a worker under clients who come back at once after each answer."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
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


@pytest.fixture
def busy() -> Iterator[Busy]:
    port = free_port()
    lifeline, told = os.pipe(), os.pipe()
    with bound("127.0.0.1", port) as listening:
        handles = (listening.fileno(), lifeline[0], told[1])
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *map(str, handles)], cwd=Path(__file__).parents[2], pass_fds=handles
        )
    try:
        assert os.read(told[0], 1) == b"r"
        yield Busy(process, port, lifeline[1])
    finally:
        process.kill()
        process.wait()
        for handle in (lifeline[0], *told):
            os.close(handle)


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
