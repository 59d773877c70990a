"""Vertebrae drawn at random: shape, position, grid and storage, as a scan may bring them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from features.ct.volume import Volume, canonical
from tests.oracle.ct.phantom import Hole, Scene, Vertebra, flipped, one

ORDERS = tuple(product(permutations((0, 1, 2)), product((False, True), repeat=3)))
#: Where a hole may lie at each site: ranges of the two coordinates of ``Hole.centre`` that keep it off rim and pedicle.
HOLE_CENTRES = {
    "superior_endplate": ((-5.0, 5.0), (-3.0, 5.0)),
    "inferior_endplate": ((-5.0, 5.0), (-3.0, 5.0)),
    "anterior": ((-4.0, 4.0), (-3.0, 3.0)),
    "posterior": ((-3.0, 3.0), (-3.0, 3.0)),
    "lateral_left": ((-1.0, 4.0), (-3.0, 3.0)),
    "lateral_right": ((-1.0, 4.0), (-3.0, 3.0)),
}


@dataclass(frozen=True)
class Grid:
    """Voxel sizes drawn from: in plane and along the slices, mm; ``turn_deg`` on each axis, either way."""

    name: str
    in_plane: tuple[float, float]
    slices: tuple[float, float]
    turn_deg: float = 40.0


GRIDS = (
    Grid("0.3-0.6, any turn", (0.3, 0.6), (0.5, 0.6)),
    Grid("0.6-1.0, any turn", (0.6, 1.0), (0.6, 1.0)),
    Grid("0.6-1.0, turned 5 deg at most", (0.6, 1.0), (0.6, 1.0), 5.0),
    Grid("1.0-1.25, any turn", (0.6, 1.0), (1.0, 1.25)),
    Grid("1.0-1.25, turned 5 deg at most", (0.6, 1.0), (1.0, 1.25), 5.0),
    Grid("1.25-2.0 slices, any turn", (0.5, 1.0), (1.25, 2.0)),
    Grid("1.25-2.0 slices, turned 5 deg at most", (0.5, 1.0), (1.25, 2.0), 5.0),
    Grid("2.0-3.0 slices, any turn", (0.5, 1.0), (2.0, 3.0)),
    Grid("2.0-3.0 slices, turned 5 deg at most", (0.5, 1.0), (2.0, 3.0), 5.0),
    Grid("2.0-3.0 on each axis, any turn", (2.0, 3.0), (2.0, 3.0)),
)


def vertebra(rng: np.random.Generator) -> Vertebra:
    """A thoracic or lumbar body, sound, wedged, biconcave or crushed, with bone of 40 to 180 HU."""
    size = rng.uniform(0.75, 1.1)
    posterior = rng.uniform(16.0, 31.0)
    return Vertebra(
        half_width=22.0 * size,
        front=17.0 * size,
        back=14.0 * size,
        anterior=posterior * rng.uniform(0.6, 1.1),
        posterior=posterior,
        hollow=rng.uniform(0.0, 3.0),
        hollow_back=rng.uniform(0.0, 2.0),
        cortex=rng.uniform(0.8, 1.6),
        trabecular_hu=rng.uniform(40.0, 180.0),
        cortex_hu=rng.uniform(500.0, 800.0),
    )


def scene(rng: np.random.Generator, grid: Grid, truth: Vertebra) -> Scene:
    """``truth`` turned and laid on a grid of the class ``grid``; noise of 20 HU."""
    turn = tuple(rng.uniform(-grid.turn_deg, grid.turn_deg, 3))
    spacing = (*rng.uniform(*grid.in_plane, 2), rng.uniform(*grid.slices))
    shift = tuple(rng.uniform(-0.5, 0.5, 3) * spacing)
    return replace(one(truth, turn=turn, spacing=spacing, shift=shift), seed=int(rng.integers(2**31)))


def holed(rng: np.random.Generator, truth: Vertebra, site: str) -> Vertebra:
    """``truth``, tall enough for it, with a round hole of 3 to 8 mm at ``site``."""
    (a, b), (c, d) = HOLE_CENTRES[site]
    hole = Hole(site, rng.uniform(3.0, 8.0), (rng.uniform(a, b), rng.uniform(c, d)))
    return replace(truth, posterior=max(truth.posterior, 24.0), anterior=max(truth.anterior, 22.0), holes=(hole,))


def stored(rng: np.random.Generator, volumes: tuple[Volume, Volume]) -> tuple[Volume, Volume]:
    """The volumes as a file may hold them (one of 48 orders of the axes), and as a reader then sees them."""
    order = ORDERS[int(rng.integers(len(ORDERS)))]
    scan, label = (canonical(flipped(volume, *order)) for volume in volumes)
    return scan, label
