"""How much a scan may cost to read, and the refusal that says why one was not read."""

from __future__ import annotations

from dataclasses import dataclass

from features.errors import Finding, ImageRejected

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one scan or label map. The decoding process is held to ``memory_bytes`` and ``cpu_seconds``."""

    decoded_bytes: int = 2048 * MIB
    file_bytes: int = 2048 * MIB
    files: int = 6000
    memory_bytes: int = 3072 * MIB
    cpu_seconds: int = 300


def refuse(code: str, detail: str, variable: str = "image") -> ImageRejected:
    """The error for an image or labels (``variable``) that cannot be used; ``detail`` says what to do."""
    return ImageRejected(detail, [Finding(code, variable, detail)])
