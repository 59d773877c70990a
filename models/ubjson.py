"""A reader of Universal Binary JSON, the format of xgboost's model files, and a writer of arrays in it.

The format: https://ubjson.org, draft 12. The reader takes one document after another from the same bytes. Every length
is checked against what is left before memory is taken, so that damaged bytes end in ``ModelDamaged`` and not in a
crash.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ModelDamaged

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_ARRAYS = {marker: np.dtype(">" + code) for marker, code in _NUMBERS.items()}
MAX_DEPTH = 32


class Reader:
    """Reads documents from ``data``; ``position`` is where the next one starts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def __bool__(self) -> bool:
        return self.position < len(self.data)

    def document(self) -> dict[str, Any]:
        """The next document, which must be an object; typed arrays come as NumPy arrays."""
        found = self._value(self._take(1), 0)
        if not isinstance(found, dict):
            raise ModelDamaged("the trees file does not hold an object where a booster should start")
        return found

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise ModelDamaged("the trees file ends in the middle of a value")
        found = self.data[self.position : end]
        self.position = end
        return found

    def _number(self, marker: bytes) -> int | float:
        if marker not in _NUMBERS:
            raise ModelDamaged("the trees file holds a marker that is not a number where one is needed")
        code = ">" + _NUMBERS[marker]
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]  # type: ignore[no-any-return]

    def _length(self) -> int:
        found = self._number(self._take(1))
        if not isinstance(found, int) or found < 0:
            raise ModelDamaged("the trees file holds a length that is not a whole number")
        return found

    def _text(self) -> str:
        return self._take(self._length()).decode("utf-8", "replace")

    def _value(self, marker: bytes, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ModelDamaged("the trees file is nested too deeply")
        if marker in _NUMBERS:
            return self._number(marker)
        if marker == b"S":
            return self._text()
        if marker in (b"T", b"F"):
            return marker == b"T"
        if marker == b"Z":
            return None
        if marker == b"[":
            return self._array(depth)
        if marker == b"{":
            return self._object(depth)
        raise ModelDamaged("the trees file holds an unknown marker")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.data[self.position : self.position + 1] != b"}":
            key = self._text()
            found[key] = self._value(self._take(1), depth + 1)
        self.position += 1
        return found

    def _array(self, depth: int) -> Any:
        following = self.data[self.position : self.position + 1]
        if following == b"$":
            return self._typed_array()
        if following == b"#":
            self.position += 1
            return [self._value(self._take(1), depth + 1) for _ in range(self._length())]
        found = []
        while self.data[self.position : self.position + 1] != b"]":
            found.append(self._value(self._take(1), depth + 1))
        self.position += 1
        return found

    def _typed_array(self) -> np.ndarray[Any, Any]:
        self.position += 1
        marker = self._take(1)
        if marker not in _ARRAYS or self._take(1) != b"#":
            raise ModelDamaged("the trees file holds an array of an unknown kind")
        dtype = _ARRAYS[marker]
        count = self._length()
        return np.frombuffer(self._take(count * dtype.itemsize), dtype=dtype).astype(dtype.newbyteorder("="))


def arrays_document(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A document of named one-dimensional arrays, whole numbers in the smallest type that holds them."""
    entries = b"".join(
        _length_of(name.encode()) + name.encode() + _array_bytes(values) for name, values in arrays.items()
    )
    return b"{" + entries + b"}"


def _length_of(content: bytes | NDArray[Any]) -> bytes:
    return b"L" + struct.pack(">q", len(content))


def _array_bytes(values: NDArray[Any]) -> bytes:
    marker = next(marker for marker, dtype in _ARRAYS.items() if _holds(dtype, values))
    return b"[$" + marker + b"#" + _length_of(values) + values.astype(_ARRAYS[marker]).tobytes()


def _holds(dtype: np.dtype[Any], values: NDArray[Any]) -> bool:
    """Whether every value survives the type unchanged."""
    if values.dtype.kind == "f":
        return dtype.kind == "f" and dtype.itemsize >= values.dtype.itemsize
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    return limits is not None and (not values.size or (limits.min <= values.min() and values.max() <= limits.max))
