"""One writer thread for each worker: answers of one turn of the loop, or of one commit's time, share a commit.

A route awaits ``keep``; the event loop never waits for the disk. If the log cannot be written, ``keep`` raises
``LogUnavailable`` and the answer is not sent. A record without an answer can be left behind (the client was gone, the
commit came too late), an answer without a record cannot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from features.errors import LogUnavailable
from serving.log_lines import LOGGER
from serving.query_log.anchor import Anchor, advance
from serving.query_log.entry import Answered, Entry, entry_of
from serving.query_log.keys import LogKeys, ensure_keys
from serving.query_log.settings import LogSettings
from serving.query_log.store import Store, fits, open_store

logger = logging.getLogger(LOGGER)

#: A commit costs as much as a third of an answer, so the answers of one turn of the loop share one. A long turn is not
#: waited for: the disk can work while the next answer is computed.
LONGEST_TURN_SECONDS = 0.004
#: How long an answer waits for its record; then it is not sent.
WAIT_SECONDS = 5.0
#: More records than that waiting means that the disk does not follow: better say so at once.
MOST_WAITING = 20_000
#: Of one commit: a whole batch, and whatever came with it.
MOST_IN_COMMIT = 1_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    entries: Sequence[Entry]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


def _settle(group: Sequence[_Waiting], error: LogUnavailable | None) -> None:
    """In the loop's own thread. Some may not be waiting any more."""
    for future in (waiting.future for waiting in group):
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class QueryLog:
    """The log as a worker writes it: where, is said by ``begin``; until then nothing can be answered.

    Nothing is opened before the first answer, so that the service lives even if its log does not.
    """

    def __init__(self, software: str, settings: LogSettings | None = None) -> None:
        self._software, self._settings = software, settings
        self._keys: LogKeys | None = None
        self._store: Store | None = None
        self._waiting: deque[_Waiting] = deque()
        self._count = 0
        self._wake = threading.Condition()
        self._turn: asyncio.AbstractEventLoop | None = None
        self._turn_since = 0.0
        self._thread: threading.Thread | None = None
        self._failing = ""
        self._last: Anchor | None = None
        self._cut = False

    def begin(self, settings: LogSettings) -> None:
        """Say where the log lies."""
        self._settings = settings

    async def keep(self, *answered: Answered) -> None:
        """Return as soon as all are on the disk. Raises ``LogUnavailable``: then the answers must not be sent."""
        if not answered:
            return
        entries = self._entries(answered)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entries, loop, loop.create_future())
        with self._wake:
            if self._count + len(entries) > MOST_WAITING:
                raise LogUnavailable("the query log does not keep up")
            self._waiting.append(waiting)
            self._count += len(entries)
        self._wake_writer(loop)
        try:
            await asyncio.wait_for(waiting.future, WAIT_SECONDS)
        except TimeoutError:
            raise LogUnavailable("the query log takes too long") from None

    def _entries(self, answered: Sequence[Answered]) -> list[Entry]:
        if self._settings is None:
            raise LogUnavailable("the query log has not begun")
        if self._keys is None:
            try:
                self._keys = ensure_keys(self._settings.key)
            except OSError as error:
                raise LogUnavailable(f"the key file of the query log cannot be made: {error.strerror}") from error
        return [entry_of(one, self._keys, self._settings.keep_inputs, self._software) for one in answered]

    def _wake_writer(self, loop: asyncio.AbstractEventLoop) -> None:
        """At the end of this turn of the loop, or now if it has lasted long enough."""
        if self._turn is not loop:
            self._turn, self._turn_since = loop, time.monotonic()
            loop.call_soon(self._end_turn)
        elif time.monotonic() - self._turn_since > LONGEST_TURN_SECONDS:
            self._turn_since = time.monotonic()
            self._notify()

    def _end_turn(self) -> None:
        self._turn = None
        self._notify()

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="query log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            error = self._commit([entry for waiting in group for entry in waiting.entries])
            for loop, some in groupby(group, key=lambda waiting: waiting.loop):
                with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits there
                    loop.call_soon_threadsafe(_settle, tuple(some), error)

    def _next_group(self) -> list[_Waiting]:
        """Wait for records, then take what is there: what has come during the last commit is the next one."""
        with self._wake:
            while not self._waiting:
                self._wake.wait()
            group = [self._waiting.popleft()]
            count = len(group[0].entries)
            while self._waiting and count + len(self._waiting[0].entries) <= MOST_IN_COMMIT:
                group.append(self._waiting.popleft())
                count += len(group[-1].entries)
            self._count -= count
        return group

    def _commit(self, entries: Sequence[Entry]) -> LogUnavailable | None:
        """One transaction, then the anchor; what went wrong, or None."""
        assert self._keys is not None and self._settings is not None
        try:
            if self._store is None:
                self._store = open_store(self._settings, self._keys)
            commit = self._store.append(entries, self._keys)
            self._anchored(
                advance(self._settings.anchor, commit, fits(self._store, self._keys), self._last), commit.anchor
            )
        except Exception as problem:  # the thread must outlive whatever a disk or a database comes up with
            return self._failed(problem)
        if self._failing:
            self._failing = ""
            logger.warning("the query log can be written again")
        return None

    def _anchored(self, whole: bool, anchor: Anchor) -> None:
        """Say it if the log has lost what it was anchored at. Answers go on: the anchor stays, ``verify`` finds it."""
        if whole:
            self._last = anchor
        elif not self._cut:
            logger.error("records of the query log are gone or changed: see cemrisk log verify")
        self._cut = not whole

    def _failed(self, problem: Exception) -> LogUnavailable:
        """Begin anew with the next commit, and say so in the service's log, once for each kind of failure."""
        if self._store is not None:
            with contextlib.suppress(Exception):
                self._store.close()
            self._store = None
        error = problem if isinstance(problem, LogUnavailable) else None
        if error is None:
            error = LogUnavailable(f"the query log cannot be written: {type(problem).__name__}")
        if str(error) != self._failing:
            self._failing = str(error)
            logger.error("%s; questions are answered 503 until it can be written", error)
        return error
