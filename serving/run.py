"""Starting the service: the address, the environment of its workers, and the supervisor that keeps them alive."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from features.errors import UsageError
from features.moments import outcomes_at
from features.variable import Moment
from serving import log_lines, takeover
from serving.cds_hooks import clients
from serving.keys import REQUIRE_KEYS, any_good
from serving.limits import Limits
from serving.log_lines import LOGGER
from serving.supervisor import Supervisor
from serving.takeover import Orphans

logger = logging.getLogger(LOGGER)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
HIGHEST_PORT = 65535
#: How many clients may stand in the queue of the socket.
BACKLOG = 2048
#: How long a port may still be taken: a service that was just killed needs a moment to let go of it or hand it over.
PATIENCE_SECONDS = 3.0
LOOK_EVERY_SECONDS = 0.05
#: Folders of metrics, and how old one must be before it can have been left behind: a fresh one is not held yet.
METRICS = "cemrisk-metrics-"
FRESH_SECONDS = 60.0


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
    log_lines.begin("supervisor", environment)
    listening, orphans = _bound_or_taken_over(home, address, port)
    beyond = not ipaddress.ip_address(address).is_loopback
    _say_how_it_starts(home, f"http://{f'[{address}]' if ':' in address else address}:{port}")
    if orphans:
        logger.info("taking over from workers whose cemrisk serve was killed")
    if beyond:
        logger.warning("others can reach it: keys and patients travel in the clear unless a proxy adds TLS")
    with listening, _metrics_folder() as (metrics, shared):
        environment = _child_environment(home, environment, workers, beyond) | {"PROMETHEUS_MULTIPROC_DIR": metrics}
        return Supervisor(home.resolve(), listening, workers, environment, shared, orphans).run()


def _bound_or_taken_over(home: Path, address: str, port: int) -> tuple[socket.socket, Orphans | None]:
    """A socket that listens there, with who serves on it still. Raises ``UsageError`` if it cannot be had."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return bound(address, port), None
        except PortTaken:
            orphans = takeover.find(home.resolve(), address, port)
            if orphans is not None:
                return orphans.listening, orphans
            if time.monotonic() > until:
                raise
        time.sleep(LOOK_EVERY_SECONDS)


@contextlib.contextmanager
def _metrics_folder() -> Iterator[tuple[str, int]]:
    """A folder for what all workers count, and a handle with a lock on it: whoever inherits it keeps the folder."""
    remove_left_behind()
    with tempfile.TemporaryDirectory(prefix=METRICS) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield name, handle
        os.close(handle)
    remove_left_behind()


def remove_left_behind() -> None:
    """Folders of a service that was killed, once none of its workers is left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{METRICS}*"):
        with contextlib.suppress(OSError):  # another user's, or in use
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(handle)
                if found.st_uid == os.geteuid() and time.time() - found.st_mtime > FRESH_SECONDS:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _say_how_it_starts(home: Path, url: str) -> None:
    """Where the service will be, and if so that it has nothing to answer with yet."""
    # A registry may well have no model for after surgery: only what a question before it needs is missed.
    needed = outcomes_at(Moment.PLANNED)
    missing = [outcome for outcome in needed if not (home / "released" / outcome / "current").is_file()]
    logger.info("page and API on %s; stop it with Ctrl-C", url)
    if missing:
        logger.warning("nothing is released for %s yet: cemrisk train, then cemrisk promote", " and ".join(missing))


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


class PortTaken(UsageError):
    """Something listens there already."""


def bound(address: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ``UsageError`` if it cannot, ``PortTaken`` if it could later."""
    if not 0 <= port <= HIGHEST_PORT:
        raise UsageError(f"there is no port {port}: name one from 1 to {HIGHEST_PORT}")
    found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((address, port))
        found.listen(BACKLOG)
        return found
    except OSError as error:
        found.close()
        taken = error.errno == errno.EADDRINUSE
        text = f"port {port} of {address} cannot be bound: something listens there, or it is not allowed; name another"
        raise (PortTaken if taken else UsageError)(text) from None


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
