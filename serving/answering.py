"""The one way from a question to an answer that may be sent: whoever answers, by whichever route, goes through here.

An answer is computed, its record is put into the query log, and only then is it given to the route:

    found = await one(question, served, log, "/v1/risk", key_id)
    return Response(found.sent)              # or another form of found.answer

``log`` is None only where an application is made without a log, as tests do; the service always has one.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from features.build import Outcome
from serving import switch
from serving.answer import answer
from serving.query_log import Answered, QueryLog
from serving.schema import read_question
from serving.served import Served


async def one(
    question: Any, served: Mapping[Outcome, Served], log: QueryLog | None, route: str, key_id: str | None = None
) -> Answered:
    """The answer to a question in the form of ``/v1/risk``, with its record in the log.

    Raises ``QuestionRejected`` or ``NotReady`` if there is no answer, ``LogUnavailable`` if it could not be logged.
    """
    found = computed(question, served, route, key_id)
    await keep([found], log)
    return found


def computed(question: Any, served: Mapping[Outcome, Served], route: str, key_id: str | None = None) -> Answered:
    """An answer that must not be sent yet: for several at once, which are then kept together."""
    answered_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    asked = read_question(question)
    refusal = switch.refusal(served, asked.moment)
    if refusal is not None:
        raise refusal
    found = answer(asked, served, uuid.uuid4().hex, answered_at)
    switch.say(found, served)
    return Answered(question, found, orjson.dumps(found), route, key_id)


async def keep(answered: list[Answered], log: QueryLog | None) -> None:
    """Return when all have their records: now they may be sent. Raises ``LogUnavailable``: then none may."""
    if log is not None:
        await log.keep(*answered)
