"""docs/training.md names commands and exit codes that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cemrisk
from training.promote import AUC_ALARM, OE_LIMITS, SLOPE_LIMITS

PAGE = (Path(cemrisk.__file__).parent / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    assert cemrisk.exit_code_table() in PAGE


def test_every_command_shown_is_understood() -> None:
    shown = re.findall(r"^(?:\$ )?cemrisk ([^#\n]+)", PAGE, re.MULTILINE)
    assert len(shown) >= 7
    for command in shown:
        assert cemrisk.build_parser().parse_args(shlex.split(command)).run


def test_the_limits_of_the_gate_are_those_in_force() -> None:
    for low, high in (SLOPE_LIMITS, OE_LIMITS):
        assert f"| {low:.2f} to {high:.2f} |" in PAGE
    assert f"| at most {AUC_ALARM}:" in PAGE
