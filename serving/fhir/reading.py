"""Looking into resources that may hold anything: what is absent or of another type is None, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from serving.fhir.codes import Coding

Json = dict[str, Any]

_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]{1,40}/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Item:
    """A resource and where it stood: ``pointer`` (RFC 6901) into the request, ``full_url`` of its entry."""

    resource: Json
    pointer: str
    full_url: str | None = None

    @property
    def kind(self) -> str:
        return text(self.resource, "resourceType") or ""

    @property
    def reference(self) -> str | None:
        """How others may refer to it: by type and id, else by the address of its entry."""
        identifier = text(self.resource, "id")
        if identifier and _REFERENCE.fullmatch(f"{self.kind}/{identifier}"):
            return f"{self.kind}/{identifier}"
        return self.full_url if self.full_url and self.full_url.startswith(("urn:uuid:", "urn:oid:")) else None


def at(value: Any, *path: str) -> Any:
    """What stands at the end of the path, None if there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, *path: str) -> str | None:
    """The text at the end of the path."""
    found = at(value, *path)
    return found if isinstance(found, str) else None


def number(value: Any) -> float | None:
    """A JSON number; true and false are none."""
    return float(value) if type(value) is int or type(value) is float else None


def objects(value: Any) -> list[Json]:
    """The objects of a list; of one object, itself."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def codings(concept: Any) -> list[Coding]:
    """System and code of each coding of a concept, or of each of several concepts."""
    return [
        (system, code)
        for one in objects(concept)
        for coding in objects(one.get("coding"))
        if (system := text(coding, "system")) is not None and (code := text(coding, "code")) is not None
    ]


def relative(reference: str) -> str:
    """``Patient/7`` of any way to write it: absolute, with a version, or so already."""
    found = _REFERENCE.fullmatch(reference)
    return found[1] if found else reference


def day(value: Any) -> date | None:
    """The day of a date or a time; None if it is not told to the day."""
    if not isinstance(value, str) or not _DAY.match(value):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def moment(value: Any) -> datetime | None:
    """A time in UTC, or the beginning of a day; without a zone it is taken as UTC's; none outside the calendar."""
    if day(value) is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def items_of(value: Any, pointer: str) -> Iterator[Item]:
    """The resources of a resource: itself, or of a bundle all its entries, of parameters all their resources."""
    if not isinstance(value, dict):
        return
    kind = value.get("resourceType")
    if kind == "Bundle" and isinstance(value.get("entry"), list):
        for index, entry in enumerate(value["entry"]):
            here = f"{pointer}/entry/{index}/resource"
            resource = at(entry, "resource")
            if at(resource, "resourceType") == "Bundle":
                yield from items_of(resource, here)
            elif isinstance(resource, dict):
                yield Item(resource, here, text(entry, "fullUrl"))
    elif kind == "Parameters" and isinstance(value.get("parameter"), list):
        for index, parameter in enumerate(value["parameter"]):
            yield from items_of(at(parameter, "resource"), f"{pointer}/parameter/{index}/resource")
    elif isinstance(kind, str) and kind not in ("Bundle", "Parameters"):
        yield Item(value, pointer)
