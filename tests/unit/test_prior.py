"""The file of published effects: what it holds, and what is said of one that is not right."""

from __future__ import annotations

import copy
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from features.build import PREDICTORS
from features.errors import InputRejected, UsageError
from models.design import fit_design
from models.prior import PARTS, Prior, asked_for
from tests.fitted import training_cohort

FILE = Path("models/priors/published.yaml")


def _tree() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def test_the_published_prior_states_every_column_of_every_part_but_death() -> None:
    prior = Prior.load("published")
    for outcome, parts in PARTS.items():
        names = {
            name for p in PREDICTORS[outcome] for name in ([f"{p.name}.{level}" for level in p.levels[1:]] or [p.name])
        }
        for part in parts:
            assert set(prior.effects[outcome][part]) == (names if part != "death" else {"age_years", "female"})


def test_means_and_spreads_follow_from_the_printed_ratios_and_intervals() -> None:
    tree, prior = _tree(), Prior.load("published")
    row = tree["effects"]["leakage"]["any"]["cortical_disruption"]
    effect = prior.effects["leakage"]["any"]["cortical_disruption"]
    assert effect.mean == pytest.approx(row["keep"] * math.log(5.56))
    standard_error = (math.log(16.81) - math.log(1.84)) / 3.92
    assert effect.sd == pytest.approx(math.hypot(standard_error, tree["transport"] * effect.mean), rel=1e-3)
    assert "Zhan 2017" in effect.origin and "1.84 to 16.81" in effect.origin
    several = prior.effects["refracture"]["any"]["treated_count"]
    assert several.mean == pytest.approx(0.6 * math.log(2.027) / 1.2)


def test_no_effect_is_larger_than_what_was_printed_and_every_source_is_used_or_named() -> None:
    tree = _tree()
    used, reasons = set(), []
    for parts in tree["effects"].values():
        for rows in parts.values():
            for row in rows.values():
                used |= {row["source"]} if "source" in row else set()
                reasons.append(row.get("why", ""))
    text = " ".join(reasons)
    assert all(name in used or name in text for name in tree["sources"])


def test_a_term_of_the_design_gets_its_effect_in_its_own_units() -> None:
    prior, matrix = Prior.load("published"), training_cohort("leakage").matrix
    design = fit_design("leakage", matrix.values)
    mean, sd = prior.terms("leakage", "any", design)
    columns = [term.column for term in design.terms]
    stated = prior.effects["leakage"]["any"]
    for column in ("cortical_disruption", "planned_volume_ml", "ct_value_hu"):
        first = design.first_terms[columns.index(column)]
        assert mean[first] == pytest.approx(stated[column].mean * design.scale[first])
        assert sd[first] == pytest.approx(stated[column].sd * design.scale[first])
    levels = design.first_terms[columns.index("viscosity")]
    assert mean[levels + 1] == pytest.approx(stated["viscosity.high"].mean * design.scale[levels + 1])
    curved = design.first_terms[columns.index("ct_value_hu")] + np.array([1, 2])
    assert (mean[curved] == 0).all() and (sd[curved] == prior.curve_sd).all()


def _without(path: str) -> Any:
    def change(tree: dict[str, Any]) -> None:
        *way, last = path.split("/")
        for step in way:
            tree = tree[step]
        del tree[last]

    return change


def _with(path: str, value: Any) -> Any:
    def change(tree: dict[str, Any]) -> None:
        *way, last = path.split("/")
        for step in way:
            tree = tree[step]
        tree[last] = value

    return change


_ROW = "effects/leakage/any/cortical_disruption"


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        (_without("curve_sd"), "curve_sd", "is missing"),
        (_with("colour", 1), "colour", "is not known"),
        (_with("transport", -1), "transport", "above 0"),
        (_with("unlisted_sd", float("nan")), "unlisted_sd", "above 0"),
        (_with("unlisted_sd", 0), "unlisted_sd", "above 0"),
        (_with("sources", []), "sources", "a table"),
        (_with("effects", {}), "effects", "a table"),
        (_with("effects/embolism", {}), "effects.embolism", "is no outcome"),
        (_without("effects/leakage/B"), "effects.leakage", "exactly the parts"),
        (_with("effects/leakage/any", 3), "effects.leakage.any", "a table of columns"),
        (_with("effects/leakage/any/bone", {"assumed": 0, "sd": 1, "why": "x"}), "effects.leakage.any.bone", "column"),
        (_without(f"{_ROW}/low"), _ROW.replace("/", "."), "are expected"),
        (_with(f"{_ROW}/ratio", "5.56"), _ROW.replace("/", "."), "must be numbers"),
        (_with(f"{_ROW}/ratio", True), _ROW.replace("/", "."), "must be numbers"),
        (_with(f"{_ROW}/low", 6.0), _ROW.replace("/", "."), "low <= ratio"),
        (_with(f"{_ROW}/keep", 1.2), _ROW.replace("/", "."), "keep from 0 to 1"),
        (_with(f"{_ROW}/per", 0), _ROW.replace("/", "."), "per above 0"),
        (_without(f"{_ROW}/why"), _ROW.replace("/", "."), "needs a why"),
        (_with(f"{_ROW}/source", "Nobody 1900"), _ROW.replace("/", "."), "not among the sources"),
        (_with("effects/leakage/any/detection/sd", 0), "effects.leakage.any.detection", "sd must be above 0"),
    ],
)
def test_a_wrong_field_is_named(change: Any, place: str, said: str) -> None:
    tree = copy.deepcopy(_tree())
    change(tree)
    with pytest.raises(InputRejected) as refused:
        Prior.of(tree, "")
    assert any(f.variable == place and said in f.detail for f in refused.value.findings), refused.value.findings


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"just words", b""])
def test_a_file_that_is_no_prior_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prior.yaml"
    path.write_bytes(content)
    with pytest.raises(InputRejected, match="prior"):
        Prior.load(path)


def test_a_file_that_is_not_there_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="give a file, or the word published"):
        Prior.load(tmp_path / "nowhere.yaml")
    with pytest.raises(InputRejected, match="1 MiB"):
        (tmp_path / "large.yaml").write_bytes(b"#" * (2**20 + 1))
        Prior.load(tmp_path / "large.yaml")


def test_no_prior_is_the_default_and_one_without_the_outcome_is_wrong_usage(tmp_path: Path) -> None:
    assert asked_for(None, ("leakage", "refracture")) is None
    tree = _tree()
    del tree["effects"]["refracture"]
    path = tmp_path / "leakage_only.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert asked_for(str(path), ("leakage",)) is not None
    with pytest.raises(UsageError, match="no effects on refracture"):
        asked_for(str(path), ("leakage", "refracture"))


def test_the_card_shows_each_effect_with_its_source() -> None:
    described = Prior.load("published").described("leakage")
    assert described["sha256"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert "Tang 2021" in described["effects"]["S"]["intravertebral_cleft"]["from"]
    assert described["effects"]["any"]["detection"]["from"].startswith("assumed: ")
