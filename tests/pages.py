"""A stored HTML page as tests read it: its elements, and whether it stands alone and is built as it should be."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "br", "img", "hr", "link", "input"})


class Read(HTMLParser):
    """``elements``: (name, attributes, text inside) in order; ``faults``: tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.faults: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.faults += [f"{self.elements[place][0]} is never closed" for place in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self.elements[self._open[-1]][0] != tag:
            self.faults.append(f"</{tag}> closes nothing")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def find(self, name: str = "", **attributes: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of the elements of a name that have these attributes."""
        return [
            (found, " ".join("".join(text).split()))
            for tag, found, text in self.elements
            if name in ("", tag) and all(found.get(key) == value for key, value in attributes.items())
        ]


def faults_of(text: str) -> list[str]:
    """What is wrong with a page that has to stand alone and to be read by a screen reader; empty if nothing is."""
    page = Read(text)
    faults = list(page.faults)
    ids = [found["id"] for found, _ in page.find() if "id" in found]
    faults += [f"id {one} occurs twice" for one in set(ids) if ids.count(one) > 1]
    for name, found, _ in page.elements:
        for key in ("src", "href"):
            address = found.get(key, "data:")
            if not (address.startswith("data:image/") or address == "data:" or address[1:] in ids):
                faults.append(f"{name} refers to {address[:60]}")
        if name in ("script", "link", "iframe", "object"):
            faults.append(f"there is a {name}")
        if name == "img" and len(found.get("alt", "")) < 40:
            faults.append("a picture is not described")
    faults += [f"style refers to {one}" for one in re.findall(r"@import[^;]*|url\([^)]*\)", text)]
    return faults + _headings(page) + _tables(page)


def _headings(page: Read) -> list[str]:
    levels = [int(name[1]) for name, _, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    skipped = [f"h{low} is followed by h{high}" for low, high in pairwise(levels) if high > low + 1]
    return skipped + ([] if levels[:1] == [1] and levels.count(1) == 1 else ["there is not one h1 at the beginning"])


def _tables(page: Read) -> list[str]:
    tables, captions = page.find("table"), page.find("caption")
    heads = [found for found, _ in page.find("th")]
    faults = [] if len(tables) == len(captions) else ["a table has no caption"]
    return faults + (["a header cell has no scope"] if any("scope" not in found for found in heads) else [])
