"""The state of the cement at injection: stated, by stage, by product and minutes; and the catalogue behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features import cement
from features.cement_catalogue import CEMENTS, ISO_5833_COMPRESSIVE_STRENGTH_MPA
from features.dictionary import VARIABLES
from tests.builders import columns

LOW, MEDIUM, HIGH = 0.0, 1.0, 2.0


def _state(**facts: str | float | None) -> tuple[float, str | None]:
    found = cement.viscosity(columns({"age_years": 70.0, **facts}))
    return float(found.value[0]), found.source[0]


@pytest.mark.parametrize("stated, code", [("low", LOW), ("medium", MEDIUM), ("high", HIGH)])
def test_a_stated_viscosity_beats_stage_and_product(stated: str, code: float) -> None:
    facts = {"planned_injection_stage": "toothpaste", "cement_product_id": "kyphon-hv-r"}
    assert _state(planned_viscosity=stated, **facts) == (code, "planned_viscosity")


@pytest.mark.parametrize(
    "stage, code",
    [("wire-drawing", LOW), ("toothpaste", MEDIUM), ("dough", HIGH), ("staged dough then wire-drawing", HIGH)],
)
def test_the_stage_beats_the_product(stage: str, code: float) -> None:
    assert _state(planned_injection_stage=stage, cement_product_id="osteopal-v") == (code, "planned_injection_stage")


@pytest.mark.parametrize(
    "product, code, source",
    [
        ("alliment", MEDIUM, "product_class"),
        ("eurofix-vtp", LOW, "product_class"),
        ("kyphon-hv-r", HIGH, "product_class"),
        ("osteopal-v", math.nan, "product_conflict"),
        ("kyphon-xpede", math.nan, "product_conflict"),
        ("bonesource", math.nan, "not_pmma"),
        ("orthocomp", math.nan, "not_pmma"),
        ("other", math.nan, "product_unknown"),
        (None, math.nan, None),
    ],
)
def test_the_product_is_the_last_resort_and_may_say_nothing(
    product: str | None, code: float, source: str | None
) -> None:
    found, said = _state(cement_product_id=product)
    assert said == source and found == pytest.approx(code, nan_ok=True)


@pytest.mark.parametrize(
    "product, minutes, temperature, code, source",
    [
        ("vertebroplastic", 2.0, None, LOW, "product_class"),
        ("vertebroplastic", 3.5, None, LOW, "product_at_minutes"),
        ("vertebroplastic", 9.4, 23.0, LOW, "product_at_minutes"),
        ("vertebroplastic", 9.5, 23.0, MEDIUM, "product_at_minutes"),
        ("vertebroplastic", 12.0, None, MEDIUM, "product_at_minutes"),
        ("vertebroplastic", 12.0, 18.0, LOW, "product_class"),
        ("vertebroplastic", 12.0, 28.0, LOW, "product_class"),
        ("confidence", 6.5, 23.0, HIGH, "product_at_minutes"),
        ("eurofix-vtp", 12.0, 23.0, LOW, "product_class"),
        ("osteopal-v", 9.5, 23.0, math.nan, "product_conflict"),
    ],
)
def test_minutes_count_only_where_they_were_measured(
    product: str, minutes: float, temperature: float | None, code: float, source: str
) -> None:
    facts = {"planned_minutes_after_mixing": minutes, "room_temperature_c": temperature}
    found, said = _state(cement_product_id=product, **facts)
    assert said == source and found == pytest.approx(code, nan_ok=True)


def test_rows_do_not_mix() -> None:
    found = cement.viscosity(
        columns(
            {"planned_viscosity": "low"},
            {"planned_injection_stage": "dough"},
            {"cement_product_id": "alliment"},
            {"cement_product_id": "osteopal-v"},
            {"age_years": 70.0},
        )
    )
    np.testing.assert_array_equal(found.value, [LOW, HIGH, MEDIUM, np.nan, np.nan])
    sources = ["planned_viscosity", "planned_injection_stage", "product_class", "product_conflict", None]
    assert found.source.tolist() == sources
    assert {source for source in sources if source} < set(VARIABLES["viscosity_source"].choices)


def test_nothing_said_nothing_known() -> None:
    found = cement.viscosity(columns({"age_years": 70.0}))
    assert np.isnan(found.value).all() and found.source.tolist() == [None]


@pytest.mark.parametrize("product", CEMENTS)
def test_a_product_without_a_class_says_why_and_the_others_do_not_conflict(product: str) -> None:
    known = CEMENTS[product]
    assert known.source and known.maker and known.material
    if known.viscosity is None:
        assert known.conflict or not known.is_pmma
    else:
        assert not known.conflict and known.is_pmma and known.viscosity in cement.VISCOSITY_CODES
    assert list(known.timed) == sorted(known.timed)
    codes = [cement.VISCOSITY_CODES[state] for _, state in known.timed]
    assert codes == sorted(codes), "cement does not thin with time"


def test_stages_and_codes_are_those_of_the_dictionary() -> None:
    assert tuple(cement.STAGE_VISCOSITY) == VARIABLES["planned_injection_stage"].choices
    assert tuple(cement.VISCOSITY_CODES) == VARIABLES["planned_viscosity"].choices


def test_the_bench_figures_of_feng_2022() -> None:
    alliment, osteopal = CEMENTS["alliment"], CEMENTS["osteopal-v"]
    assert (alliment.compressive_strength_mpa, osteopal.compressive_strength_mpa) == (88.39, 87.0)
    assert (alliment.bending_strength_mpa, osteopal.bending_strength_mpa) == (55.58, 58.0)
    assert (alliment.bending_modulus_mpa, osteopal.bending_modulus_mpa) == (3279.32, 3100.0)
    tested = [c.compressive_strength_mpa for c in CEMENTS.values() if c.compressive_strength_mpa is not None]
    assert min(tested) >= ISO_5833_COMPRESSIVE_STRENGTH_MPA
