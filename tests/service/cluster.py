"""A PostgreSQL server of its own, in a folder that goes with it; as another user where the tests run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.service.process import free_port

#: PostgreSQL refuses to run as root; these users exist where it is installed, or everywhere.
OTHER_USERS = ("postgres", "nobody")
_OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c port={port}"


def installed() -> Path | None:
    """Where the newest PostgreSQL keeps ``initdb`` and ``pg_ctl``, or None."""
    on_path = shutil.which("initdb")
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(on_path).parent] if on_path else [])]
    found = [place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()]
    return max(found, key=lambda place: (len(place.parent.name), place.parent.name), default=None)


class Cluster:
    """``url`` of its one database; ``stop`` and ``start`` as an administrator would."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder, self._port = programs, folder, free_port()
        self._user: dict[str, str | int] = {}
        if os.geteuid() == 0:
            owner = next(entry for name in OTHER_USERS if (entry := _user(name)) is not None)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid}
        self._run("initdb", "--no-sync", "--auth=trust", "--username=cemrisk", "-D", str(folder / "data"))

    @property
    def url(self) -> str:
        return f"postgresql://cemrisk@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = _OPTIONS.format(port=self._port)
        self._run(
            "pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-o", options, "-l", str(self._folder / "log")
        )

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self._folder / "data"))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=120, **self._user)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr


def _user(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


@contextlib.contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A server that runs, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cemrisk-postgres-"))
    found = None
    try:
        found = Cluster(programs, folder)
        found.start()
        yield found
    finally:
        if found is not None:
            with contextlib.suppress(AssertionError):
                found.stop()
        shutil.rmtree(folder, ignore_errors=True)
