"""A uvicorn server that cuts nothing when it ends, and tells when it is ready."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress

import uvicorn

#: How long a connection that is kept alive may send another question, which then is its last one.
LAST_QUESTION_SECONDS = 0.5
#: A worker looks so often whether all connections have ended.
LOOK_EVERY_SECONDS = 0.02
#: Connections that are still taken from the queue: the queue's own length.
MOST_LAST = 2048


class DrainingServer(uvicorn.Server):
    """``lifeline``: handle that ends, or can be read, when the server must end; ``told``: one to write a byte to once
    it is ready.

    By itself uvicorn closes, when asked to end, every connection on which it has not read a question yet, also those
    whose question is on the way. Here those are answered first, with ``Connection: close``.
    """

    def __init__(self, config: uvicorn.Config, lifeline: int, told: int) -> None:
        super().__init__(config)
        self._lifeline, self._told = lifeline, told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            asyncio.get_running_loop().add_reader(self._lifeline, self._let_go)
            with suppress(BrokenPipeError):  # nobody is left to be told
                os.write(self._told, b"r")

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
        queues = [one.dup() for one in sockets]
        for server in self.servers:
            server.close()
        last = [accepted for queue in queues for accepted in _emptied(queue)]
        for one in (*queues, *sockets):
            one.close()
        for accepted in last:
            # Who hung up meanwhile is no reason to end without the others.
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


def _emptied(queue: socket.socket) -> list[socket.socket]:
    """The connections that stand in it now, at most ``MOST_LAST``."""
    queue.setblocking(False)
    found: list[socket.socket] = []
    with suppress(OSError):  # the queue is empty, or no handle is left for another connection
        while len(found) < MOST_LAST:
            found.append(queue.accept()[0])
    return found
