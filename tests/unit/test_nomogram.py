"""The nomogram: what it holds, what it refuses, and that it can be drawn."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import models
from features.errors import UsageError
from models.nomogram import Nomogram, nomogram
from models.nomogram_axes import monotone_pieces, refined
from models.nomogram_svg import AXIS_WIDTH, LEFT, SIZE, drawing, wrapped
from tests.fitted import fitted
from training.nomogram_png import png

DRAWN = (
    ("leakage", "logistic", "any"),
    ("leakage", "logistic", "C"),
    ("leakage", "cox", "any"),
    ("refracture", "cox", "any"),
    ("refracture", "cox", "adjacent"),
    ("refracture", "cox", "death"),
)


@pytest.fixture(params=DRAWN, ids=["-".join(one) for one in DRAWN])
def drawn(request: pytest.FixtureRequest) -> Nomogram:
    outcome, learner, part = request.param
    return nomogram(fitted(outcome, learner), part)


def middle(found: Nomogram) -> dict[str, float]:
    """A patient whose every value has a tick."""
    return {axis.column: axis.lines[0][len(axis.lines[0]) // 2].value for axis in found.axes}


def test_points_run_from_0_to_100_and_every_axis_starts_at_0(drawn: Nomogram) -> None:
    # A turn of less than a quarter of a line is drawn straight, so an axis may start that far from 0.
    for axis in drawn.axes:
        points = [tick.points for line in axis.lines for tick in line]
        assert -1e-9 <= min(points) < 0.05
        assert axis.most <= 100 + 1e-9
    assert max(axis.most for axis in drawn.axes) == pytest.approx(100)
    assert sum(axis.most for axis in drawn.axes) <= drawn.total[-1].points


def test_a_line_never_turns_back(drawn: Nomogram) -> None:
    for axis in drawn.axes:
        for line in axis.lines if axis.kind == "continuous" else ():
            steps = np.diff([tick.points for tick in line])
            rising = steps.sum() > 0
            assert (steps if rising else -steps).min() > -0.04  # a quarter of a line
            assert (np.diff([tick.value for tick in line]) > 0).all()


def test_the_pieces_of_an_axis_cover_its_range_without_gap(drawn: Nomogram) -> None:
    for axis in drawn.axes:
        for before, after in itertools.pairwise(axis.lines):
            assert before[-1].value == after[0].value


def test_ticks_have_the_points_that_the_model_gives(drawn: Nomogram) -> None:
    row = middle(drawn)
    for axis in drawn.axes:
        for tick in (tick for line in axis.lines for tick in line):
            assert drawn.points(row | {axis.column: tick.value})[axis.column] == pytest.approx(tick.points, abs=1e-3)


def test_outcome_ticks_stand_where_the_formula_reaches_them(drawn: Nomogram) -> None:
    for tick in drawn.outcome_axis:
        assert drawn.read(tick.points) == pytest.approx(tick.value, rel=1e-9)
    assert drawn.outcome_axis[0].points == pytest.approx(0, abs=1e-6)
    assert drawn.outcome_axis[-1].points == pytest.approx(drawn.total[-1].points)


def test_what_is_approximate_says_so_on_its_face_and_nothing_else_does(drawn: Nomogram) -> None:
    exact = (drawn.outcome, drawn.part) == ("leakage", "any") or drawn.part in ("adjacent", "death")
    assert (drawn.approximation is None) == exact
    page = drawn.svg()
    assert ("APPROXIMATION" in page) != exact
    if drawn.approximation is not None:
        assert 0 < drawn.approximation.mean_error < drawn.approximation.largest_error
        assert f"{100 * drawn.approximation.mean_error:.2f} percentage points on average" in page
        assert f"by {100 * drawn.approximation.largest_error:.1f} at most" in page


def test_json_holds_all_axes_and_survives_a_round_trip(drawn: Nomogram) -> None:
    found = json.loads(json.dumps(drawn.to_dict(), allow_nan=False))
    assert [axis["column"] for axis in found["axes"]] == list(fitted(drawn.outcome, drawn.learner).columns)
    assert found["notes"] and found["quantity"]


def test_svg_is_well_formed_black_and_the_same_every_time(drawn: Nomogram) -> None:
    page = drawn.svg()
    root = ElementTree.fromstring(page)
    colours = {one.get(key) for one in root.iter() for key in ("stroke", "fill")} - {None}
    assert colours <= {"#000000", "#b8b8b8", "#ffffff"}
    assert "script" not in page and "href" not in page
    assert page == drawn.svg()


def test_labels_of_a_line_do_not_touch_and_stay_on_the_page(drawn: Nomogram) -> None:
    page = drawing(drawn)
    for group in page.groups:
        by_height: dict[float, list[tuple[float, float]]] = {}
        for words in group.words:
            width = 0.55 * SIZE * len(words.text)
            assert 0 < words.y < page.height
            if words.anchor == "middle":
                by_height.setdefault(words.y, []).append((words.x - width / 2, words.x + width / 2))
                assert words.x + width / 2 <= page.width
        for spans in by_height.values():
            ordered = sorted(spans)
            assert all(one[1] < other[0] for one, other in itertools.pairwise(ordered))


def test_everything_drawn_lies_between_the_ends_of_the_scale(drawn: Nomogram) -> None:
    for segment in (segment for group in drawing(drawn).groups for segment in group.segments):
        assert LEFT - 1 <= segment.x1 <= segment.x2 <= LEFT + AXIS_WIDTH + 1


def test_labels_come_from_the_dictionary_with_units() -> None:
    words = {words.text for group in drawing(nomogram(fitted("refracture", "cox"))).groups for words in group.words}
    assert {"Age (years)", "Body mass index (kg/m2)", "Intravertebral cleft, any level"} <= words


def test_png_is_the_same_page() -> None:
    found = nomogram(fitted("leakage", "logistic"))
    content = png(found, dots_per_inch=100)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    page = drawing(found)
    assert width / height == pytest.approx(page.width / page.height, rel=0.01)
    assert content == png(found, dots_per_inch=100)


def test_the_training_range_of_the_card_ends_the_axes() -> None:
    cox = fitted("leakage", "cox")
    alone = models.CoxRisk()
    alone.set_fitted("leakage", cox.body, cox.head)
    alone.card = models.Card("leakage", "cox", training_range={"ct_value_hu": (31.0, 144.0)})
    axis = next(axis for axis in nomogram(alone).axes if axis.column == "ct_value_hu")
    assert (axis.lines[0][0].value, axis.lines[-1][-1].value) == (31.0, 144.0)
    assert any("simulated patients" in note for note in nomogram(alone).notes)


def test_unknown_missing_and_foreign_values_are_refused_by_name() -> None:
    found = nomogram(fitted("leakage", "logistic"))
    row = middle(found)
    for wrong in ({"viscosity": np.nan}, {"viscosity": 1.5}, {"ct_value_hu": 2000.0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            found.points(row | wrong)
    with pytest.raises(UsageError, match="planned_volume_ml"):
        found.points({name: value for name, value in row.items() if name != "planned_volume_ml"})


def test_what_has_no_nomogram_is_refused() -> None:
    with pytest.raises(UsageError, match="boosted"):
        nomogram(fitted("leakage", "boosted"))
    with pytest.raises(UsageError, match="part"):
        nomogram(fitted("leakage", "cox"), "B")
    with pytest.raises(UsageError, match="horizon_days"):
        nomogram(fitted("refracture", "cox"), horizon_days=400)


def test_a_model_without_any_signal_has_nothing_to_draw() -> None:
    cox = fitted("refracture", "cox")
    head = dataclasses.replace(cox.head, slope=np.zeros(4))  # type: ignore[type-var]
    flat = models.CoxRisk()
    flat.set_fitted("refracture", cox.body, head)
    for part in ("any", "adjacent"):
        with pytest.raises(UsageError, match="same risk"):
            nomogram(flat, part)


def test_a_curve_is_cut_where_it_turns_and_wiggles_of_less_than_a_line_are_not_turns() -> None:
    x = np.linspace(-1, 1, 201)
    assert [(p.start, p.stop) for p in monotone_pieces(50 * x**2)] == [(0, 101), (100, 201)]
    assert len(monotone_pieces(50 * x + 0.01 * np.sin(40 * x) ** 2)) == 1
    assert len(monotone_pieces(np.zeros(201))) == 1
    assert len(monotone_pieces(30 * np.sin(3 * x))) == 3


def test_ticks_are_added_until_reading_between_them_is_straight() -> None:
    values = refined([0.0, 1.0, 2.0], lambda v: np.asarray(np.where(v < 1, v, 1 + 40 * (v - 1) ** 2)), 0.1)
    assert values[:2] == [0.0, 1.0]
    assert len(values) > 6


def test_words_are_wrapped_whole() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]


def test_what_the_service_would_import_is_light() -> None:
    heavy = "('pandas', 'scipy', 'sklearn', 'matplotlib', 'xgboost', 'lifelines', 'shap', 'mlflow')"
    code = f"import sys, models.nomogram, models.nomogram_svg; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
