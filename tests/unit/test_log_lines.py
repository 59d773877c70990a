"""The lines of the service's log: the same facts for a person and for a collector."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator

import pytest

from features.errors import UsageError
from serving import log_lines
from serving.log_lines import FORMAT, LOGGER


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger(LOGGER)
    handlers, level, own_level = root.handlers[:], root.level, own.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)


def test_json_has_one_object_a_line_even_with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    log_lines.begin("worker", {})  # standard error is no terminal here
    logging.getLogger(LOGGER).info("leakage: %s\nsecond line “quoted”", "stopped")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("a.library").exception("failed")
    said, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("at"))
    assert said == {
        "level": "info",
        "process": "worker",
        "pid": os.getpid(),
        "message": "leakage: stopped\nsecond line “quoted”",
    }
    assert (failed["level"], failed["logger"]) == ("error", "a.library")
    assert failed["exception"].startswith("Traceback") and failed["exception"].endswith("ValueError: why")


def test_text_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    log_lines.begin("forker", {FORMAT: "text"})
    logging.getLogger(LOGGER).warning("going on")
    assert re.fullmatch(rf"\S+Z warning forker {os.getpid()}: going on\n", capsys.readouterr().err)


def test_libraries_are_heard_only_when_they_warn(capsys: pytest.CaptureFixture[str]) -> None:
    log_lines.begin("worker", {FORMAT: "json"})
    logging.getLogger("a.library").info("chatter")
    assert capsys.readouterr().err == ""


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="text, json"):
        log_lines.begin("worker", {FORMAT: "xml"})
