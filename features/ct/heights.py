"""Heights and angles of one vertebral body in its own mid-sagittal plane.

The six points are the corners of the body and the middles of its endplates, as on a lateral film. An endplate's corner
is where a line along its outer part meets the front (or back) wall; rounded rims and stair-steps of the voxels then
shorten no height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.ct.body import Body, Mask, outline, robust_line
from features.ct.frame import Frame
from features.ct.volume import Floats

_SLAB_MM = 4.0
#: Damping of each term of a plate, by the height (mm) it makes at 10 mm from the centre.
BENDING = np.array([0.0, 0.0, 3e1, 6e2, 0.0, 3e1, 3e1, 6e2])


def plate_terms(x: Floats, y: Floats) -> Floats:
    """Terms 1, y, y², y³, x, x², xy, x²y of an endplate's surface, shape (n, 8)."""
    return np.stack([np.ones_like(x), y, y**2, y**3, x, x**2, x * y, x**2 * y], axis=-1)


@dataclass(frozen=True, slots=True)
class Heights:
    """Heights in mm and the wedge angle in degrees (positive: lower in front) of one body.

    ``corners``: local (y, z) of anterosuperior, anteroinferior, middle superior, middle inferior, posterosuperior and
    posteroinferior points, shape (6, 2). ``upper`` and ``lower``: intercept and slope of each endplate line over y.
    """

    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    wedge_deg: float
    corners: Floats
    upper: Floats
    lower: Floats


def label_plates(body: Body) -> tuple[Plate, Plate]:
    """Upper and lower endplate as the label shows them."""
    return Plate.fit(body.top, body), Plate.fit(body.bottom, body)


def measure_heights(body: Body, plates: tuple[Plate, Plate]) -> Heights:
    """The six-point heights of ``body`` between its two endplates."""
    front, back = _front_wall(body), _back_wall(body)
    corners = [plate.meet(wall) for wall in (front, back) for plate in plates]
    mid_y = (front[0] + back[0]) / 2
    middles = [np.array([mid_y, plate.at(mid_y)]) for plate in plates]
    points = np.stack([corners[0], corners[1], *middles, corners[2], corners[3]])
    anterior, middle, posterior = (float(np.linalg.norm(points[i] - points[i + 1])) for i in (0, 2, 4))
    upper, lower = (plate.line(back[0], front[0]) for plate in plates)
    wedge = float(np.degrees(np.arctan(lower[1]) - np.arctan(upper[1])))
    return Heights(anterior, middle, posterior, wedge, points, upper, lower)


@dataclass(frozen=True, slots=True)
class Plate:
    """One endplate as a smooth surface z(x, y): ``coefficients`` (8,) of the terms of ``plate_terms``.

    Beyond ``seen_y`` (lowest, highest local y that shaped it) its midline goes on straight: a curve carried on to the
    corner would make a rim of every hollow.
    """

    coefficients: Floats
    seen_y: tuple[float, float]

    @staticmethod
    def fit(surface: Floats, body: Body) -> Plate:
        """Least squares over the whole endplate but its rim, outliers beyond 3 (robust) SD left out.

        All of the endplate helps to place its midline: the stair-steps of coarse voxels average out sideways. Bending
        is damped in proportion to the voxel: over three stair-steps a cubic would follow the steps.
        """
        i, j = np.nonzero(outline(body, _rim_mm(body)) & np.isfinite(surface))
        x, y, z = body.grid.x[i], body.grid.y[j], surface[i, j]
        design = plate_terms(x, y)
        # the midline counts most, the flanks (which curve on their own) least
        weight = np.exp(-((x / 12.0) ** 2) / 2)
        damping = np.diag(BENDING * max(0.0, body.spacing_mm - 1.0) * np.sqrt(weight.sum()))
        keep = np.ones(len(z), dtype=bool)
        c = np.zeros(design.shape[1])
        for _ in range(3):
            left = np.concatenate([design[keep] * weight[keep, None], damping])
            right = np.concatenate([z[keep] * weight[keep], np.zeros(len(damping))])
            c = np.linalg.lstsq(left, right, rcond=None)[0]
            residual = np.abs(z - design @ c)
            keep = residual <= 3.0 * max(1.4826 * float(np.median(residual)), 0.2)
        return Plate(c, (float(y[keep].min()), float(y[keep].max())))

    def over(self, x: Floats, y: Floats) -> Floats:
        """Local z at local x, y."""
        z: Floats = plate_terms(x, y) @ self.coefficients
        return z

    def midline(self, y: Floats) -> Floats:
        """Local z in the midline at local y, straight beyond what was seen."""
        inner = np.clip(y, *self.seen_y)
        _, c1, c2, c3 = self.coefficients[:4]
        slope = c1 + 2 * c2 * inner + 3 * c3 * inner**2
        z: Floats = self.over(np.zeros_like(inner), inner) + slope * (y - inner)
        return z

    def at(self, y: float) -> float:
        return float(self.midline(np.array([y]))[0])

    def meet(self, wall: Floats) -> Floats:
        """Local (y, z) where the endplate meets a wall given as y = wall[0] + wall[1] z."""
        y = float(wall[0])
        for _ in range(8):
            y = float(wall[0] + wall[1] * self.at(y))
        return np.array([y, self.at(y)])

    def line(self, low_y: float, high_y: float) -> Floats:
        """Intercept and slope of the straight line nearest to the endplate between two y."""
        y = np.linspace(low_y, high_y, 41)
        z = self.midline(y)
        return np.asarray(np.linalg.lstsq(np.stack([np.ones_like(y), y], axis=-1), z, rcond=None)[0])


def _slab(body: Body) -> Mask:
    """Sagittal slices (nx,) that make up the mid-sagittal plane: 8 mm, or three voxels of a coarse label."""
    half = max(_SLAB_MM, 1.5 * body.spacing_mm)
    central: Mask = np.abs(body.grid.x) <= half
    return central


def _rim_mm(body: Body) -> float:
    """Width of the rim in which the label's stair-steps round the edge off."""
    return max(1.0, 0.75 * body.spacing_mm)


def _front_wall(body: Body) -> Floats:
    """Intercept and slope over z of the front wall's y in the midline."""
    slab = _slab(body)
    middle = int(np.argmin(np.abs(body.grid.y)))
    ahead, occupancy = body.mask[slab][:, middle:, :], body.occupancy[slab][:, middle:, :]
    count = ahead.shape[1] - np.argmax(ahead[:, ::-1, :], axis=1)
    z = np.broadcast_to(body.grid.z, count.shape)
    last = np.clip(count - 1, 0, ahead.shape[1] - 2)
    a = np.take_along_axis(occupancy, last[:, None, :], axis=1)[:, 0].astype(float)
    b = np.take_along_axis(occupancy, (last + 1)[:, None, :], axis=1)[:, 0].astype(float)
    share = np.clip(np.where(a - b > 1e-6, (a - 0.5) / np.where(a - b > 1e-6, a - b, 1.0), 0.5), 0, 1)
    y = body.grid.y[middle + last] + share * body.grid.step_mm
    low, high = _front_band(body)
    good = ahead.any(axis=1) & (z > low) & (z < high)
    return robust_line(z[good], y[good])


def _front_band(body: Body) -> tuple[float, float]:
    """Local z between which the front wall is read: the body's front third without its rims."""
    ys = body.grid.y[np.isfinite(body.top).any(axis=0)]
    ahead = body.grid.y > ys.max() - 0.25 * np.ptp(ys)
    slab = _slab(body)
    top, bottom = body.top[slab][:, ahead], body.bottom[slab][:, ahead]
    high, low = float(np.nanmedian(top)), float(np.nanmedian(bottom))
    inset = min(_rim_mm(body), 0.25 * (high - low))
    return low + inset, high - inset


def _back_wall(body: Body) -> Floats:
    """Intercept and slope over z of the back wall's y in the midline."""
    at = np.abs(body.grid.x) <= _SLAB_MM
    return np.array([body.wall_line[0] + float(np.mean(body.wall_offset[at])), body.wall_line[1]])


def plate_angle_deg(upper: tuple[Frame, Heights], lower: tuple[Frame, Heights], sagittal: Frame) -> float:
    """Angle between the upper endplate of one body and the lower endplate of another, seen along ``sagittal``'s right.

    Positive is kyphosis. With both from one body this is its wedge angle; with the levels above and below it is the
    regional kyphotic angle of Zhang 2022 (upper endplate of the level above to lower endplate of the level below).
    """

    def slope(frame: Frame, line: Floats) -> float:
        along = np.array([0.0, 1.0, line[1]]) @ frame.axes
        return float(np.arctan2(along @ sagittal.axes[2], along @ sagittal.axes[1]))

    return float(np.degrees(slope(lower[0], lower[1].lower) - slope(upper[0], upper[1].upper)))
