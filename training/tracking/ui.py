"""``make ui``: the MLflow UI on the state that the last training left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from training.tracking.store import Store

HOST, PORT = "127.0.0.1", 5000


def main() -> int:
    """Run MLflow's own server until it is stopped."""
    home = Path(os.environ.get("CEMRISK_HOME", ".cemrisk"))
    store = Store(home, os.environ.get("MLFLOW_TRACKING_URI"))
    sys.stderr.write(f"MLflow UI on http://{HOST}:{PORT} (store: {home}); stop it with Ctrl-C\n")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    command += ["--host", HOST, "--port", str(PORT), "--workers", "1"]
    try:
        return subprocess.call(command)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
