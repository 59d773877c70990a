"""The version of the software: said once in the code and once to the packagers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import cemrisk
from features import VERSION

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_packagers_are_told_the_same_version() -> None:
    assert tomllib.loads(PROJECT.read_text())["project"]["version"] == VERSION


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cemrisk.build_parser().parse_args(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"cemrisk {VERSION}\n"
