"""docs/api.md says what the service does: its question is answered, its codes are all there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from features.rules import RULES
from serving.problem import TITLES, QuestionRejected
from serving.schema import read_question
from serving.wording import SOURCE_NOTES
from tests.service.questions import question, vertebra

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_the_questions_shown_are_valid() -> None:
    asked = [read_question(block) for block in BLOCKS if "vertebrae" in block]
    assert [one.levels for one in asked] == [["L1"]] * 2
    assert [one.moment.name for one in asked] == ["PLANNED", "POSTOP"]


def test_the_error_shown_is_the_one_that_is_sent() -> None:
    with pytest.raises(QuestionRejected) as caught:
        read_question(question(vertebra(fvah_mm=1.72)))
    shown = next(block for block in BLOCKS if "errors" in block)
    assert [fault.as_json() for fault in caught.value.faults] == shown["errors"]
    assert (str(caught.value), caught.value.code) == (shown["detail"], shown["code"])


def test_every_code_of_a_problem_and_of_a_warning_is_explained() -> None:
    warned = {rule.code for rule in RULES if rule.severity == "warn" and "disagrees" in rule.code}
    noted = {code for codes in SOURCE_NOTES.values() for code, _ in codes.values()}
    missing = [code for code in {*TITLES, *warned, *noted} if f"`{code}`" not in TEXT]
    assert missing == []
