"""What a scan does not show whole is refused, and nothing is derived from what was refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.ct.labels import understand
from features.ct.measure import measure_all
from features.ct.raw import Header, hashed
from features.ct.report import build
from features.ct.volume import Volume
from tests.oracle.ct.phantom import Blob, Vertebra, three

OUTER = Vertebra(anterior=27.0, posterior=27.0)
MIDDLE = Vertebra(anterior=19.0, posterior=26.0)


@pytest.fixture(scope="module")
def trio() -> tuple[Volume, Volume]:
    return three(MIDDLE, OUTER, spacing=(1.2, 1.2, 1.2), fine_mm=0.6).render()


def report(scan: Volume, labels: Volume, moment: str = "preop") -> dict[str, Any]:
    found = understand(labels, {}, "verse", {})
    measured, failed = measure_all(scan, found, tuple(found.boxes), lambda _: None)
    header = Header(scan.voxels.shape, (0, 1, 2), "int16", scan.affine.tolist(), "nifti", hashed("x"))
    return build(measured, failed, header, tuple(found.boxes), (found, header), moment)


def vertebra(report: dict[str, Any], level: str) -> dict[str, Any]:
    (found,) = (v for v in report["vertebrae"] if v["level"] == level)
    return dict(found)


def codes(found: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in found["warnings"]}


def test_lost_volume_is_that_of_the_neighbours_less_the_own(trio: tuple[Volume, Volume]) -> None:
    found = vertebra(report(*trio), "L1")["values"]
    expected = OUTER.volume_ml() - MIDDLE.volume_ml()
    assert found["lost_volume_ml"]["value"] == pytest.approx(expected, abs=0.03 * OUTER.volume_ml())
    assert "T12 and L2" in found["lost_volume_ml"]["method"]


def test_a_neighbour_that_is_cut_lends_neither_height_nor_volume(trio: tuple[Volume, Volume]) -> None:
    scan, labels = trio
    top = int(np.argwhere(labels.voxels == 19)[:, 2].mean())
    cut = tuple(replace(volume, voxels=volume.voxels[:, :, :top]) for volume in trio)
    found = report(cut[0], cut[1])
    assert "cut_by_field_of_view" in codes(vertebra(found, "T12"))
    assert not {"fvah_mm", "vertebral_volume_ml", "wedge_angle_deg"} & set(vertebra(found, "T12")["values"])
    l1 = vertebra(found, "L1")["values"]
    assert "adj_ah_above_mm" not in l1
    assert l1["lost_volume_ml"]["method"].startswith("mean body volume of L2 less")
    assert scan.voxels.shape != cut[0].voxels.shape


def test_filling_outside_a_round_field_of_view_counts_as_its_border(trio: tuple[Volume, Volume]) -> None:
    scan, labels = trio
    body = np.argwhere(labels.voxels == 20)
    voxels = scan.voxels.copy()
    voxels[: int(np.quantile(body[:, 0], 0.4))] = -3024.0
    found = vertebra(report(replace(scan, voxels=voxels), labels), "L1")
    assert "cut_by_field_of_view" in codes(found)
    assert not {"fvah_mm", "vertebral_volume_ml"} & set(found["values"])


def test_nothing_is_derived_from_a_refused_value(trio: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    from features.ct import report as module

    usual = vertebra(report(*trio), "L1")
    assert "ap_ratio_pct" in usual["derived"]
    low = dict(module.VARIABLES) | {"fvah_mm": replace(module.VARIABLES["fvah_mm"], highest=10.0)}
    monkeypatch.setattr(module, "VARIABLES", low)
    found = vertebra(report(*trio), "L1")
    assert "beyond_limits" in codes(found)
    assert "fvah_mm" not in found["values"]
    assert "ap_ratio_pct" not in found["derived"]


def test_a_postoperative_scan_without_cement_says_so_and_claims_no_leak(trio: tuple[Volume, Volume]) -> None:
    found = vertebra(report(*trio, "postop"), "L1")
    assert "no_cement_found" in codes(found)
    assert not {"cement_volume_ml", "leak_routes", "leak_volume_ml", "distribution_abc"} & set(found["values"])


def test_a_postoperative_scan_with_cement_does_not() -> None:
    treated = replace(MIDDLE, cement=(Blob((0, 2, 0), (8, 6, 5)),))
    scan, labels = three(treated, OUTER, spacing=(1.2, 1.2, 1.2), fine_mm=0.6).render()
    found = vertebra(report(scan, labels, "postop"), "L1")
    assert "no_cement_found" not in codes(found)
    assert found["values"]["cement_volume_ml"]["value"] > 0
