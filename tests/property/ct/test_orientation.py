"""How a scan is stored must not matter: flips and permutations of its axes change no answer."""

from __future__ import annotations

import hashlib
from itertools import permutations, product

import numpy as np
import pytest

from features.ct.labels import understand
from features.ct.measure import Measured, measure_all
from features.ct.volume import Volume, canonical
from tests.oracle.ct.phantom import Vertebra, flipped, one

TURN = (25.0, -15.0, 35.0)
ORDERS = list(product(permutations((0, 1, 2)), product((False, True), repeat=3)))


@pytest.fixture(scope="module")
def scene() -> tuple[Volume, Volume]:
    return one(Vertebra(anterior=18.0, posterior=25.0), turn=TURN, spacing=(1.0, 1.25, 1.1), fine_mm=0.6).render()


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_every_order_of_the_axes_becomes_the_same_volume(
    scene: tuple[Volume, Volume], axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    straight, turned = canonical(scene[0]), canonical(flipped(scene[0], axes, flips))
    assert np.array_equal(straight.voxels, turned.voxels)
    assert np.allclose(straight.affine, turned.affine, atol=1e-9)


@pytest.mark.parametrize("order", [7, 22, 47])
def test_measures_do_not_depend_on_the_order_of_the_axes(scene: tuple[Volume, Volume], order: int) -> None:
    first = numbers(measured(*scene))
    again = numbers(measured(*(flipped(volume, *ORDERS[order]) for volume in scene)))
    assert np.allclose(first, again, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_measures_do_not_depend_on_any_of_the_48_orders() -> None:
    scan, labels = one(
        Vertebra(anterior=22.0, posterior=27.0), turn=TURN, spacing=(2.0, 2.6, 2.3), fine_mm=1.0
    ).render()
    first = numbers(measured(scan, labels))
    seen = set()
    for order in ORDERS:
        volumes = [flipped(volume, *order) for volume in (scan, labels)]
        # orders that a reader turns into the same numbers to the last bit are measured once
        same = b"".join(part.tobytes() for volume in map(canonical, volumes) for part in (volume.voxels, volume.affine))
        if (digest := hashlib.sha256(same).digest()) not in seen:
            seen.add(digest)
            assert np.allclose(first, numbers(measured(*volumes)), rtol=0, atol=1e-6, equal_nan=True), order


def measured(scan: Volume, labels: Volume) -> Measured:
    marked = understand(canonical(labels), {}, "auto", {"L1": 20})
    found, failed = measure_all(canonical(scan), marked, ("L1",), lambda _: None)
    assert failed == {}
    return found["L1"]


def numbers(one: Measured) -> list[float]:
    assert one.heights is not None
    assert one.volume_ml is not None
    h, d = one.heights, one.density
    shell = [value for site in one.shell.sites.values() for value in (site.below_share, site.gap_mm)]
    heights = [h.anterior_mm, h.middle_mm, h.posterior_mm, h.wedge_deg, one.volume_ml]
    return [*heights, d.ellipse_region.mean_hu, d.eroded.mean_hu, d.least_impacted_hu, one.cleft_ml, *shell]
