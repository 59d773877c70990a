"""A page as a real browser makes it: the DOM after its scripts ran, what it asked the network for, its complaints."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = frozenset({"input", "meta", "link", "br", "img", "hr", "line", "rect"})
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    # Chromium itself asks its maker for updates and more; here it finds nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass
class Element:
    """One element; ``words`` is its text and that of all inside."""

    name: str
    attributes: dict[str, str]
    parent: Element | None
    words: str = ""

    def ancestors(self) -> list[str]:
        """Names of the elements around it, the nearest first."""
        return [] if self.parent is None else [self.parent.name, *self.parent.ancestors()]


@dataclass
class Page:
    """``elements`` in the order of the document, ``console`` the lines that the page wrote, ``requested`` the
    addresses that it asked for."""

    elements: list[Element] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def find(self, name: str = "", **attributes: str) -> list[Element]:
        """Elements of a name with these attributes; ``class_`` for ``class``."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [
            one
            for one in self.elements
            if name in ("", one.name) and all(one.attributes.get(key) == value for key, value in wanted.items())
        ]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._at: Element | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self._at)
        self.elements.append(made)
        if tag not in VOID:
            self._at = made

    def handle_endtag(self, tag: str) -> None:
        at = self._at
        while at is not None and at.name != tag:
            at = at.parent
        if at is not None:
            self._at = at.parent

    def handle_data(self, data: str) -> None:
        at = self._at
        while at is not None:
            at.words += data
            at = at.parent


def load(url: str, folder: Path) -> Page:
    """Open the address in a fresh browser and wait, on its virtual clock, until the page is at rest."""
    assert BROWSER is not None
    traffic = folder / "traffic.json"
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={traffic}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=10000", "--dump-dom", url], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    reader = _Reader()
    reader.feed(done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    address = urlsplit(url)
    return Page(reader.elements, console, _requested(traffic, f"{address.scheme}://{address.netloc}"))


def _requested(traffic: Path, origin: str) -> list[str]:
    """What the page of this origin asked for; requests of the browser for itself have another initiator."""
    events = json.loads(traffic.read_text())["events"]
    by_page = [event["params"] for event in events if event.get("params", {}).get("initiator") == origin]
    return list(dict.fromkeys(str(request["url"]) for request in by_page if "url" in request))
