"""``cemrisk report``: one page that stands alone, says what MLflow says, and tells of nobody."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

import cemrisk
from tests.pages import Read, faults_of
from tests.trained import CANARIES, CANARY_CENTRE, CANARY_PATIENT, at_home, trained
from tests.versions import empty_store
from training.report import tripod
from training.report.words import METRICS
from training.tracking import Store, Version

VERSIONS = [("leakage", "1"), ("leakage", "2"), ("leakage", "3"), ("refracture", "1"), ("refracture", "2")]


def run(*arguments) -> int:
    with at_home(trained().home):
        return cemrisk.main(["report", *map(str, arguments)])


@cache
def store() -> Store:
    return Store(trained().home)


@cache
def text_of(outcome: str, number: str) -> str:
    out = trained().home.parent / f"{outcome}-{number}.html"
    assert run(outcome, number, "--out", out) == 0
    return out.read_text(encoding="utf-8")


@pytest.fixture(params=VERSIONS, ids="-".join)
def version(request) -> Version:
    return store().version(*request.param)


@pytest.fixture
def page(version) -> str:
    return text_of(version.outcome, version.version)


def test_it_stands_alone_and_is_well_built(page) -> None:
    assert faults_of(page) == []


def test_every_number_of_its_tables_is_the_metric_of_the_run(version, page) -> None:
    cells = [found for found in Read(page).find("td") if "data-metric" in found[0]]
    shown = {found["data-metric"]: (float(found["data-value"]), words) for found, words in cells}
    ends = [""] if version.outcome == "leakage" else ["_m3", "_m12", "_m24"]
    wanted = {name for _, group in METRICS for name, _, _ in group} - {"concordance_uno"}
    assert {name + end for name in wanted for end in ends} <= set(shown)
    for name, (value, words) in shown.items():
        assert value == version.metrics[name]
        numbers = [float(one) for one in re.findall(r"-?\d+\.\d+", words)]
        bounds = [version.metrics[name + end] for end in ("", "_lo", "_hi") if name + end in version.metrics]
        assert numbers == pytest.approx(bounds, abs=5.1e-4), name


def test_calibration_comes_before_discrimination(page) -> None:
    names = [found["data-metric"] for found, _ in Read(page).find("td") if "data-metric" in found]
    for end in {name.removeprefix("auc") for name in names if name.startswith("auc")} & {"", "_m12"}:
        assert names.index(f"calibration_slope{end}") < names.index(f"auc{end}")


def test_every_tripod_item_is_there_and_points_to_a_section_or_says_who_must_answer(page) -> None:
    read = Read(page)
    rows = [(found["data-item"], words) for found, words in read.find("tr") if "data-item" in found]
    assert [number for number, _ in rows] == [item.number for item in tripod.ITEMS]
    ids = {found["id"] for found, _ in read.find("section")} | {"top"}
    for item in tripod.ITEMS:
        assert item.section in ids | {""}
        assert item.section or item.rest


def test_it_says_that_it_is_not_for_clinical_use(page) -> None:
    (notice,) = [words for _, words in Read(page).find("p", role="note")]
    assert "Not for clinical use" in notice


def test_it_holds_nothing_of_a_patient(page) -> None:
    held = [one for one in (*chain.from_iterable(CANARIES.values()), CANARY_PATIENT, CANARY_CENTRE) if one in page]
    assert held == []
    assert "SIM-" not in page


def test_the_flow_counts_every_row(version, page) -> None:
    read, rejected, accepted = (
        int(re.search(rf"{what}[^:]*: (\d+)", page_words(page))[1]) for what in ("Rows read", "Rejected by", "Accepted")
    )
    assert (read, accepted) == (trained().report["read"], trained().report["accepted"])
    assert read == rejected + accepted


def page_words(page: str) -> str:
    return " ".join(words.replace(",", "") for _, words in Read(page).find("li"))


def test_pictures_and_tables_fit_the_learner(version, page) -> None:
    alts = " ".join(found["alt"] for found, _ in Read(page).find("img"))
    assert ("Nomogram" in alts) == (version.learner != "boosted")
    assert ("SHAP" in alts) == (version.learner == "boosted")
    assert ("Kaplan-Meier" in alts) == (version.outcome == "refracture")
    ratio = "Odds ratio" if version.learner == "logistic" else "Hazard ratio"
    assert (ratio in page) == (version.learner != "boosted")


def test_the_run_keeps_its_report(version) -> None:
    kept = store().document(version, "report.html")
    assert kept is not None
    assert faults_of(kept.decode()) == []


def test_without_a_version_the_champion_is_meant(tmp_path, capsys) -> None:
    champion = store().by_alias("leakage", "champion")
    assert run("leakage", "--out", tmp_path / "page.html") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"leakage version {champion.version} ({champion.learner})" in said.err


@pytest.mark.parametrize(
    ("aliases", "which", "number"), [((), "the newest version", "3"), (("challenger",), "the challenger", "1")]
)
def test_without_a_champion_it_is_said_which_version_it_is(
    aliases, which, number, tmp_path, capsys, monkeypatch
) -> None:
    known = Store.versions

    def demoted(self: Store, outcome: str) -> list[Version]:
        return [replace(one, aliases=aliases if one.version == "1" else ()) for one in known(self, outcome)]

    monkeypatch.setattr(Store, "versions", demoted)
    assert run("leakage", "--out", tmp_path / "page.html") == 0
    said = capsys.readouterr().err
    assert f"no version of leakage is champion yet: this is {which}" in said
    assert f"leakage version {number} (" in said
    assert run("leakage", "2", "--out", tmp_path / "page.html") == 0
    assert "no version of" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["leak"], "the outcome must be one of"),
        (["leakage", "99"], "has no version 99"),
        (["leakage", "1", "--out", "page.pdf"], "--out"),
    ],
)
def test_what_does_not_exist_is_wrong_usage_and_an_older_page_stays(arguments, says, tmp_path, capsys) -> None:
    old = tmp_path / "page.html"
    old.write_text("before")
    assert run(*arguments, *([] if "--out" in arguments else ["--out", old])) == 2
    assert says in capsys.readouterr().err
    assert old.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]


def test_a_folder_that_is_not_there_is_said(tmp_path, capsys) -> None:
    assert run("leakage", "1", "--out", tmp_path / "no" / "page.html") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_nothing_trained_is_said(tmp_path, capsys) -> None:
    empty_store(tmp_path / "home")
    with at_home(tmp_path / "home"):
        assert cemrisk.main(["report", "leakage", "--out", str(tmp_path / "page.html")]) == 14
    assert "nothing is trained for leakage yet" in capsys.readouterr().err
    assert not Path(tmp_path / "page.html").exists()
