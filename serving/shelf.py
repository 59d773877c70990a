"""What a worker answers from: the released models, those that are promoted while it runs, without those stopped.

Each worker has threads that look at the pointers of the releases and at the off switches, and load what has been
promoted meanwhile; questions are answered from the old models until the new ones take their place, in one step.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

from features.build import Outcome, outcomes_at
from features.errors import CemriskError
from models.release import OUTCOMES, in_force, read_bundle
from serving import files, switch
from serving.log_lines import LOGGER
from serving.schema import MOMENTS
from serving.served import Served
from serving.switch import Standing, Stop
from serving.trial import require_fit

logger = logging.getLogger(LOGGER)

LOOK_EVERY_SECONDS = 0.5
SWITCHES_EVERY_SECONDS = 0.25
#: Until a bundle is read again that could not be: a handle or rights may have been missing, and without another look
#: one worker of several would go on with other models than the rest.
AGAIN_AFTER_SECONDS = 10.0
#: Objects made, less those freed, before the collector looks for cycles: an answer makes some thousand and no cycle.
GARBAGE_THRESHOLD = 20_000


class Shelf:
    """The models in force; empty until they are loaded.

    A model that is damaged or foreign is never served. At the start it leaves the shelf empty, the service not ready;
    later what was served stays. A pointer that vanishes changes nothing: promotion replaces it, and never removes it.
    """

    def __init__(self) -> None:
        self._standing = Standing({}, {})
        self._whole: Mapping[Outcome, Served] = {}
        self._loaded: Mapping[Outcome, Served] = {}
        self._refused: Mapping[Outcome, str] = {}
        self._seen: dict[Outcome, files.Stamp] = {}
        self._again_at: dict[Outcome, float] = {}
        self._stamps: tuple[files.Stamp | None, ...] = ()
        self._stopped: Mapping[Outcome, Stop] = {}
        self._lock = threading.Lock()
        self.home: Path | None = None

    def get(self) -> Standing:
        """What is served now; the mapping itself is never changed, so an answer may hold on to it."""
        return self._standing

    def status(self) -> dict[str, Any]:
        """What the probe tells: which questions are answered, each model with its state, and why a bundle that was
        promoted is not served. Ready is what can be asked before an operation; the model for after it alone is not."""
        moments = {name: any(one in self._standing for one in outcomes_at(at)) for name, at in MOMENTS.items()}
        return {
            "ready": moments["preop"],
            "moments": moments,
            "models": {outcome: self._state(outcome) for outcome in OUTCOMES},
            "refused": dict(self._refused),
        }

    def _state(self, outcome: Outcome) -> dict[str, Any]:
        standing = self._standing
        if outcome in standing.stopped:
            return {"state": "stopped", **asdict(standing.stopped[outcome])}
        if outcome not in standing:
            return {"state": "absent"}
        identity = standing[outcome].identity
        return {"state": "serving", **{name: identity[name] for name in ("version", "learner", "sha256")}}

    def refresh(self, home: Path) -> bool:
        """Take in what was promoted, stopped or resumed under ``home``; returns whether other models answer now."""
        before = self._standing
        self.look_at_releases(home)
        self.look_at_switches(home)
        return before != self._standing

    def look_at_releases(self, home: Path) -> None:
        """Load what was promoted since the last look; takes as long as a trial of a bundle does."""
        if self._load_promoted(home):
            self._stand()

    def look_at_switches(self, home: Path) -> None:
        """Take in what was stopped or resumed since the last look; quick enough to be called by a route."""
        self.home = home
        stamps = switch.stamps(home)
        if stamps != self._stamps:
            stopped = switch.stops(home)
            _log_switched(self._stopped, stopped)
            self._stamps, self._stopped = stamps, stopped
            self._stand()

    def _stand(self) -> None:
        with self._lock:  # the threads that look, and a route that has just stopped a model
            self._standing = Standing(self._whole, self._stopped)

    def _load_promoted(self, home: Path) -> bool:
        changed = [outcome for outcome in OUTCOMES if self._has_changed(home, outcome)]
        fresh, refused = dict(self._loaded), dict(self._refused)
        taken = [outcome for outcome in changed if self._load_into(fresh, refused, home, outcome)]
        self._refused = refused
        if not taken:
            return False
        self._loaded = fresh
        whole = all(outcome in fresh for outcome in self._seen)
        if not whole and not self._whole:  # half of the models, as if the other had never been released, would mislead
            return False
        self._whole = fresh
        _settle()
        return True

    def follow(self, home: Path) -> None:
        """Look from now on in threads that end with the process; two, so that a trial does not delay an off switch."""
        looks = (self.look_at_releases, LOOK_EVERY_SECONDS), (self.look_at_switches, SWITCHES_EVERY_SECONDS)
        for look, seconds in looks:
            threading.Thread(target=_follow, args=(look, home, seconds), name=look.__name__, daemon=True).start()

    def _has_changed(self, home: Path, outcome: Outcome) -> bool:
        """Whether the pointer is another than at the last look, or what it named could not be read then.

        Remembered before loading, so that no change is lost.
        """
        try:
            stamp = files.stamp(home / "released" / outcome / "current")
        except OSError:
            return False
        if stamp is None:
            return False
        changed = self._seen.get(outcome) != stamp or time.monotonic() >= self._again_at.get(outcome, inf)
        self._seen[outcome] = stamp
        return changed

    def _load_into(
        self, fresh: dict[Outcome, Served], refused: dict[Outcome, str], home: Path, outcome: Outcome
    ) -> bool:
        """Put the release in force into ``fresh``, or say in the log and in ``refused`` why not."""
        before = refused.get(outcome)
        self._again_at.pop(outcome, None)
        kept = "the models before it stay in force" if outcome in fresh else "nothing is served of it"
        try:
            pointed = in_force(home, outcome)
            if pointed is None:
                return False
            require_fit(home, outcome, pointed)
            fresh[outcome] = Served.of(read_bundle(home, outcome, pointed))
        except CemriskError as error:
            refused[outcome] = f"{error}; {kept}"
            self._look_again(outcome, error.__cause__)
        except Exception as error:  # a bundle that is broken in a way nobody thought of must not end what is served
            refused[outcome] = f"the released bundle cannot be loaded ({type(error).__name__}); {kept}"
            self._look_again(outcome, error)
        else:
            refused.pop(outcome, None)
            logger.info("%s: version %s is served", outcome, fresh[outcome].identity["version"])
            return True
        if refused[outcome] != before:
            logger.error("%s: %s", outcome, refused[outcome])
        return False

    def _look_again(self, outcome: Outcome, why: BaseException | None) -> None:
        """Soon, if what failed was the reading; a verdict stands until something else is promoted."""
        if isinstance(why, OSError):
            self._again_at[outcome] = time.monotonic() + AGAIN_AFTER_SECONDS


def _follow(look: Callable[[Path], None], home: Path, every_seconds: float) -> None:
    pause = threading.Event()
    while not pause.wait(every_seconds):
        try:
            look(home)
        except Exception as error:  # the thread must outlive whatever a file system comes up with
            logger.error("%s failed: %s", look.__name__, type(error).__name__)


def _log_switched(before: Mapping[Outcome, Stop], after: Mapping[Outcome, Stop]) -> None:
    for outcome in sorted({*before, *after}):
        if outcome not in after:
            logger.warning("%s: answers again", outcome)
        elif after[outcome] != before.get(outcome):
            logger.warning("%s: stopped", outcome)


def _settle() -> None:
    """What is loaded by now stays; without this the collector walks all of it every few hundred answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
