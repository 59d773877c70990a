"""Broken walls: every witness is heard, a report of a break decides, a denial of it is called a contradiction."""

from __future__ import annotations

import math

import pytest

from features import cortical_breach as cb
from features.derived import Columns, Derived
from features.dictionary import VARIABLES, Value
from tests.builders import columns

UNKNOWN = (math.nan, None)


def _one(found: Derived) -> tuple[float, str | None]:
    return float(found.value[0]), found.source[0]


def _row(**facts: Value | None) -> Columns:
    return columns({"age_years": 70.0, **facts})


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({}, UNKNOWN),
        ({"cortical_disruption": True}, (1, "cortical_disruption")),
        ({"cortical_disruption": False}, (0, "cortical_disruption")),
        ({"cortical_disruption_site": frozenset({"anterior"})}, (1, "cortical_disruption_site")),
        ({"cortical_disruption": True, "cortical_disruption_site": None}, (1, "cortical_disruption")),
        ({"cortical_disruption": False, "cortical_disruption_site": frozenset({"posterior"})}, (1, "contradiction")),
        ({"cortical_disruption": False, "endplate_disruption": "upper"}, (1, "contradiction")),
        ({"endplate_disruption": "both"}, (1, "endplate_disruption")),
        ({"posterior_wall_defect": "retropulsion"}, (1, "posterior_wall_defect")),
        ({"endplate_disruption": "none", "posterior_wall_defect": "intact"}, UNKNOWN),
    ],
)
def test_any_breach(facts: dict[str, Value | None], expected: tuple[float, str | None]) -> None:
    assert _one(cb.any_breach(_row(**facts))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"endplate_disruption": "lower"}, (1, "endplate_disruption")),
        ({"endplate_disruption": "none"}, (0, "endplate_disruption")),
        ({"cortical_disruption_site": frozenset({"superior_endplate", "anterior"})}, (1, "cortical_disruption_site")),
        ({"cortical_disruption_site": frozenset({"anterior"})}, (0, "cortical_disruption_site")),
        ({"cortical_disruption": False}, (0, "cortical_disruption")),
        ({"cortical_disruption": True}, UNKNOWN),
        (
            {"endplate_disruption": "none", "cortical_disruption_site": frozenset({"inferior_endplate"})},
            (1, "contradiction"),
        ),
        ({"endplate_disruption": "upper", "cortical_disruption": False}, (1, "contradiction")),
    ],
)
def test_endplate_breach(facts: dict[str, Value | None], expected: tuple[float, str | None]) -> None:
    assert _one(cb.endplate_breach(_row(**facts))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"posterior_wall_defect": "breached_no_retropulsion"}, (1, "posterior_wall_defect")),
        ({"posterior_wall_defect": "intact"}, (0, "posterior_wall_defect")),
        ({"cortical_disruption_site": frozenset({"posterior"})}, (1, "cortical_disruption_site")),
        (
            {"posterior_wall_defect": "intact", "cortical_disruption_site": frozenset({"posterior"})},
            (1, "contradiction"),
        ),
        ({"cortical_disruption": True}, UNKNOWN),
    ],
)
def test_posterior_wall_breach(facts: dict[str, Value | None], expected: tuple[float, str | None]) -> None:
    assert _one(cb.posterior_wall_breach(_row(**facts))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"cortical_disruption_site": frozenset({"lateral_left"})}, (1, "cortical_disruption_site")),
        ({"cortical_disruption_site": frozenset({"posterior"})}, (0, "cortical_disruption_site")),
        ({"cortical_disruption": False}, (0, "cortical_disruption")),
        ({"posterior_wall_defect": "retropulsion"}, UNKNOWN),
    ],
)
def test_anterior_lateral_breach(facts: dict[str, Value | None], expected: tuple[float, str | None]) -> None:
    assert _one(cb.anterior_lateral_breach(_row(**facts))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seen, value", [("enlarged", 1), ("normal", 0), ("not_seen", 0), (None, math.nan)])
def test_the_basivertebral_foramen(seen: str | None, value: float) -> None:
    found = cb.basivertebral_foramen_enlarged(_row(basivertebral_foramen=seen))
    assert found.value.tolist() == pytest.approx([value], nan_ok=True)


def test_every_site_belongs_to_exactly_one_wall() -> None:
    parts = [cb.ENDPLATE_SITES, cb.POSTERIOR_SITES, cb.ANTERIOR_LATERAL_SITES]
    assert sorted(site for part in parts for site in part) == sorted(VARIABLES["cortical_disruption_site"].choices)
