"""What a training says of versions that may not be released, and of one that is too good to be true."""

from __future__ import annotations

from dataclasses import replace

from tests.versions import version
from training.fit import Report, Trained
from training.promote import AUC_ALARM
from training.tables import training_text
from training.tracking import Version


def said(*versions: Version, challenger: Version | None = None) -> str:
    trained = Trained("leakage", "t", 10, 9, {"any": 3}, {}, list(versions), challenger)
    return training_text(Report(10, 10, 0, [trained]))


def test_without_a_challenger_each_version_says_what_it_lacks() -> None:
    text = said(version("1", patients=300.0), version("2", patients=300.0, oe=2.0))
    assert "version 1 (logistic): number of patients is 300, asked >= 4,000\n" in text
    assert "version 2 (logistic): observed / expected is 2, asked 0.85 to 1.18; number of patients is 300" in text
    assert "cemrisk promote" not in text


def test_an_auc_that_is_too_good_is_an_alarm_and_another_is_not() -> None:
    good = version("1")
    assert "***" not in said(good, challenger=good)
    text = said(good, version("2", auc=AUC_ALARM + 0.01), challenger=good)
    assert "*** version 2 (logistic): an AUC above 0.85 is an alarm, not a success" in text
    assert "cemrisk promote leakage 1" in text


def test_the_head_says_how_the_numbers_were_made() -> None:
    assert "cross-validated by patient" in said(version("1"))
    assert "bootstrap-corrected by patient" in said(replace(version("1"), validation="bootstrap"))
