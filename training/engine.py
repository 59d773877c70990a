"""Running independent pieces of work: on the cores of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Literal

from features.errors import DependencyMissing

Engine = Literal["local", "dask"]
Task = tuple[Callable[..., Any], tuple[Any, ...]]

#: One thread per worker: the matrices are small, and threads that wait for each other cost up to ten times the work.
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(tasks: Sequence[Task], engine: Engine = "local", workers: int | None = None) -> Iterator[tuple[int, Any]]:
    """Results as they come, each with the position of its task. A failed task raises its own exception here."""
    if engine == "dask":
        yield from _on_dask(tasks)
    else:
        yield from _on_cores(tasks, workers or os.cpu_count() or 1)


def _on_cores(tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, Any]]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # inherited by the workers, which read it when NumPy is loaded
    try:
        with ProcessPoolExecutor(max(1, min(workers, len(tasks))), get_context("spawn"), _end_with_parent) as pool:
            futures = {pool.submit(function, *arguments): place for place, (function, arguments) in enumerate(tasks)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _end_with_parent() -> None:
    """In a worker: end when the training ends, however it ends; without this a killed one leaves its workers behind."""
    Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_dask(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    """On the cluster that Dask's own setting ``scheduler-address`` names (``DASK_SCHEDULER_ADDRESS``), or on one
    started for the occasion, which no other machine can reach.
    """
    try:
        import dask.config
        from distributed import Client
        from distributed import as_completed as as_completed_there
    except ImportError as error:
        raise DependencyMissing("--engine dask needs the package distributed: pip install 'cemrisk[dask]'") from error
    elsewhere = dask.config.get("scheduler-address", None)
    with Client(elsewhere) if elsewhere else Client(threads_per_worker=1, dashboard_address=None) as client:
        futures = {
            client.submit(function, *arguments, pure=False): place for place, (function, arguments) in enumerate(tasks)
        }
        for future in as_completed_there(futures):
            yield futures[future], future.result()
