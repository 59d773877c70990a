"""A hook of schemathesis: on standard error, once in a while, how many requests it has sent so far.

schemathesis imports it (``SCHEMATHESIS_HOOKS``) and writes nothing of its own before it ends, if not on a terminal.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import schemathesis

#: Until the next line.
EVERY_SECONDS = 60.0


class _Progress:
    """Counts requests; they may be sent by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = self._said = time.monotonic()
        self._sent = 0

    def count(self) -> None:
        with self._lock:
            self._sent += 1
            now = time.monotonic()
            if now - self._said >= EVERY_SECONDS:
                self._said = now
                sys.stderr.write(f"{self._sent:,} requests in {now - self._begun:.0f} s\n")
                sys.stderr.flush()


_PROGRESS = _Progress()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Called by schemathesis before each request."""
    _PROGRESS.count()
