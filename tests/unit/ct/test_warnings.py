"""Warnings that a scan's acquisition brings."""

from __future__ import annotations

import numpy as np
import pytest

from features.ct.raw import Acquisition, Header, hashed
from features.ct.warn import scan_warnings


def codes(spacing: float = 1.0, **acquisition: object) -> set[str]:
    known = {"kvp": 120.0, "kernel": "B30f", "contrast": False} | acquisition
    affine = np.diag([0.7, 0.7, spacing, 1.0]).tolist()
    header = Header((1, 1, 1), (0, 1, 2), "int16", affine, "dicom", hashed("x"), Acquisition(**known))  # type: ignore[arg-type]
    return {warning["code"] for warning in scan_warnings(header)}


def test_a_standard_scan_has_none() -> None:
    assert codes() == set()


@pytest.mark.parametrize(
    ("acquisition", "code"),
    [
        ({"kvp": 100.0}, "kvp_not_120"),
        ({"contrast": True}, "contrast_given"),
        ({"contrast": None}, "acquisition_unknown"),
        ({"kernel": None}, "acquisition_unknown"),
        ({"gantry_tilt_deg": 12.0}, "gantry_tilt"),
        ({"slice_thickness_mm": 5.0}, "thick_slices"),
        ({"spacing": 3.0}, "thick_slices"),
    ],
)
def test_each_departure_is_said(acquisition: dict[str, object], code: str) -> None:
    assert codes(**acquisition) == {code}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kernel", ["B70f", "Br64d", "I70f", "BONE", "BONEPLUS", "EDGE", "LUNG", "YB", "D", "FC30", "FC81"]
)
def test_sharp_kernels_are_known(kernel: str) -> None:
    assert codes(kernel=kernel) == {"sharp_kernel"}


@pytest.mark.parametrize("kernel", ["B30f", "Br40d", "I31f", "STANDARD", "SOFT", "B", "C", "FC08", "FC18"])
def test_soft_kernels_pass(kernel: str) -> None:
    assert codes(kernel=kernel) == set()


def test_a_series_is_told_apart_without_its_identifier() -> None:
    assert hashed("1.2.3") != hashed("1.2.4")
    assert "1.2.3" not in hashed("1.2.3")
    assert len(hashed("1.2.3")) == 16
