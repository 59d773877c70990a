"""What the first images after the operation show of a simulated vertebra, beside leak, contact and pattern.

Chosen where the world file says nothing; none of it acts on an outcome by itself, but the distribution type follows
from the endplate contact, which does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.simulate.quadrature import Floats

Columns = Mapping[str, NDArray[Any]]

#: Of those whose cement reaches both endplates, the share that does so on both sides (Zhang 2022: A 40, B 24).
A_AMONG_REACHING = 40 / 64
#: Of bilateral punctures, the share whose cement stays in two masses (doi 10.1186/s12891-022-05680-4: 24 of 59).
SEPARATED_AMONG_BILATERAL = 24 / 59
#: Share of the lost height that comes back, by procedure, and its spread; gives the 3.2 and 2.8 mm of Zhang 2022.
REGAINED_SHARE = {"PVP": 0.28, "PKP": 0.42}
REGAINED_SD = 0.30
DEPTH_MM = 32.0  # of a body from front to back: turns a height in front into an angle
OTHER_KYPHOSIS_DEG = (-1.0, 5.0)  # mean and standard deviation of what discs and neighbours add to the wedge
ANGLE_ERROR_DEG = 2.0


def first_images(columns: Columns, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Distribution, height and kyphosis after surgery, and the kyphosis before it, one entry per vertebra."""
    regained = _regained_mm(columns, rng)
    before = np.degrees(np.arctan((columns["pvh_mm"] - columns["fvah_mm"]) / DEPTH_MM))
    before = before + rng.normal(*OTHER_KYPHOSIS_DEG, len(before))
    after = before - np.degrees(np.arctan(regained / DEPTH_MM)) + rng.normal(0, ANGLE_ERROR_DEG, len(before))
    return {
        "distribution_abc": _abc(columns["endplate_contact"], rng),
        "distribution_cf_sp": _cf_sp(columns["approach"], rng),
        "fvah_postop_mm": np.round(np.clip(columns["fvah_mm"] + regained, 4.0, 45.0), 1),
        "lka_deg": np.round(np.clip(before, -20.0, 60.0), 1),
        "lka_postop_deg": np.round(np.clip(after, -25.0, 60.0), 1),
    }


def _abc(contact: NDArray[Any], rng: np.random.Generator) -> NDArray[np.object_]:
    """A reaches both endplates on both sides of the midline, B on one, C on neither (Zhang 2022)."""
    reaches = np.where(rng.random(len(contact)) < A_AMONG_REACHING, "A", "B")
    return np.where(contact == "both", reaches, "C").astype(object)


def _cf_sp(approach: NDArray[Any], rng: np.random.Generator) -> NDArray[np.object_]:
    """Confluent or separated; unknown after a puncture from one side, of which the classification says nothing."""
    drawn = np.where(rng.random(len(approach)) < SEPARATED_AMONG_BILATERAL, "SP", "CF").astype(object)
    drawn[approach != "bilateral"] = None
    return drawn


def _regained_mm(columns: Columns, rng: np.random.Generator) -> Floats:
    """Height regained in front, in mm: a share of the loss against the posterior wall, sometimes negative."""
    lost = np.maximum(columns["pvh_mm"] - columns["fvah_mm"], 1.0)
    mean = np.where(columns["procedure"] == "PKP", REGAINED_SHARE["PKP"], REGAINED_SHARE["PVP"])
    return np.asarray(lost * np.clip(mean + rng.normal(0, REGAINED_SD, len(lost)), -0.2, 1.0), dtype=float)
