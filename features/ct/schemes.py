"""The levels that can be measured, and the label values that known schemes give them. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Levels from head to foot; a vertebra's neighbours stand beside it here.
LEVELS = (*(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6)))

SCHEMES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "verse": MappingProxyType({7 + n: f"T{n}" for n in range(1, 13)} | {19 + n: f"L{n}" for n in range(1, 6)}),
        "totalsegmentator": MappingProxyType(
            {32 - n: f"L{n}" for n in range(1, 6)} | {44 - n: f"T{n}" for n in range(1, 13)}
        ),
        "totalsegmentator-v1": MappingProxyType(
            {23 - n: f"L{n}" for n in range(1, 6)} | {35 - n: f"T{n}" for n in range(1, 13)}
        ),
    }
)
