"""What a worker answers from: the released models, and those that are promoted while it runs.

Each worker has a thread that looks at the pointers of the releases once a second and loads what has been promoted
meanwhile; questions are answered from the old models until the new ones take their place, in one step.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from features.build import Outcome
from features.errors import CemriskError
from models.release import OUTCOMES, load_release
from serving.served import Served

logger = logging.getLogger("cemrisk.serving")

LOOK_EVERY_SECONDS = 1.0
#: Objects made, less those freed, before the collector looks for cycles: an answer makes some thousand and no cycle.
GARBAGE_THRESHOLD = 20_000

#: Inode, time and size of a pointer: promotion replaces the file, so the inode alone mostly tells.
_Stamp = tuple[int, int, int]


class Shelf:
    """The models in force; empty until they are loaded.

    A model that is damaged or foreign is never served. At the start it leaves the shelf empty, the service not ready;
    later what was served stays. A pointer that vanishes changes nothing: promotion replaces it, and never removes it.
    """

    def __init__(self) -> None:
        self._served: Mapping[Outcome, Served] = {}
        self._loaded: Mapping[Outcome, Served] = {}
        self._seen: dict[Outcome, _Stamp] = {}

    def get(self) -> Mapping[Outcome, Served]:
        """What is served now; the mapping itself is never changed, so an answer may hold on to it."""
        return self._served

    def refresh(self, home: Path) -> bool:
        """Load what was promoted under ``home`` since the last call; returns whether other models are served now."""
        changed = [outcome for outcome in OUTCOMES if self._has_changed(home, outcome)]
        fresh = dict(self._loaded)
        taken = [outcome for outcome in changed if _load_into(fresh, home, outcome)]
        if not taken:
            return False
        self._loaded = fresh
        whole = all(outcome in fresh for outcome in self._seen)
        if not whole and not self._served:  # half of the models, as if the other had never been released, would mislead
            return False
        self._served = fresh
        _settle()
        return True

    def follow(self, home: Path, every_seconds: float = LOOK_EVERY_SECONDS) -> threading.Thread:
        """Call ``refresh`` from now on in a thread of its own, which ends with the process."""
        thread = threading.Thread(target=self._follow, args=(home, every_seconds), name="shelf", daemon=True)
        thread.start()
        return thread

    def _follow(self, home: Path, every_seconds: float) -> None:
        pause = threading.Event()
        while not pause.wait(every_seconds):
            try:
                self.refresh(home)
            except Exception as error:  # the thread must outlive whatever a file system comes up with
                logger.error("looking for promoted models failed: %s", type(error).__name__)

    def _has_changed(self, home: Path, outcome: Outcome) -> bool:
        """Whether the pointer is another than at the last look; remembered before loading, so none is lost."""
        try:
            found = (home / "released" / outcome / "current").stat()
        except OSError:
            return False
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        changed = self._seen.get(outcome) != stamp
        self._seen[outcome] = stamp
        return changed


def _load_into(fresh: dict[Outcome, Served], home: Path, outcome: Outcome) -> bool:
    """Put the release in force into ``fresh``, or say in the log why not."""
    kept = "the models before it stay in force" if outcome in fresh else "nothing is served of it"
    try:
        release = load_release(home, outcome)
        if release is None:
            return False
        fresh[outcome] = Served.of(release)
    except CemriskError as error:
        logger.error("%s: %s; %s", outcome, error, kept)
        return False
    except Exception as error:  # a bundle that is broken in a way nobody thought of must not end what is served
        logger.error("%s: the released bundle cannot be loaded (%s); %s", outcome, type(error).__name__, kept)
        return False
    logger.info("%s: version %s is served", outcome, fresh[outcome].identity["version"])
    return True


def _settle() -> None:
    """What is loaded by now stays; without this the collector walks all of it every few hundred answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
