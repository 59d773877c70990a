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


class DrainingServer(uvicorn.Server):
    """``lifeline``: handle that ends when the server must end; ``told``: handle to write a byte to once it is ready.

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
        """Take who already stands in the queue, then close it; what comes between the two is refused by the kernel."""
        queues = [one.dup() for one in sockets]
        for server in self.servers:
            server.close()
        for queue in queues:
            queue.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    accepted, _ = queue.accept()
                    await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)
            queue.close()
        for one in sockets:
            one.close()

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
