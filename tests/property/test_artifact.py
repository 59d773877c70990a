"""Stored models: what is read is what was written, and whatever was altered is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import Outcome
from features.errors import ModelDamaged, NotReady
from models import BoostedRisk, Card, LogisticRisk, load, save
from models.artifact import canonical
from models.interface import Learner
from models.trees import TreeBody, trees_file
from models.ubjson import Reader, arrays_document
from tests.fitted import ALL, fitted, fresh_matrix

FLIPS = 60
Folders = dict[tuple[Outcome, Learner], Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Every model, each in a folder of its own."""
    root = tmp_path_factory.mktemp("models")
    folders = {(outcome, learner): root / f"{outcome}-{learner}" for outcome, learner in ALL}
    for key, folder in folders.items():
        save(fitted(*key), folder)
    return folders


@pytest.fixture
def copy(saved: Folders, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy to damage of the model that the test names."""
    return Path(shutil.copytree(saved[request.param], tmp_path / "model"))


EVERY = pytest.mark.parametrize(("outcome", "learner"), ALL)
EVERY_COPY = pytest.mark.parametrize("copy", ALL, indirect=True, ids="-".join)
BOOSTED = pytest.mark.parametrize("copy", [("refracture", "boosted")], indirect=True, ids="-".join)
COX = pytest.mark.parametrize("copy", [("refracture", "cox")], indirect=True, ids="-".join)


@EVERY
def test_a_model_read_back_answers_to_the_last_bit(outcome: Outcome, learner: Learner, saved: Folders) -> None:
    model, again = fitted(outcome, learner), load(saved[outcome, learner])
    asked = fresh_matrix(outcome)
    np.testing.assert_array_equal(again.risk(asked), model.risk(asked))
    np.testing.assert_array_equal(again.interval(asked), model.interval(asked))
    np.testing.assert_array_equal(again.explain(asked).contributions, model.explain(asked).contributions)
    assert again.explain(asked).base == model.explain(asked).base
    assert again.columns == model.columns


@EVERY
def test_saving_again_gives_the_same_digest(outcome: Outcome, learner: Learner, saved: Folders, tmp_path: Path) -> None:
    first = load(saved[outcome, learner])
    assert save(first, tmp_path / "again") == first.sha256
    manifest = (tmp_path / "again" / "manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == first.sha256


def test_the_card_comes_back(tmp_path: Path) -> None:
    card = Card("leakage", "logistic", training_id="t1", rows=7, events={"any": 3}, metrics={"auc": 0.6})
    save(fitted("leakage", "logistic"), tmp_path / "model", card)
    assert load(tmp_path / "model").card == card
    assert "Not for clinical use" in json.loads((tmp_path / "model" / "card.json").read_bytes())["notice"]


def test_saving_over_a_model_replaces_it(saved: Folders, tmp_path: Path) -> None:
    target = tmp_path / "model"
    save(fitted("refracture", "boosted"), target)
    digest = save(fitted("refracture", "cox"), target)
    assert load(target).sha256 == digest
    assert not (target / "trees.ubj").exists()
    assert not (tmp_path / "model.partial").exists()


@EVERY_COPY
def test_every_flipped_bit_is_refused(copy: Path) -> None:
    """Bits at random over all files, the manifest included: 60 of each of the five models, 300 in all."""
    rng = np.random.default_rng(17)
    files = sorted(copy.iterdir())
    for turn in range(FLIPS):
        path = files[turn % len(files)]
        content = path.read_bytes()
        bit = int(rng.integers(8 * len(content)))
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(altered))
        with pytest.raises(ModelDamaged):
            load(copy)
        path.write_bytes(content)
    load(copy)  # undamaged again: it was the bits that were refused


@EVERY_COPY
def test_what_is_cut_short_missing_or_too_much_is_refused(copy: Path) -> None:
    for path in sorted(copy.iterdir()):
        content = path.read_bytes()
        for kept in (0, 1, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:kept])
            with pytest.raises(ModelDamaged):
                load(copy)
        path.unlink()
        with pytest.raises(ModelDamaged):
            load(copy)
        path.write_bytes(content)
    (copy / "provenance.json").write_text("{}")
    load(copy)
    (copy / "extra.json").write_text("{}")
    with pytest.raises(ModelDamaged, match="1 files that are not the model's"):
        load(copy)


def test_no_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"no manifest\.json"):
        load(tmp_path / "nothing")


@COX
def test_another_model_than_the_one_asked_for_is_refused(copy: Path) -> None:
    digest = load(copy).sha256
    load(copy, digest)
    with pytest.raises(ModelDamaged, match="not the one that was asked for"):
        load(copy, "0" * 64)


def _rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and make the digests right again, as a careless program, not a broken disk, would."""
    (folder / name).write_bytes(content)
    listed = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    del listed["manifest.json"]
    (folder / "manifest.json").write_bytes(canonical({"format": 1, "files": listed}))


def _changed(folder: Path, name: str, *path: str | int, value: Any) -> None:
    stored = json.loads((folder / name).read_bytes())
    at = stored
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    _rewrite(folder, name, canonical(stored))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("body", "coefficients"), [[1.0]]),
        (("body", "coefficients", 0, 0), 9.0),
        (("body", "design", "mean"), [0.0]),
        (("body", "design", "terms"), []),
        (("head", "slope"), [1.0]),
        (("head", "slope", 1), 7.0),
        (("head", "hazard"), "text"),
        (("head", "hazard", 1, 3), 0.5),
        (("head", "grid_days"), [1, 2, 3]),
        (("head", "kind"), "binary"),
        (("head", "events"), 2),
        (("head", "events"), 9),
        (("head", "refits"), [[[0.1]]]),
        (("head", "refits"), []),
        (("head", "refits", 0, 0, 0), "many"),
        (("body", "refits"), [[[0.1]]]),
        (("body", "intercept"), [0.0]),
        (("learner",), "boosted"),
        (("learner",), "forest"),
        (("outcome",), "leakage"),
        (("outcome",), None),
    ],
)
@COX
def test_a_model_that_does_not_fit_together_is_refused(copy: Path, path: tuple[str | int, ...], value: Any) -> None:
    """Digests right, content wrong: the structure or the self-check records notice."""
    _changed(copy, "model.json", *path, value=value)
    with pytest.raises(ModelDamaged):
        load(copy)


@COX
def test_a_model_of_another_dictionary_must_be_trained_again(copy: Path) -> None:
    _changed(copy, "card.json", "fingerprint", value="0" * 64)
    with pytest.raises(NotReady, match="another dictionary"):
        load(copy)


@COX
def test_records_that_no_longer_come_out_are_refused(copy: Path) -> None:
    totals = json.loads((copy / "selfcheck.json").read_bytes())["totals"]
    _changed(copy, "selfcheck.json", "totals", 2, value=totals[2] + 1e-6)
    with pytest.raises(ModelDamaged, match="own check records"):
        load(copy)


@BOOSTED
def test_trees_that_do_not_belong_are_refused(copy: Path) -> None:
    other = fitted("leakage", "boosted")
    assert isinstance(other, BoostedRisk)
    for content in (b"", other.trees, (copy / "trees.ubj").read_bytes()[:-1], (copy / "trees.ubj").read_bytes() * 2):
        _rewrite(copy, "trees.ubj", content)
        with pytest.raises(ModelDamaged):
            load(copy)


@cache
def _small_file() -> tuple[bytes, int]:
    """One booster of xgboost's and one refit, as a boosted model stores them; and how many columns it has."""
    model = fitted("refracture", "boosted")
    assert isinstance(model, BoostedRisk)
    reader = Reader(model.trees)
    reader.document()
    first = model.trees[: reader.position]
    return trees_file([first], [first]), len(model.columns)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_the_reader_of_trees_survives_any_bytes(data: st.DataObject) -> None:
    """A real file with bytes changed, removed and put in: read, or refused, never worse."""
    trees, columns = _small_file()
    mutated = bytearray(trees)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        kind = data.draw(st.sampled_from(("set", "cut", "insert", "head")))
        if kind == "set":
            mutated[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del mutated[at : at + data.draw(st.integers(1, 40))]
        elif kind == "insert":
            mutated[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:  # near the start of either document stand the lengths of everything else
            start = trees.rindex(b"{") if data.draw(st.booleans()) else 0
            mutated[(start + at % 400) % len(mutated)] = data.draw(st.integers(0, 255))
        if not mutated:
            break
    try:
        body = TreeBody.read(bytes(mutated), 1, 1, columns)
    except ModelDamaged:
        return
    margins = body.margins(fresh_matrix("refracture").values[:3])
    assert np.isfinite(margins.main).all()
    assert np.isfinite(margins.refits).all()


@given(content=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_is_never_more_than_damaged(content: bytes) -> None:
    for start in (b"", b"{", b"{L\0\0\0\0\0\0\0\1a["):
        try:
            Reader(start + content).document()
        except ModelDamaged:
            continue


@pytest.mark.parametrize(
    "content",
    [
        b"{L\x7f\xff\xff\xff\xff\xff\xff\xff",  # a key longer than any memory
        b"{i\x01a[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",  # an array longer than any memory
        b"{i\x01a[#L\x7f\xff\xff\xff\xff\xff\xff\xff",  # as many values of no size
        b"{i\x01a" + b"[" * 100_000,  # nested beyond any stack
        b"{i\x01a[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff",  # an endless array of nulls
    ],
)
def test_lengths_that_would_take_all_memory_are_refused(content: bytes) -> None:
    with pytest.raises(ModelDamaged):
        Reader(content).document()


INTEGERS = st.lists(st.integers(-(2**62), 2**62), max_size=20)
SINGLES = st.lists(st.floats(width=32, allow_nan=False), max_size=20)


@given(whole=INTEGERS, small=st.lists(st.integers(-1, 14), max_size=20), real=SINGLES)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_they_went(whole: list[int], small: list[int], real: list[float]) -> None:
    arrays = {
        "whole": np.array(whole, dtype=np.int64),
        "small": np.array(small, dtype=np.int64),
        "real": np.array(real, dtype=np.float32),
        "double": np.array(real, dtype=np.float64) / 3,
    }
    found = Reader(arrays_document(arrays)).document()
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
    assert found["small"].itemsize == 1


def test_nothing_of_a_patient_is_stored(saved: Folders) -> None:
    """The baseline stands on a fixed grid, so that no day of an event can be read back; no record is a patient's."""
    stored = json.loads((saved["refracture", "cox"] / "model.json").read_bytes())
    assert len(stored["head"]["grid_days"]) == len(stored["head"]["hazard"][0]) == 24
    assert set(stored["body"]["design"]) == {"terms", "mean", "scale", "covariance"}
    assert isinstance(load(saved["leakage", "logistic"]), LogisticRisk)
