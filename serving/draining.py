"""A uvicorn server that takes its share of connections, cuts none when it ends, and tells when it is ready."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from serving.log_lines import LOGGER
from serving.shares import Share, shares

logger = logging.getLogger(LOGGER)

#: How long a connection that is kept alive may send another question, which then is its last one.
LAST_QUESTION_SECONDS = 0.5
#: A worker looks so often whether all connections have ended.
LOOK_EVERY_SECONDS = 0.02
#: Connections that are still taken from the queue: the queue's own length.
MOST_LAST = 2048
#: How long a worker leaves a new connection to one that holds fewer; that one may just be computing an answer.
HOLD_BACK_SECONDS = 0.005
#: When there is no handle left for another connection.
OUT_OF_HANDLES_SECONDS = 0.1


class _Held(set[object]):
    """The open connections, as uvicorn keeps them; every change is told."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def add(self, one: object) -> None:
        super().add(one)
        self._told()

    def discard(self, one: object) -> None:
        super().discard(one)
        self._told()


class DrainingServer(uvicorn.Server):
    """``lifeline``: handle that ends, or can be read, when the server must end; ``told``: one to write a byte to once
    it is ready; ``share``: of the connections, if other workers listen too.

    By itself uvicorn closes, when asked to end, every connection on which it has not read a question yet, also those
    whose question is on the way. Here those are answered first, with ``Connection: close``.
    """

    def __init__(self, config: uvicorn.Config, lifeline: int, told: int, share: Share | None = None) -> None:
        super().__init__(config)
        self._lifeline, self._told = lifeline, told
        self._share = share or shares(1)[0]
        self._coming: set[asyncio.Task[None]] = set()
        self.server_state.connections = _Held(self._tell)  # type: ignore[assignment]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # uvicorn would take all that stands in the queue whenever it looks
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline, self._let_go)
        self._share.holds(0)
        for queue in sockets or ():
            queue.setblocking(False)
            loop.add_reader(queue, self._take, queue)
        with suppress(BrokenPipeError):  # nobody is left to be told
            os.write(self._told, b"r")
        logger.info("ready")

    def _tell(self) -> None:
        if not self.should_exit:
            self._share.holds(len(self.server_state.connections) + len(self._coming))

    def _take(self, queue: socket.socket) -> None:
        """Connections from the queue, as long as no other worker holds fewer."""
        while self._share.comes_first():
            if not self._take_one(queue):
                return
        self._pause(queue, HOLD_BACK_SECONDS)

    def _take_one(self, queue: socket.socket) -> bool:
        """Whether there was one and there may be more."""
        try:
            accepted, _ = queue.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError:
            self._pause(queue, OUT_OF_HANDLES_SECONDS)
            return False
        task = asyncio.get_running_loop().create_task(self._connect(accepted))
        self._coming.add(task)
        task.add_done_callback(self._came)
        self._tell()
        return True

    def _came(self, task: asyncio.Task[None]) -> None:
        self._coming.discard(task)
        self._tell()

    async def _connect(self, accepted: socket.socket) -> None:
        with suppress(OSError):  # who hung up meanwhile is no reason to fail the others
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)

    def _pause(self, queue: socket.socket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(queue)
        loop.call_later(seconds, self._go_on, queue)

    def _go_on(self, queue: socket.socket) -> None:
        """Whoever holds fewer had the time to take one: what is still there is taken, one at a time."""
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(queue, self._take, queue)
            self._take_one(queue)  # may pause again

    def _let_go(self) -> None:
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # In place, since requests that are being answered hold on to the same list.
        self.server_state.default_headers.append((b"connection", b"close"))
        await self._accept_the_last(sockets or [])
        until = time.monotonic() + LAST_QUESTION_SECONDS
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        await super().shutdown(sockets)

    async def _accept_the_last(self, sockets: list[socket.socket]) -> None:
        """Take who already stands in the queue, then close it; what comes between the two is refused by the kernel.

        Nobody is answered before the queue is closed: clients who come back after each answer would keep it full, and
        the worker would serve them for ever instead of ending.
        """
        self._share.leave()
        last = []
        for queue in sockets:
            asyncio.get_running_loop().remove_reader(queue)
            last += _emptied(queue)
            queue.close()
        await asyncio.gather(*self._coming, *map(self._connect, last))

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


def _emptied(queue: socket.socket) -> list[socket.socket]:
    """The connections that stand in it now, at most ``MOST_LAST``."""
    found: list[socket.socket] = []
    with suppress(OSError):  # the queue is empty, or no handle is left for another connection
        while len(found) < MOST_LAST:
            found.append(queue.accept()[0])
    return found
