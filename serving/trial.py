"""A bundle is tried in a process of its own before it may serve: whatever it does there, the worker lives on.

    python -m serving.trial HOME OUTCOME POINTED      # exit code 0: it loads, checks itself and can be served

A worker compares the digests first, then lets a child with bounded memory and time do all that parsing can do wrong. A
bundle that passed is remembered by its digest under ``<home>/.tried``, so that a worker that is started again is quick;
of several workers that see a promotion one tries the bundle, and the others wait for what it finds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from features.build import Outcome
from features.errors import CemriskError, ModelDamaged
from features.files import locked, write_private
from models.release import OUTCOMES, in_force, read_bundle, verify_bundle
from serving.served import Served

MEMORY_BYTES = 2 * 2**30
SECONDS = 60
#: Of the child: threads of the linear algebra would only reserve memory.
ENVIRONMENT: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def require_fit(home: Path, outcome: Outcome, pointed: str) -> None:
    """Return if the bundle may be loaded here. Raises ``ModelDamaged``, or what else it failed with."""
    digest = verify_bundle(home, outcome, pointed)
    passed = home / ".tried" / _fingerprint(outcome, digest)
    if passed.is_file():
        return
    with _alone(passed.with_name(f"{outcome}.lock")):
        if passed.is_file():
            return
        _try(home, outcome, pointed)
        with contextlib.suppress(OSError):  # a home that cannot be written to only costs the time of another trial
            write_private(passed, b"")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait for whoever tries a bundle of the outcome."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(locked(lock))
        yield


@contextlib.contextmanager
def ahead(home: Path) -> Iterator[None]:
    """Try what is in force while the caller loads modules; over at the end of the block.

    What is wrong with a bundle is said by whoever loads it afterwards.
    """
    thread = threading.Thread(target=_try_all, args=(home,), name="trials")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _try_all(home: Path) -> None:
    for outcome in OUTCOMES:
        with contextlib.suppress(Exception):  # whoever loads it says what is wrong
            pointed = in_force(home, outcome)
            if pointed is not None:
                require_fit(home, outcome, pointed)


def _try(home: Path, outcome: Outcome, pointed: str) -> None:
    command = [sys.executable, "-m", "serving.trial", str(home.resolve()), outcome, pointed]
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), *sys.path])
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env={**ENVIRONMENT, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ModelDamaged(f"the released bundle of {outcome} did not load within {SECONDS} s") from None
    if done.returncode == ModelDamaged.exit_code:
        raise ModelDamaged(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        how = "was killed" if done.returncode < 0 else "failed"
        raise ModelDamaged(f"the released bundle of {outcome} cannot be loaded: the process that tried it {how}")


def _fingerprint(outcome: Outcome, digest: str) -> str:
    """Of the bundle and of all that decides what loading it does, as far as a version tells."""
    return hashlib.sha256(f"{outcome} {digest} {platform.python_version()} {np.__version__}".encode()).hexdigest()


def main(argv: Sequence[str]) -> int:
    """Load as a worker would."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    home, name, pointed = argv
    outcome = next(known for known in OUTCOMES if known == name)
    try:
        Served.of(read_bundle(Path(home), outcome, pointed))
    except CemriskError as error:
        sys.stderr.write(str(error))
        return ModelDamaged.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
