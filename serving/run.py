"""Starting the service: BentoML in a process of its own, ended with the one that started it."""

from __future__ import annotations

import ipaddress
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from features.errors import UsageError
from models.release import OUTCOMES
from serving.keys import REQUIRE_KEYS, any_good
from serving.limits import Limits

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
#: How long open requests may take to end once the service was asked to stop.
GRACE_SECONDS = 10

Handler = Callable[[int, FrameType | None], None]


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
    require_free(address, port)
    beyond = not ipaddress.ip_address(address).is_loopback
    _say_how_it_starts(home, f"http://{f'[{address}]' if ':' in address else address}:{port}")
    if beyond:
        sys.stderr.write("others can reach it: keys and patients travel in the clear unless a proxy adds TLS\n")
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Service", "--host", address]
    command += ["--port", str(port)]
    command += ["--timeout-graceful-shutdown", str(GRACE_SECONDS), "--working-dir", str(Path(__file__).parents[1])]
    # A session of its own: Ctrl-C in a terminal would otherwise reach the child twice.
    child = subprocess.Popen(
        command, env=_child_environment(home, environment, workers, beyond), start_new_session=True
    )
    return _wait(child)


def _say_how_it_starts(home: Path, url: str) -> None:
    """Where the service will be, and if so that it has nothing to answer with yet."""
    released = [outcome for outcome in OUTCOMES if (home / "released" / outcome / "current").is_file()]
    missing = [outcome for outcome in OUTCOMES if outcome not in released]
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


def require_free(address: str, port: int) -> None:
    """Raise ``UsageError`` if the port cannot be bound, before BentoML fails with a page of traceback."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError):
            raise UsageError(
                f"port {port} of {address} cannot be bound: something listens there, or it is not allowed"
            ) from None


def _child_environment(home: Path, environment: Mapping[str, str], workers: int, beyond: bool) -> dict[str, str]:
    return {
        **environment,
        **({REQUIRE_KEYS: "1"} if beyond else {}),
        "CEMRISK_HOME": str(home.resolve()),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.cemrisk.workers={workers}",
        # Arrays of a question are tiny: threads of the linear algebra would only get in each other's way.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Hand signals on to the child and wait for its end: 0 if it was asked to stop, else what it ended with."""
    asked: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        asked.append(number)
        child.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if asked else (code or 0)
