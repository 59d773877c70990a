"""Starting the service: the address, the environment of its workers, and the supervisor that keeps them alive."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from features.build import outcomes_at
from features.dictionary import Moment
from features.errors import UsageError
from serving.cds_hooks import clients
from serving.keys import REQUIRE_KEYS, any_good
from serving.limits import Limits
from serving.supervisor import Supervisor

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
#: How many clients may stand in the queue of the socket.
BACKLOG = 2048
#: How long a port may still be taken: workers of a service that was just killed need a moment to let go of it.
PATIENCE_SECONDS = 3.0
LOOK_EVERY_SECONDS = 0.05


def serve_forever(
    home: Path, environment: Mapping[str, str], host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, workers: int = 1
) -> int:
    """Run the service on what is released under ``home`` until SIGINT or SIGTERM; returns an exit code.

    ``environment``: of the child, which gets a few variables more. Raises ``UsageError`` for an address or a port that
    cannot be served.
    """
    address = require_allowed(host, any_good(home))
    if workers < 1:
        raise UsageError("workers must be at least 1")
    Limits.of(environment)  # said here, and not by each worker in its log
    clients.read(home)
    listening = bound(address, port)
    beyond = not ipaddress.ip_address(address).is_loopback
    _say_how_it_starts(home, f"http://{f'[{address}]' if ':' in address else address}:{port}")
    if beyond:
        sys.stderr.write("others can reach it: keys and patients travel in the clear unless a proxy adds TLS\n")
    with listening, tempfile.TemporaryDirectory(prefix="cemrisk-metrics-") as metrics:
        environment = _child_environment(home, environment, workers, beyond) | {"PROMETHEUS_MULTIPROC_DIR": metrics}
        return Supervisor(listening, workers, environment).run()


def _say_how_it_starts(home: Path, url: str) -> None:
    """Where the service will be, and if so that it has nothing to answer with yet."""
    # A registry may well have no model for after surgery: only what a question before it needs is missed.
    needed = outcomes_at(Moment.PLANNED)
    missing = [outcome for outcome in needed if not (home / "released" / outcome / "current").is_file()]
    sys.stderr.write(f"page and API on {url}; stop it with Ctrl-C\n")
    if missing:
        sys.stderr.write(f"nothing is released for {' and '.join(missing)} yet: cemrisk train, then cemrisk promote\n")
    sys.stderr.flush()


def require_allowed(host: str, has_keys: bool) -> str:
    """The address to bind. Raises ``UsageError`` if others than this machine can reach it and there are no keys."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError("host must be an address such as 127.0.0.1, or localhost") from None
    if not address.is_loopback and not has_keys:
        raise UsageError(
            "host must be a loopback address as long as there is no access key that is good: anybody could ask. "
            "Make one with `cemrisk keys create`"
        )
    return str(address)


def bound(address: str, port: int, patience_seconds: float = PATIENCE_SECONDS) -> socket.socket:
    """A socket that listens there. Raises ``UsageError`` if it cannot, also after a while."""
    until = time.monotonic() + patience_seconds
    while True:
        found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address, port))
            found.listen(BACKLOG)
            return found
        except (OSError, OverflowError) as error:
            found.close()
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            if not taken or time.monotonic() > until:
                text = f"port {port} of {address} cannot be bound: something listens there, or it is not allowed"
                raise UsageError(text) from None
        time.sleep(LOOK_EVERY_SECONDS)


def _child_environment(home: Path, environment: Mapping[str, str], workers: int, beyond: bool) -> dict[str, str]:
    code = str(Path(__file__).parents[1])
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(filter(None, (code, environment.get("PYTHONPATH")))),
        **({REQUIRE_KEYS: "1"} if beyond else {}),
        "CEMRISK_HOME": str(home.resolve()),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.cemrisk.workers={workers}",
        # Arrays of a question are tiny: threads of the linear algebra would only get in each other's way.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
