"""What happened: time zero, event, competing event, horizon.

Time zero is the procedure, or for a model asked after surgery the landmark some days later. Leakage is read off the
first image after the procedure. Refracture is the first of three events (same level, adjacent, remote), death
competes, and whoever is last seen without any of them is censored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.after_surgery import LANDMARK_DAY
from features.build import DETECTION_CODES, Outcome
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

    @property
    def name(self) -> Outcome:
        """Whose outcome this is."""
        return "leakage"

    def __len__(self) -> int:
        return len(self.leaked)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Leakage:
        """The rows asked for."""
        return Leakage(self.leaked[rows], self.routes[rows], self.days[rows], self.detection[rows], self.patient[rows])


@dataclass(frozen=True, slots=True)
class Refracture:
    """First refracture of patients, all arrays of length n.

    ``event_code``: 0 censored, 1 same, 2 adjacent, 3 remote, 4 death; ``days`` to it or to the last contact.
    ``landmark_day``: where time starts, in days from the procedure; after surgery it is the landmark.
    """

    event_code: Ints
    days: Floats
    patient: Ints
    landmark_day: int = 0

    @property
    def name(self) -> Outcome:
        """Whose outcome this is: of the model asked before surgery, or of the one asked at the landmark."""
        return "refracture-postop" if self.landmark_day else "refracture"

    def __len__(self) -> int:
        return len(self.days)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Refracture:
        """The rows asked for."""
        return Refracture(self.event_code[rows], self.days[rows], self.patient[rows], self.landmark_day)


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


def at_landmark(target: Refracture) -> tuple[Refracture, dict[str, NDArray[np.bool_]]]:
    """The same patients with time counted from the landmark, and who did not reach it, for each reason.

    A model asked after surgery speaks to those who are then alive, followed and without a new fracture; keeping the
    others would let it learn from what had already happened.
    """
    before = (target.days > 0) & (target.days <= LANDMARK_DAY)
    fractured = (target.event_code > 0) & (target.event_code < EVENT_CODE["death"])
    left_out = {
        "refracture_before_landmark": before & fractured,
        "died_before_landmark": before & (target.event_code == EVENT_CODE["death"]),
        "lost_before_landmark": before & (target.event_code == 0),
    }
    return Refracture(target.event_code, target.days - LANDMARK_DAY, target.patient, LANDMARK_DAY), left_out
