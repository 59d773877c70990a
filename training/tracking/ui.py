"""``make ui``: the MLflow UI on the state that the last training left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from training.tracking.store import Store

HOST, PORT = "127.0.0.1", 5000


def main() -> None:
    """Become MLflow's own server, so that whoever stops this stops that."""
    home = Path(os.environ.get("CEMRISK_HOME", ".cemrisk"))
    store = Store(home, os.environ.get("MLFLOW_TRACKING_URI"))
    sys.stderr.write(f"MLflow UI on http://{HOST}:{PORT} (store: {home}); stop it with Ctrl-C\n")
    sys.stderr.flush()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    command += ["--host", HOST, "--port", str(PORT), "--workers", "1"]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
