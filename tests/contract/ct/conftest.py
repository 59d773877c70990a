"""A small scan of three vertebrae, drawn once."""

from __future__ import annotations

import pytest

from features.ct.volume import Volume
from tests.oracle.ct.phantom import Vertebra, three


@pytest.fixture(scope="session")
def trio() -> tuple[Volume, Volume]:
    """T12, L1 (wedged) and L2 with VerSe labels, voxels of 1.2 mm, HU as whole numbers."""
    scan, labels = three(Vertebra(anterior=19.0, posterior=26.0), spacing=(1.2, 1.2, 1.2), fine_mm=0.6).render()
    return Volume(scan.voxels.round().astype("int16"), scan.affine), labels
