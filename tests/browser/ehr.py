"""An EHR for a browser: an origin with a page that calls CDS Hooks, and a small FHIR server with one patient."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.service.resources import Json, bundle

PAGES = Path(__file__).with_name("cds_client")
INSTALLED = (PAGES / "node_modules" / "@medplum" / "core").is_dir()
REASON = f"the public CDS client is not installed (node, then: npm ci --prefix tests/browser/{PAGES.name})"
FHIR = "/fhir/R4/"


class Origin(ThreadingHTTPServer):
    """``store``: the resources of the FHIR server; ``searched``: every query that came to it."""

    store: list[Json]
    searched: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def foreign(self) -> str:
        """The same pages under a name that is another origin to a browser."""
        return f"http://localhost:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        if not self.path.startswith(FHIR):
            super().do_GET()
            return
        self.server.searched.append(self.path.removeprefix(FHIR))
        found = answer(self.server.store, self.path.removeprefix(FHIR))
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/fhir+json")
        self.end_headers()
        self.wfile.write(json.dumps(found or {"resourceType": "OperationOutcome", "issue": []}).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is read by people."""


@contextmanager
def origin() -> Iterator[Origin]:
    with Origin(("127.0.0.1", 0), partial(_Handler, directory=str(PAGES))) as server:
        server.store, server.searched = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def answer(store: list[Json], query: str) -> Json | None:
    """Of ``Type/id`` the resource or None; of ``Type?search`` the bundle of those that match."""
    parts = urlsplit(query)
    if "/" in parts.path:
        kind, name = parts.path.split("/")
        return next((one for one in store if (one["resourceType"], one["id"]) == (kind, name)), None)
    wanted = parse_qsl(parts.query, strict_parsing=True)
    found = [
        one
        for one in store
        if one["resourceType"] == parts.path and all(_matches(one, name, value) for name, value in wanted)
    ]
    return bundle(*found) | {"type": "searchset", "total": len(found)}


def _matches(resource: Json, name: str, value: str) -> bool:
    """The searches that templates use: by patient, by status, and by code as ``system|code`` or ``system|``."""
    if name == "patient":
        return resource["subject"]["reference"] == f"Patient/{value}"
    if name == "status":
        return resource.get("status") in value.split(",")
    if name == "code":
        tokens = [tuple(token.split("|")) for token in value.split(",")]
        codings = [(coding["system"], coding["code"]) for coding in resource["code"]["coding"]]
        return any(system == own and code in ("", told) for system, code in tokens for own, told in codings)
    raise ValueError(f"the store cannot search by {name}")
