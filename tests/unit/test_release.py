"""Release bundles: what is damaged is replaced, promotions at once do not meet, the routes' teller is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import models
from features.errors import ModelDamaged
from models.release import load_release, write_release
from tests.fitted import fitted_models, fresh_matrix


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for learner, model in fitted_models("leakage").items():
        found[learner] = tmp_path / "trained" / learner
        models.save(model, found[learner])
    return found


def _write(home: Path, folders: dict[str, Path], champion: str = "logistic") -> str:
    versions = {learner: str(place) for place, learner in enumerate(folders, start=1)}
    return write_release(home, "leakage", champion, folders, versions, "t")


def test_a_damaged_bundle_is_replaced_by_promoting_again(tmp_path: Path, folders: dict[str, Path]) -> None:
    name = _write(tmp_path, folders)
    broken = tmp_path / "released" / "leakage" / name / "boosted" / "model.json"
    broken.write_bytes(broken.read_bytes()[:-5])
    with pytest.raises(ModelDamaged):
        load_release(tmp_path, "leakage")
    assert _write(tmp_path, folders) == name
    release = load_release(tmp_path, "leakage")
    assert release is not None
    assert sorted(path.name for path in (tmp_path / "released" / "leakage").iterdir()) == ["current", name]


def test_writers_at_once_leave_a_whole_bundle(tmp_path: Path, folders: dict[str, Path]) -> None:
    _write(tmp_path, folders)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda champion: _write(tmp_path, folders, champion), ["logistic", "boosted"] * 3))
    release = load_release(tmp_path, "leakage")
    assert release is not None
    assert release.champion in ("logistic", "boosted")


def test_a_cox_champion_takes_its_routes_from_the_logistic_version(tmp_path: Path, folders: dict[str, Path]) -> None:
    _write(tmp_path, folders, "cox")
    release = load_release(tmp_path, "leakage")
    assert release is not None
    matrix = fresh_matrix("leakage")
    risk = release.model.risk(matrix)
    routes = release.routes(matrix, risk)
    assert routes is not None
    assert (routes.max(axis=1) <= risk + 1e-12).all()
    assert (routes.sum(axis=1) >= risk - 1e-12).all()


def test_a_cox_champion_alone_tells_no_routes(tmp_path: Path, folders: dict[str, Path]) -> None:
    _write(tmp_path, {"cox": folders["cox"]}, "cox")
    release = load_release(tmp_path, "leakage")
    assert release is not None
    assert release.teller_of_routes is None
    matrix = fresh_matrix("leakage")
    assert release.routes(matrix, np.asarray(release.model.risk(matrix))) is None
