"""Clients that ask all the time, and what must be true of every answer that they got, whatever happened meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from features.build import Outcome
from models.release import find_release
from serving.answer import answer
from serving.query_log import LogSettings
from serving.query_log.keys import read_keys
from serving.query_log.store import open_to_read
from serving.schema import read_question
from serving.served import Served
from tests.service import logged
from tests.service.questions import patient, question

#: What clients ask: patients who differ in one number.
QUESTIONS = [question(patient(t_score=-1.5 - number / 10)) for number in range(12)]
PAUSE_AFTER_FAILURE_SECONDS = 0.01
PATIENCE_SECONDS = 15


@dataclass
class Load:
    """What the clients met. ``answers``: which question, the body, and when; ``ends``: how other requests ended.

    An end is a status, or ``refused`` (no connection), or ``cut`` (a connection, but no whole answer).
    """

    url: str
    answers: list[tuple[int, bytes, float]] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)

    def next_answer_after(self, moment: float) -> float:
        """Seconds until the first answer to a question asked after the moment; waits for it."""
        until = time.monotonic() + PATIENCE_SECONDS * 2
        while time.monotonic() < until:
            later = [at for _, _, at in self.answers[-400:] if at > moment]
            if later:
                return min(later) - moment
            time.sleep(0.005)
        raise AssertionError("nothing was answered any more")

    def longest_pause_since(self, moment: float) -> float:
        """Seconds between two answers that followed each other, or the moment and the first."""
        times = [moment, *sorted(at for _, _, at in self.answers if at > moment)]
        return max(after - before for before, after in itertools.pairwise(times))

    def client(self, number: int) -> None:
        """One client: on a connection that it keeps, or for every third client a new one for each question."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = None
        while not self.stopping.is_set():
            number += 1
            which = number % len(QUESTIONS)
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)
                    connection.connect()
            except OSError:
                if connection is not None:
                    connection.close()
                connection = None
                self._failed("refused")
                continue
            connection = self._ask(connection, which)
            if connection is not None and number % 3 == 0:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, which: int) -> http.client.HTTPConnection | None:
        """The connection if it can be used again."""
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", "/v1/risk", json.dumps(QUESTIONS[which]), headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._failed("cut")
            return None
        if response.status == 200:
            self.answers.append((which, body, time.monotonic()))
        else:
            self._failed(str(response.status))
        if response.will_close:
            connection.close()
            return None
        return connection

    def _failed(self, how: str) -> None:
        self.ends[how] += 1
        time.sleep(PAUSE_AFTER_FAILURE_SECONDS)


@contextlib.contextmanager
def load(url: str, clients: int = 4) -> Iterator[Load]:
    """Clients that ask until the end of the block."""
    found = Load(url)
    threads = [threading.Thread(target=found.client, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stopping.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS * 2)


def check(found: Load, home: Path) -> dict[str, int]:
    """Assert that every answer is in the log as it was sent, that the log is whole, and that no answer is wrong.

    Right is what the models that the answer names say offline, in every bit. Returns how many of what were checked.
    """
    place = LogSettings.of(home, {})
    keys = read_keys(place.key)
    verdict = logged.verdict(place, keys)
    assert verdict.faults == [], verdict.faults
    with contextlib.closing(open_to_read(place)) as store:
        records = {row.id: json.loads(row.content) for row in store.rows()}
    oracle = Oracle(home)
    unlogged = wrong = 0
    for which, body, _ in found.answers:
        sent = json.loads(body)
        record = records.get(sent["request_id"])
        unlogged += record is None or record["answer"] != keys.hash("answer", body)
        wrong += body != oracle.answer(which, sent)
    assert (unlogged, wrong) == (0, 0)
    return {"answers": len(found.answers), "records": len(records), "versions": oracle.versions}


class Oracle:
    """What the released models answer, computed here and once for each question and set of models."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._served: dict[str, Mapping[Outcome, Served]] = {}
        self._known: dict[tuple[int, str], dict[str, Any]] = {}

    @property
    def versions(self) -> int:
        """How many sets of models have answered."""
        return len(self._served)

    def answer(self, which: int, sent: Mapping[str, Any]) -> bytes:
        """The answer of the models that ``sent`` names, with its id and time."""
        models = json.dumps(sent["models"], sort_keys=True)
        if models not in self._served:
            self._served[models] = {name: self._load(name, one) for name, one in sent["models"].items()}
        if (which, models) not in self._known:
            self._known[which, models] = answer(read_question(QUESTIONS[which]), self._served[models], "", "")
        own = {"request_id": sent["request_id"], "answered_at": sent["answered_at"]}
        return orjson.dumps({**self._known[which, models], **own})

    def _load(self, outcome: Outcome, identity: Mapping[str, Any]) -> Served:
        digests = {learner: one["sha256"] for learner, one in identity["by_learner"].items()}
        return Served.of(find_release(self._home, outcome, identity["sha256"], identity["version"], digests))
