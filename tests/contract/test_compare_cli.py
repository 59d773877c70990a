"""``cemrisk compare``: the registered versions side by side, as text, JSON and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cemrisk
from tests.pages import Read, faults_of
from tests.trained import at_home, trained
from tests.versions import empty_store, register
from training.report import compare
from training.report.compare import COLUMNS
from training.tracking import Store


def run(*arguments, home: Path | None = None) -> int:
    with at_home(home or trained().home):
        return cemrisk.main(["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("compare") / "compare.html"
    assert run("--out", out) == 0
    return out.read_text(encoding="utf-8")


def test_the_page_stands_alone_and_is_well_built(page) -> None:
    assert faults_of(page) == []
    assert "Not for clinical use" in page


def test_every_number_of_the_page_is_the_metric_of_its_version(page) -> None:
    versions = [one for outcome in ("leakage", "refracture") for one in Store(trained().home).versions(outcome)]
    cells = [found for found, _ in Read(page).find("td") if "data-metric" in found]
    assert len(cells) == len(versions) * len(COLUMNS)
    for place, found in enumerate(cells):
        version = versions[place // len(COLUMNS)]
        assert float(found["data-value"]) == version.metrics[found["data-metric"]]


def test_curves_are_drawn_over_each_other_for_each_horizon(page) -> None:
    alts = [found["alt"] for found, _ in Read(page).find("img") if found["alt"].startswith("Calibration curves")]
    assert len(alts) == 1 + 3
    assert all(name in alts[0] for name in ("logistic regression", "Cox regression", "boosted trees"))


def test_every_pair_of_learners_of_a_training_has_its_paired_differences(page, capsys) -> None:
    assert run("--json") == 0
    pairs = [(one["first"], one["second"]) for one in json.loads(capsys.readouterr().out)["contrasts"]]
    assert sorted(map(sorted, pairs)) == [
        ["boosted", "cox"],
        ["boosted", "cox"],
        ["boosted", "logistic"],
        ["cox", "logistic"],
    ]
    names = [words for _, words in Read(page).find("th", scope="row")]
    assert {f"{first} - {second}" for first, second in pairs} <= set(names)


def test_json_and_text_tell_the_same_and_text_is_kept_for_the_terminal(capsys, tmp_path) -> None:
    assert run("--outcome", "leakage", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["learner"] for one in told["versions"]] == ["logistic", "cox", "boosted"]
    assert run("--outcome", "leakage") == 0
    said = capsys.readouterr().out
    for one in told["versions"]:
        assert f"{one['metrics']['auc']:.3f}" in said
    assert run("--out", tmp_path / "page.html") == 0
    assert capsys.readouterr().out == ""


def pair(first: str, second: str, value: float) -> dict:
    number = {"value": value, "lo": value - 0.01, "hi": value + 0.01}
    return {"first": first, "second": second, "metrics": {"log_loss": number, "auc": number}}


@pytest.fixture
def two_trainings(tmp_path) -> Path:
    """Two versions of an older training without a record, one of a newer one that has paired differences."""
    store = empty_store(tmp_path / "home")
    for place, learner in enumerate(("logistic", "boosted")):
        register(store, tmp_path / f"a{place}", learner=learner, training_id="older")
    newer = register(store, tmp_path / "b", training_id="newer")
    pairs = [pair("logistic", "boosted", -0.0123), pair("logistic", "boosted", -0.0123)]  # once in each record
    store.attach(newer, "validation.json", json.dumps({"contrasts": pairs}))
    return tmp_path / "home"


def test_paired_differences_are_those_of_the_newest_training(two_trainings, capsys) -> None:
    assert run(home=two_trainings) == 0
    said = capsys.readouterr().out
    assert "logistic - boosted" in said and "-0.012 (-0.022 to -0.002)" in said
    assert run("--json", home=two_trainings) == 0
    (told,) = json.loads(capsys.readouterr().out)["contrasts"]
    assert (told["training_id"], told["metrics"]["auc"]["value"]) == ("newer", -0.0123)


def test_trainings_are_not_mixed_and_the_newest_comes_first(two_trainings) -> None:
    groups = compare.trainings(Store(two_trainings), "leakage")
    assert [(one.training_id, [v.version for v in one.versions]) for one in groups] == [
        ("newer", ["3"]),
        ("older", ["1", "2"]),
    ]


def test_versions_without_curves_are_named_and_compared_all_the_same(two_trainings, tmp_path) -> None:
    out = tmp_path / "page.html"
    assert run("--out", out, home=two_trainings) == 0
    page = out.read_text(encoding="utf-8")
    assert faults_of(page) == []
    assert "No curves are kept of version 1, logistic regression, version 2, boosted trees" in page
    assert "Paired differences were not computed" in page and "-0.012 (-0.022 to -0.002)" in page


def test_what_cannot_be_done_is_said_and_nothing_is_written(tmp_path, capsys) -> None:
    assert run("--out", tmp_path / "page.docx") == 2
    assert "--out" in capsys.readouterr().err
    empty_store(tmp_path / "home")
    assert run("--out", tmp_path / "page.html", home=tmp_path / "home") == 14
    assert "nothing is trained yet" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
