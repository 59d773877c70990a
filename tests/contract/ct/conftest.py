"""A small scan of three vertebrae, drawn once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.build import Outcome
from features.ct.volume import Volume
from models.release import load_releases
from serving.served import Served, serve
from tests.contract.ct.files import write_nifti
from tests.oracle.ct.phantom import Blob, Vertebra, three
from tests.service.released import release_all


@pytest.fixture(scope="package", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoders keep their compiled modules: compiling pydicom anew in each child is most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


INSIDE = Blob((0.0, 0.0, 0.0), (12.0, 8.0, 10.0))
#: Through the right wall: about half of it is a leak.
ACROSS = Blob((22.0, 0.0, 0.0), (5.0, 5.0, 5.0))


@pytest.fixture(scope="session")
def trio() -> tuple[Volume, Volume]:
    """T12, L1 (wedged) and L2 with VerSe labels, voxels of 1.2 mm, HU as whole numbers."""
    scan, labels = three(Vertebra(anterior=19.0, posterior=26.0), spacing=(1.2, 1.2, 1.2), fine_mm=0.6).render()
    return Volume(scan.voxels.round().astype("int16"), scan.affine), labels


@pytest.fixture(scope="session")
def treated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Scan and labels (NIfTI) of T12 to L2, L1 with cement in it and through its right wall."""
    folder = tmp_path_factory.mktemp("treated")
    vertebra = Vertebra(anterior=21.0, posterior=26.0, cement=(INSIDE, ACROSS))
    scan, labels = three(vertebra, spacing=(1.2, 1.2, 1.2), fine_mm=0.6).render()
    whole = Volume(scan.voxels.round().astype("int16"), scan.affine)
    return write_nifti(whole, folder / "ct.nii.gz"), write_nifti(labels, folder / "labels.nii.gz")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[Outcome, Served]:
    """Released models as the service holds them."""
    home = tmp_path_factory.mktemp("home")
    release_all(home)
    return dict(serve(load_releases(home)))
