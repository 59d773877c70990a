"""What the service says of itself, on standard error: a line of text for a person, a line of JSON for a collector.

    2026-11-21T21:25:38.104Z warning worker 4157: leakage: stopped
    {"at": "2026-11-21T21:25:38.104Z", "level": "warning", "process": "worker", "pid": 4157, "message": "…"}

No identifier, no value of a patient and no address of a client is ever handed to it. Who asked what stands in the
query log, how much and how fast in ``/metrics``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from features.errors import UsageError

LOGGER = "cemrisk.serving"
#: Environment variable with one of ``FORMATS``; without it text in a terminal, JSON elsewhere.
FORMAT = "CEMRISK_LOG_FORMAT"
FORMATS = ("text", "json")


class _Lines(logging.Formatter):
    """``process``: what the process is, in a word."""

    def __init__(self, process: str, as_json: bool) -> None:
        super().__init__()
        self._process, self._as_json = process, as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level, message = record.levelname.lower(), record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if not self._as_json:
            return f"{at} {level} {self._process} {record.process}: {message}" + (f"\n{trace}" if trace else "")
        line = {"at": at, "level": level, "process": self._process, "pid": record.process, "message": message}
        if record.name != LOGGER:
            line["logger"] = record.name
        return json.dumps(line | ({"exception": trace} if trace else {}), ensure_ascii=False)


def begin(process: str, environment: Mapping[str, str]) -> None:
    """Have this process log so, and libraries too as far as they warn. Again after a fork, with another ``process``.

    Raises ``UsageError`` for a format that does not exist.
    """
    chosen = environment.get(FORMAT) or ("text" if sys.stderr.isatty() else "json")
    if chosen not in FORMATS:
        raise UsageError(f"{FORMAT} must be one of {', '.join(FORMATS)}")
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(process, chosen == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(logging.INFO)
