"""The errors of cemrisk, each with its consequence: an exit code for the command line and a status for HTTP.

A message says which field is wrong, what was expected and what to do. It never holds the value that was sent nor an
identifier: a row of an export is named by its position, a field of a question by its JSON pointer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (``severity="reject"``) or merely odd (``"warn"``) in the input.

    ``variable`` is a dictionary name or, for something in an export that has none, the source column.
    ``row`` is the position in the input, the first data row being 1; 0 stands for the input as a whole.
    """

    code: str
    variable: str
    detail: str
    severity: str = "reject"
    row: int = 0

    @property
    def rejects(self) -> bool:
        return self.severity == "reject"


class CemriskError(Exception):
    """Anything that cemrisk refuses to do, with the reason and the way out."""

    exit_code = 1
    http_status = 500


class UsageError(CemriskError):
    """The command or the request asks for something that does not exist or does not go together."""

    exit_code = 2
    http_status = 400


class InputRejected(CemriskError):
    """The data cannot be used; ``findings`` says why, one entry for each fault."""

    exit_code = 10
    http_status = 422

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ImageRejected(InputRejected):
    """A scan or its labels cannot be read or measured."""

    exit_code = 11


class TooLittleData(CemriskError):
    """There are too few patients or events to fit what was asked."""

    exit_code = 12
    http_status = 422


class ModelDamaged(CemriskError):
    """A stored model is incomplete, altered, or does not reproduce its own records."""

    exit_code = 13
    http_status = 503


class NotReady(CemriskError):
    """Something must happen first: nothing trained, nothing promoted, the store is not there."""

    exit_code = 14
    http_status = 503


class GateRefused(CemriskError):
    """A version does not pass the promotion gate."""

    exit_code = 15
    http_status = 409


class DependencyMissing(CemriskError):
    """An optional program or package is not installed."""

    exit_code = 16
    http_status = 503


class LogUnavailable(CemriskError):
    """The query log cannot be read or written: its disk, its database or its key file."""

    exit_code = 17
    http_status = 503
    code = "log_unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "2"}


class LogDamaged(CemriskError):
    """The query log is not what was written, or an answer in it cannot be reproduced."""

    exit_code = 18


#: Every class of failure that has an exit code of its own; subclasses elsewhere share that of their parent.
FAILURES: tuple[type[CemriskError], ...] = (
    CemriskError,
    UsageError,
    InputRejected,
    ImageRejected,
    TooLittleData,
    ModelDamaged,
    NotReady,
    GateRefused,
    DependencyMissing,
    LogUnavailable,
    LogDamaged,
)
