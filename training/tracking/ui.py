"""``make ui``: the MLflow UI on the state that the last training left."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from training.tracking.store import Store

HOST, PORT = "127.0.0.1", 5000


def port_of(argv: Sequence[str] | None = None) -> int:
    """What ``--port`` says; a port that cannot be one ends the program with the reason."""
    parser = argparse.ArgumentParser(
        prog="python -m training.tracking.ui",
        description="The MLflow UI on the state that the last training left.",
        epilog="example:\n  make ui PORT=5001",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_port, default=PORT, metavar="P", help=f"port to listen on ({PORT})")
    return int(parser.parse_args(argv).port)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65_536):
        raise argparse.ArgumentTypeError("a port from 1 to 65535 is expected")
    return int(text)


def main() -> None:
    """Become MLflow's own server, so that whoever stops this stops that."""
    port = port_of()
    home = Path(os.environ.get("CEMRISK_HOME", ".cemrisk"))
    store = Store(home, os.environ.get("MLFLOW_TRACKING_URI"))
    sys.stderr.write(f"MLflow UI on http://{HOST}:{port} (store: {home}); stop it with Ctrl-C\n")
    sys.stderr.flush()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
