"""What label values mean."""

from __future__ import annotations

import numpy as np
import pytest

from features.ct.labels import Labels, check_order, understand
from features.ct.pieces import pieces
from features.ct.schemes import SCHEMES
from features.ct.volume import Volume
from features.ct.warnings import CT_WARNINGS
from features.errors import ImageRejected, UsageError


def stack(values: list[int], gap: int = 30) -> Volume:
    """Blocks with these values from top to bottom, ``gap`` mm apart, voxels of 2 mm."""
    voxels = np.zeros((10, 10, len(values) * gap // 2), np.int16)
    for n, value in enumerate(values):
        start = voxels.shape[2] - (n + 1) * gap // 2
        voxels[2:8, 2:8, start : start + gap // 2 - 2] = value
    return Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0]))


def of(values: list[int], scheme: str = "auto", names: dict[int, str] | None = None) -> Labels:
    return understand(stack(values), names or {}, scheme, {})


def test_schemes_name_each_level_once() -> None:
    for values in SCHEMES.values():
        assert len(set(values.values())) == len(values) == 17
    assert (SCHEMES["verse"][20], SCHEMES["totalsegmentator"][31], SCHEMES["totalsegmentator-v1"][22]) == ("L1",) * 3
    assert (SCHEMES["verse"][19], SCHEMES["totalsegmentator"][32], SCHEMES["totalsegmentator-v1"][23]) == ("T12",) * 3


def test_the_order_along_the_spine_tells_the_scheme() -> None:
    assert dict(of([19, 20, 21]).values) == {"T12": 19, "L1": 20, "L2": 21}
    assert "verse" in of([19, 20, 21]).scheme


def test_what_fits_two_schemes_is_refused() -> None:
    with pytest.raises(ImageRejected, match="--scheme"):
        of([32, 31, 30])
    assert dict(of([32, 31, 30], "totalsegmentator").values) == {"T12": 32, "L1": 31, "L2": 30}
    assert dict(of([32, 31, 30], "totalsegmentator-v1").values) == {"T3": 32, "T4": 31, "T5": 30}


def test_a_refusal_names_the_values_and_what_they_could_be() -> None:
    with pytest.raises(ImageRejected, match=r"\(30, 31, 32\) fit several schemes \(.*totalsegmentator"):
        of([32, 31, 30])
    with pytest.raises(ImageRejected, match=r"\(1, 2\) fit no scheme.*--label-value L1="):
        of([1, 2])


@pytest.mark.parametrize(
    ("z", "wrong"),
    [((60, 30, 0), None), ((30, 60, 0), "T12 and L1"), ((50, 0, 25), "L1 and L2"), ((0, 30, 60), "T12 and L1"),
     ((60, 52, 20), "T12 and L1"), ((160, 30, 0), "T12 and L1")],
)  # fmt: skip
def test_levels_follow_each_other_down_the_spine(z: tuple[float, ...], wrong: str | None) -> None:
    centres = {level: np.array([0.0, 0.0, at]) for level, at in zip(("T12", "L1", "L2"), z, strict=True)}
    if wrong is None:
        check_order(centres)
        check_order({level: centres[level] for level in ("T12", "L2")})
        return
    with pytest.raises(ImageRejected, match=wrong):
        check_order(centres)


def test_names_in_the_file_win() -> None:
    names = {3: "vertebrae_L1", 4: "vertebrae_L2", 5: "sacrum", 6: "vertebrae_T1"}
    assert dict(of([3, 4, 5], names=names).values) == {"L1": 3, "L2": 4}


@pytest.mark.parametrize(
    "name", ["vertebrae_L1", "L1", "l1", "L1|L1 vertebra", "Segment 1|L1 vertebra", "Lumbar vertebra L1", "L1|Vertebra"]
)
def test_names_of_a_vertebra_are_known(name: str) -> None:
    assert dict(of([3], names={3: name}).values) == {"L1": 3}


@pytest.mark.parametrize(
    "name",
    ["disc L1/L2", "disc_L1", "IVD_L1", "rib_left_T1", "L1 spinous process", "L1 transverse process", "L1-L2", "T12/L1",
     "L1|Intervertebral disc", "Endplate L1", "L1 lesion", "cement L1", "L1|T12 vertebra", "L1 nerve root",
     "psoas L1", "L1 metastasis", "L1 something"],
)  # fmt: skip
def test_what_is_only_near_a_vertebra_is_not_taken_for_it(name: str) -> None:
    assert dict(of([3, 4], names={3: name, 4: "L3"}).values) == {"L3": 4}
    with pytest.raises(ImageRejected):
        of([3], names={3: name})


def test_two_labels_of_one_level_are_refused_and_neither_wins() -> None:
    for names in ({3: "L1", 4: "vertebrae_L1"}, {4: "L1", 3: "L1|L1 vertebra"}):
        with pytest.raises(ImageRejected, match="Two labels are L1") as caught:
            of([3, 4], names=names)
        assert caught.value.findings[0].code == "unclear_labels"
    assert dict(of([3], names={3: "L1", 4: "L1"}).values) == {"L1": 3}, "one that is not drawn counts not"


def test_a_told_value_that_is_not_drawn_is_said() -> None:
    with pytest.raises(ImageRejected, match="--label-value"):
        understand(stack([3]), {}, "auto", {"L1": 9})


def test_an_unknown_scheme_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        of([20], "mine")


def test_a_box_holds_its_label_exactly() -> None:
    volume = stack([20, 21], gap=50)
    for level, box in understand(volume, {}, "verse", {}).boxes.items():
        value = SCHEMES["verse"]
        number = next(v for v, name in value.items() if name == level)
        assert (volume.voxels[box] == number).sum() == (volume.voxels == number).sum()
        assert all(np.any(np.take(volume.voxels[box], end, axis) == number) for axis in range(3) for end in (0, -1))


def test_a_label_in_pieces_is_said_above_two_percent() -> None:
    volume = stack([20, 21], gap=60)
    assert [piece.warnings for piece in pieces(understand(volume, {}, "verse", {}))[1].values()] == [[], []]
    volume.voxels[9, 9, :3] = 20
    few = pieces(understand(volume, {}, "verse", {}))[1]["L1"]
    assert few.warnings == [] and few.stray_share > 0
    volume.voxels[9, :, :12] = 20
    (warning,) = pieces(understand(volume, {}, "verse", {}))[1]["L1"].warnings
    assert warning[0] == "label_not_one_piece" and warning[0] in CT_WARNINGS
