"""What happened: time zero, event, competing event, horizon.

Time zero is the procedure. Leakage is read off the first image afterwards. Refracture is the first of three events
(same level, adjacent, remote), death competes, and whoever is last seen without any of them is censored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.build import DETECTION_CODES
from features.derived import Columns

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ROUTES = ("B", "S", "C", "D")
CAUSES = ("same", "adjacent", "remote", "death")
#: Event codes of refracture: 0 is censored.
EVENT_CODE = {cause: code for code, cause in enumerate(CAUSES, start=1)}
#: Horizons in days; an event on the day itself counts.
HORIZON_DAYS = {3: 91, 12: 365, 24: 730}
LEAK_WINDOW_DAYS = 365
#: The day of the first image where none is recorded.
USUAL_IMAGE_DAY = 1.0


@dataclass(frozen=True, slots=True)
class Leakage:
    """Leakage of vertebrae, all arrays of length n.

    ``leaked``: 1.0 or 0.0. ``routes``: (n, 4), columns B S C D, NaN where the route of a leak was not told. ``days``:
    to the image that showed the leak, or to the end of observation, at most 365. ``detection``: 1 CT,
    0 radiograph. ``patient``: an integer per row.
    """

    leaked: Floats
    routes: Floats
    days: Floats
    detection: Floats
    patient: Ints

    def __len__(self) -> int:
        return len(self.leaked)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Leakage:
        """The rows asked for."""
        return Leakage(self.leaked[rows], self.routes[rows], self.days[rows], self.detection[rows], self.patient[rows])


@dataclass(frozen=True, slots=True)
class Refracture:
    """First refracture of patients, all arrays of length n.

    ``event_code``: 0 censored, 1 same, 2 adjacent, 3 remote, 4 death; ``days`` to it or to the last contact.
    """

    event_code: Ints
    days: Floats
    patient: Ints

    def __len__(self) -> int:
        return len(self.days)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Refracture:
        """The rows asked for."""
        return Refracture(self.event_code[rows], self.days[rows], self.patient[rows])


def leakage(columns: Columns, patient: Ints) -> tuple[Leakage, dict[str, NDArray[np.bool_]]]:
    """Leakage of all rows, and for each reason for which a row trains no leakage model, the rows that it holds for."""
    found = columns["leak_routes"]
    modality = columns["leak_modality"]
    detection = np.array([DETECTION_CODES.get(value, np.nan) if value else np.nan for value in modality])
    assessed = np.array([value is not None and len(value) > 0 for value in found], dtype=bool)
    leaked = np.array([bool(value) and "none" not in value for value in found], dtype=float)
    untold = np.array([bool(value) and "unspecified" in value for value in found], dtype=bool)
    routes = np.array([[float(bool(value) and route in value) for route in ROUTES] for value in found]).reshape(-1, 4)
    routes[untold] = np.nan
    left_out = {
        "leak_not_assessed": ~assessed,
        "detection_not_comparable": assessed & np.isnan(detection),
    }
    return Leakage(leaked, routes, _leak_days(columns, leaked), detection, patient), left_out


def _leak_days(columns: Columns, leaked: Floats) -> Floats:
    """Chen 2025 put leakage into a Cox model: days to the image, without a leak to the last contact or one year.

    A leak is there or not on the first image. Where its day is not recorded the usual one is taken, and whoever has no
    leak and no last contact counts as seen for the whole window: leaving either group out would bend the rate.
    """
    unknown = np.full(len(leaked), np.nan)
    detected = np.asarray(columns.get("leak_detected_days", unknown), dtype=float)
    seen = np.asarray(columns.get("last_seen_days", unknown), dtype=float)
    detected = np.where(np.isnan(detected), USUAL_IMAGE_DAY, detected)
    return np.where(leaked == 1, detected, np.fmin(seen, LEAK_WINDOW_DAYS))


def refracture(columns: Columns, patient: Ints) -> tuple[Refracture, dict[str, NDArray[np.bool_]]]:
    """Refracture by patient in order of first appearance, and whom it leaves out, for each reason.

    The outcome is the patient's, repeated on the rows of his vertebrae: his first row is read.
    """
    _, first = np.unique(patient, return_index=True)
    rows = np.sort(first)
    event = columns["refracture"][rows]
    fracture_days = np.asarray(columns["refracture_days"], dtype=float)[rows]
    seen_days = np.asarray(columns["last_seen_days"], dtype=float)[rows]
    died = np.asarray(columns["died"], dtype=float)[rows]
    code = np.array([EVENT_CODE.get(value, 0) if value else 0 for value in event], dtype=np.intp)
    days = np.where(code > 0, fracture_days, seen_days)
    code = np.where((code == 0) & (died == 1), EVENT_CODE["death"], code)
    left_out = {
        "refracture_not_recorded": np.array([value is None for value in event], dtype=bool),
        "follow_up_unknown": ~(days > 0),
    }
    return Refracture(code, days, patient[rows]), left_out
