"""Phantoms with known answers. The full table of errors is benchmarks/ct_errors.py; these are a few of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.ct.cement import Cement
from features.ct.labels import understand
from features.ct.measure import Measured, measure_all
from tests.oracle.ct.phantom import Blob, Hole, Scene, Vertebra, one

TILTED = (15.0, 20.0, -30.0)


def measured(scene: Scene) -> Measured:
    scan, labels = scene.render()
    found, failed = measure_all(scan, understand(labels, {}, "auto", {"L1": 20}), ("L1",), lambda _: None)
    assert failed == {}
    return found["L1"]


@pytest.mark.parametrize(
    ("truth", "spacing", "turn"),
    [
        (Vertebra(), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        (Vertebra(anterior=17, posterior=27), (1.0, 1.0, 1.0), (40.0, 40.0, 40.0)),
        (Vertebra(anterior=9, posterior=14, hollow=1), (1.0, 1.0, 1.0), (20.0, -10.0, 15.0)),
        (Vertebra(hollow=3, anterior=24, posterior=26), (0.8, 0.8, 1.25), (-40.0, 40.0, -40.0)),
        (Vertebra(anterior=17, posterior=27), (1.0, 1.0, 3.0), (20.0, -10.0, 15.0)),
        (Vertebra(), (3.0, 3.0, 3.0), (40.0, 40.0, 40.0)),
    ],
)
def test_heights_angle_volume_and_ct_value(
    truth: Vertebra, spacing: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    found = measured(one(truth, spacing=spacing, turn=turn))
    allowed = max(0.5, max(spacing) / 2)
    assert found.heights is not None
    assert found.heights.anterior_mm == pytest.approx(truth.anterior, abs=allowed)
    assert found.heights.middle_mm == pytest.approx(truth.middle, abs=allowed)
    assert found.heights.posterior_mm == pytest.approx(truth.posterior, abs=allowed)
    assert found.heights.wedge_deg == pytest.approx(truth.wedge_deg, abs=1.5)
    assert found.volume_ml == pytest.approx(truth.volume_ml(), rel=0.03)
    assert found.density.ellipse_region.mean_hu == pytest.approx(truth.trabecular_hu, abs=3)
    assert found.density.eroded.mean_hu == pytest.approx(truth.trabecular_hu, abs=3)
    assert not any(site.breached for site in found.shell.sites.values())
    assert found.cleft_ml == 0
    assert found.cement is None


@pytest.mark.parametrize(
    ("site", "centre"),
    [
        ("superior_endplate", (3, 2)),
        ("inferior_endplate", (-4, 0)),
        ("anterior", (2, 1)),
        ("posterior", (2, 5)),
        ("lateral_left", (2, -1)),
        ("lateral_right", (0, 1)),
    ],
)
def test_a_hole_is_found_at_its_site_and_nowhere_else(site: str, centre: tuple[float, float]) -> None:
    truth = Vertebra(holes=(Hole(site, 6.0, centre),))
    found = measured(one(truth, turn=TILTED, spacing=(1.0, 1.0, 1.25)))
    assert {name for name, seen in found.shell.sites.items() if seen.breached} == {site}
    assert found.shell.sites[site].gap_mm == pytest.approx(6.0, abs=1.5)


def test_a_pedicle_that_reaches_the_endplate_of_a_crushed_body_is_no_breach() -> None:
    truth = Vertebra(anterior=13.0, posterior=18.0, hollow=1.2, trabecular_hu=170.0, cortex_hu=720.0)
    broken = replace(truth, holes=(Hole("superior_endplate", 6.0, (3.0, 2.0)),))
    found = [measured(one(v, turn=(3.0, 2.0, -4.0), spacing=(0.75, 0.75, 1.1))).shell.sites for v in (truth, broken)]
    flagged = [{name for name, site in sites.items() if site.breached} for sites in found]
    assert flagged == [set(), {"superior_endplate"}]


def test_labels_on_another_grid_serve_as_well() -> None:
    truth = Vertebra(anterior=20, posterior=26)
    scan, _ = one(truth, turn=TILTED, spacing=(0.9, 0.9, 1.0)).render()
    _, labels = one(truth, turn=TILTED, spacing=(1.0, 1.0, 1.0), shift=(0.4, 0.2, -0.3)).render()
    assert scan.voxels.shape != labels.voxels.shape
    found, _ = measure_all(scan, understand(labels, {}, "auto", {"L1": 20}), ("L1",), lambda _: None)
    heights, density = found["L1"].heights, found["L1"].density
    assert heights is not None
    assert heights.anterior_mm == pytest.approx(20, abs=0.5)
    assert heights.wedge_deg == pytest.approx(truth.wedge_deg, abs=1.5)
    assert density.ellipse_region.mean_hu == pytest.approx(110, abs=3)


def test_a_coarse_scan_says_that_breaches_cannot_be_judged() -> None:
    truth = Vertebra(holes=(Hole("anterior", 8.0),))
    shell = measured(one(truth, spacing=(1.0, 1.0, 2.0))).shell
    assert not shell.assessable
    assert "1.25 mm" in shell.reason
    assert all(site.breached is None for site in shell.sites.values())


def test_gas_is_measured_and_kept_out_of_the_ct_value() -> None:
    blob = Blob((2, 3, 2), (8, 5, 2))
    found = measured(one(Vertebra(gas=(blob,)), turn=TILTED))
    assert found.cleft_ml == pytest.approx(blob.volume_ml, rel=0.15)
    assert found.density.ellipse_region.mean_hu == pytest.approx(110, abs=3)


SMALL = Blob((0, 0, 0), (6, 6, 6))


def cement_of(*blobs: Blob) -> Cement:
    cement = measured(one(Vertebra(cement=blobs), turn=TILTED, margin=14.0)).cement
    assert cement is not None
    return cement


def test_cement_on_both_sides_and_plates_is_a_with_all_points() -> None:
    blob = Blob((0, 1, 0), (14, 9, 12), box=True)
    cement = cement_of(blob)
    assert cement.volume_ml == pytest.approx(blob.volume_ml, rel=0.03)
    assert (cement.abc, cement.endplate_contact, cement.score, cement.confluent) == ("A", "both", 10, True)
    assert cement.leaks == ()


def test_two_masses_of_which_one_bridges_the_plates() -> None:
    cement = cement_of(Blob((-10, 1, 0), (4, 8, 12), box=True), Blob((10, 1, 0), (4, 8, 6), box=True))
    assert (cement.abc, cement.endplate_contact, cement.confluent) == ("B", "both", False)
    assert 2 <= cement.score < 10


def test_cement_in_the_middle_alone_touches_nothing() -> None:
    cement = cement_of(SMALL)
    assert (cement.abc, cement.endplate_contact, cement.score) == ("C", "none", 0)


@pytest.mark.parametrize(
    ("leak", "compartment", "route"),
    [
        (Blob((0, 2, 10), (4, 4, 8)), "disc", "D"),
        (Blob((0, -14, 0), (1.5, 6, 1.5)), "canal", "B"),
        (Blob((7, -14, 9), (2.5, 4, 2.5)), "canal", "C"),
        (Blob((22, 0, 0), (5, 5, 5)), "paravertebral", "C"),
        (Blob((0, 20, 0), (17, 1.6, 1.6)), "paravertebral", "S"),
    ],
)
def test_each_route_is_proposed(leak: Blob, compartment: str, route: str) -> None:
    cement = cement_of(SMALL, leak)
    assert {piece.compartment for piece in cement.leaks} == {compartment}
    assert cement.routes == {route}


def test_a_trabecular_value_shift_shifts_the_ct_value_and_hardly_anything_else() -> None:
    low, high = (measured(one(Vertebra(trabecular_hu=hu), turn=TILTED)) for hu in (60.0, 160.0))
    assert high.density.eroded.mean_hu - low.density.eroded.mean_hu == pytest.approx(100, abs=1)
    assert low.heights is not None
    assert high.heights is not None
    # the grey values place the endplates, and the shell stands out less from denser bone
    assert np.allclose(low.heights.corners, high.heights.corners, atol=0.1)
