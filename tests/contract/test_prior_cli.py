"""`cemrisk train --prior` as a user runs it: what is kept of it, and what a wrong file is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cemrisk
from models import load
from models.prior import PUBLISHED, Prior
from tests.exports import row, write_flat
from tests.trained import at_home, trained
from training.simulate import command
from training.tracking import Store

PATIENTS = 260


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What a training of a small registry from the published prior left."""
    place = tmp_path_factory.mktemp("prior")
    command(PATIENTS, 5, place / "simulated", None, False, lambda message: None)
    export = str(place / "simulated" / "registry.csv")
    words = ["train", export, "--outcome", "leakage", "--learner", "logistic", "--prior", PUBLISHED]
    with at_home(place / "home"):
        assert cemrisk.main(words) == 0
    return Store(place / "home")


def test_the_card_names_the_prior_with_its_digest_its_sources_and_how_much_was_kept(store: Store) -> None:
    prior, (version,) = Prior.load(PUBLISHED), store.versions("leakage")
    card = load(store.folder(version)).card
    assert card is not None
    assert (card.prior["name"], card.prior["sha256"]) == (prior.name, prior.sha256)
    assert "Zhan 2017" in card.prior["effects"]["any"]["cortical_disruption"]["from"]
    assert 0 < card.prior["weight"]["any"] <= 1
    assert store.client.get_run(version.run_id).data.params["prior_sha256"] == prior.sha256


def test_without_being_asked_for_there_is_none() -> None:
    plain = Store(trained().home)
    for version in plain.versions("leakage"):
        card = load(plain.folder(version)).card
        assert card is not None and card.prior == {}
        assert "prior" not in plain.client.get_run(version.run_id).data.params


def test_a_prior_that_cannot_be_read_is_input_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = write_flat(tmp_path / "export.csv", [row()])
    (tmp_path / "prior.yaml").write_text(json.dumps({"name": "mine"}), encoding="utf-8")
    with at_home(tmp_path / "home"):
        for given in (tmp_path / "prior.yaml", tmp_path / "nowhere.yaml"):
            assert cemrisk.main(["train", str(export), "--prior", str(given)]) == 10
    said = capsys.readouterr().err
    assert "effects: is missing" in said and "give a file, or the word published" in said
