"""The report in a real browser: nothing that axe objects to, nothing asked of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

import cemrisk
from tests.browser import chromium
from tests.browser.axe import violations
from tests.trained import at_home, trained

pytestmark = chromium.NEEDED


@pytest.mark.parametrize(("outcome", "version"), [("leakage", "1"), ("leakage", "3"), ("refracture", "1")])
def test_the_report_can_be_read_by_everybody(outcome: str, version: str, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with at_home(trained().home):
        assert cemrisk.main(["report", outcome, version, "--out", str(out)]) == 0
    assert violations(out) == []


def test_the_comparison_can_be_read_by_everybody(tmp_path: Path) -> None:
    out = tmp_path / "compare.html"
    with at_home(trained().home):
        assert cemrisk.main(["compare", "--out", str(out)]) == 0
    assert violations(out) == []


def test_axe_would_object(tmp_path: Path) -> None:
    out = tmp_path / "bad.html"
    out.write_text("<html><body><img src='x.png'><p style='color:#ddd'>pale</p></body></html>")
    assert len(violations(out)) >= 3
