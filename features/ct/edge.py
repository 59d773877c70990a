"""What the voxels beside an endplate should hold, and the surface that explains best what they do hold.

A voxel that an endplate cuts holds a mixture of disc, cortex and trabecular bone. The model of that mixture is a step
with a thin bright shell, blurred by the scanner and averaged over the shape of the voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from features.ct.volume import Floats

#: Parameters after the surface's eight: HU outside, inside, added by the shell; the shell's thickness and the blur, mm.
SOFT, BONE, SHELL, THICKNESS, BLUR = range(8, 13)
#: HU by which a voxel may miss the model before it counts as an outlier.
MISFIT_HU = 40.0
_LOWEST = np.array([*[-np.inf] * 8, -200.0, -500.0, 0.0, 0.4, 0.15])
_HIGHEST = np.array([*[np.inf] * 8, 400.0, 900.0, 3000.0, 2.0, 1.2])
_BLURS = np.linspace(0.15, 1.2, 8)
_STEP_MM, _FARTHEST_MM = 0.15, 12.0
_AXIS = np.arange(-_FARTHEST_MM, _FARTHEST_MM + 0.01, _STEP_MM)


@dataclass(frozen=True, slots=True)
class Steps:
    """Share of a voxel beyond a plane, by blur (``_BLURS``, mm) and by distance of its centre (``_AXIS``, mm).

    ``tables`` (blurs, distances, 3): the share, its change with distance and with blur (per mm).
    """

    tables: Floats

    @staticmethod
    def of(offsets: Floats) -> Steps:
        """``offsets`` (n,): how far points spread over one voxel lie along the plane's normal, mm."""
        shares = np.stack([ndtr((_AXIS[:, None] + offsets) / blur).mean(axis=1) for blur in _BLURS])
        rises = np.diff(shares, axis=0) / (_BLURS[1] - _BLURS[0])
        rises = np.concatenate([rises, rises[-1:]])
        return Steps(np.stack([shares, np.gradient(shares, _AXIS, axis=1), rises], axis=-1))

    def at_blur(self, blur: float) -> Floats:
        """Share, change with distance and with blur over ``_AXIS``, shape (distances, 3)."""
        step = float(_BLURS[1] - _BLURS[0])
        at = float(np.clip((blur - _BLURS[0]) / step, 0, len(_BLURS) - 1.000001))
        low = int(at)
        table: Floats = self.tables[low] + (at - low) * (self.tables[low + 1] - self.tables[low])
        table[:, 2] = self.tables[low, :, 2]
        return table


def _look_up(table: Floats, distance: Floats) -> Floats:
    """Rows of ``table`` (over ``_AXIS``) between which each distance lies, linearly mixed; its ends beyond."""
    at = np.clip((distance + _FARTHEST_MM) * (1 / _STEP_MM), 0, len(_AXIS) - 1.000001)
    low = at.astype(np.intp)
    share = (at - low)[..., None] if table.ndim > 1 else at - low
    lower: Floats = table[low]
    return lower + share * (table[low + 1] - lower)


@dataclass(frozen=True, slots=True)
class Problem:
    """Voxels beside one endplate, all (n,): ``terms`` (n, 8) and local ``z`` of their centres, ``hu`` and ``weight``.

    ``side`` is 1 above the body, -1 below. The parameters are held to ``prior`` (13,) by ``stiffness`` (13,), the mean
    height of the surface by ``lift_stiffness``.
    """

    terms: Floats
    z: Floats
    hu: Floats
    weight: Floats
    side: float
    steps: Steps
    prior: Floats
    stiffness: Floats
    lift_stiffness: float

    def thinned(self, count: int) -> Problem:
        """The same held by every n-th voxel, so that about ``count`` are left."""
        few = slice(None, None, max(1, len(self.z) // count))
        root = float(np.sqrt(len(self.z[few]) / len(self.z)))
        return Problem(self.terms[few], self.z[few], self.hu[few], self.weight[few], self.side, self.steps,
                       self.prior, self.stiffness * root, self.lift_stiffness * root)  # fmt: skip

    def outward(self, p: Floats) -> tuple[Floats, float]:
        """Distance of each voxel's centre outward of the surface, mm, and the cosine of the surface's slope."""
        cosine = float(1 / np.sqrt(1 + p[1] ** 2 + p[4] ** 2))
        return self.side * (self.z - self.terms @ p[:8]) * cosine, cosine

    def misfit(self, p: Floats) -> tuple[Floats, Floats]:
        """Weighted misfit (n,) of each voxel in units of ``MISFIT_HU``, and its Jacobian (n, 13)."""
        outward, cosine = self.outward(p)
        table = self.steps.at_blur(float(p[BLUR]))
        beyond, slope, spread = _look_up(table, outward).T
        beyond_in, slope_in, spread_in = _look_up(table, outward + p[THICKNESS]).T
        step = p[SOFT] - p[BONE]
        value = p[BONE] + step * beyond + p[SHELL] * (beyond_in - beyond)
        by_outward = step * slope + p[SHELL] * (slope_in - slope)
        jacobian = np.empty((len(self.z), 13))
        jacobian[:, :8] = (-self.side * cosine * by_outward)[:, None] * self.terms
        jacobian[:, SOFT], jacobian[:, BONE], jacobian[:, SHELL] = beyond, 1 - beyond, beyond_in - beyond
        jacobian[:, THICKNESS] = p[SHELL] * slope_in
        jacobian[:, BLUR] = step * spread + p[SHELL] * (spread_in - spread)
        scale = self.weight / MISFIT_HU
        return (value - self.hu) * scale, jacobian * scale[:, None]

    def cost(self, p: Floats, misfit: Floats) -> float:
        """Sum of the misfits (soft L1) and of what the departure from ``prior`` costs."""
        away = (p - self.prior) * self.stiffness
        lift = self.lift_stiffness * float((self.terms @ (p[:8] - self.prior[:8])).mean())
        return float((np.sqrt(1 + misfit**2) - 1).sum() + 0.5 * (away @ away) + 0.5 * lift**2)

    def tissues(self, surfaces: Floats) -> tuple[Floats, Floats]:
        """For each surface (m, 8) the best HU outside, inside and of the shell, the rest as ``prior``; and the costs.

        Shapes (m, 13) and (m,).
        """
        p = np.tile(self.prior, (len(surfaces), 1))
        p[:, :8] = surfaces
        share = np.ascontiguousarray(self.steps.at_blur(float(self.prior[BLUR]))[:, 0])
        cosine = 1 / np.sqrt(1 + surfaces[:, 1] ** 2 + surfaces[:, 4] ** 2)
        outward = self.side * (self.z - surfaces @ self.terms.T) * cosine[:, None]
        beyond, inner = _look_up(share, outward), _look_up(share, outward + self.prior[THICKNESS])
        scale = self.weight / MISFIT_HU
        columns = np.stack([beyond, 1 - beyond, inner - beyond], axis=1) * scale
        target, tissue = self.hu * scale, slice(SOFT, SHELL + 1)
        misfit = (p[:, None, tissue] @ columns)[:, 0] - target
        for _ in range(2):
            damped = columns / np.sqrt(1 + misfit**2)[:, None]
            normal = damped @ columns.transpose(0, 2, 1) + 1e-6 * np.eye(3)
            best = np.linalg.solve(normal, damped @ target[:, None])[..., 0]
            p[:, tissue] = np.clip(best, _LOWEST[tissue], _HIGHEST[tissue])
            misfit = (p[:, None, tissue] @ columns)[:, 0] - target
        away = (p - self.prior) * self.stiffness
        lift = self.lift_stiffness * (surfaces - self.prior[:8]) @ self.terms.mean(axis=0)
        costs = (np.sqrt(1 + misfit**2) - 1).sum(axis=1) + 0.5 * (away**2).sum(axis=1) + 0.5 * lift**2
        return p, costs


def fit(problem: Problem, start: Floats, rounds: int = 25) -> tuple[Floats, float]:
    """Parameters (13,) of least cost near ``start`` and that cost: Levenberg-Marquardt, outliers weighed down."""
    p, caution = np.clip(start, _LOWEST, _HIGHEST), 1e-2
    misfit, jacobian = problem.misfit(p)
    cost = problem.cost(p, misfit)
    mean_terms = problem.terms.mean(axis=0)
    for _ in range(rounds):
        damp = 1 / np.sqrt(1 + misfit**2)
        normal = (jacobian * damp[:, None]).T @ jacobian + np.diag(problem.stiffness**2)
        slope = jacobian.T @ (misfit * damp) + problem.stiffness**2 * (p - problem.prior)
        lifted = problem.lift_stiffness**2 * mean_terms
        normal[:8, :8] += np.outer(lifted, mean_terms)
        slope[:8] += lifted * float(mean_terms @ (p[:8] - problem.prior[:8]))
        # what is pushed against its limit stays there: the others would else be led astray by it, round after round
        held = ((p <= _LOWEST) & (slope > 0)) | ((p >= _HIGHEST) & (slope < 0))
        normal[held], normal[:, held], slope[held] = 0.0, 0.0, 0.0
        damping = caution * normal.diagonal() + 1e-9
        step = np.linalg.solve(normal + np.diag(damping + held), -slope)
        trial = np.clip(p + step, _LOWEST, _HIGHEST)
        trial_misfit, trial_jacobian = problem.misfit(trial)
        trial_cost = problem.cost(trial, trial_misfit)
        done = abs(cost - trial_cost) < 1e-4 * cost
        if trial_cost < cost:
            p, misfit, jacobian, cost = trial, trial_misfit, trial_jacobian, trial_cost
            caution = max(caution / 5, 1e-6)
        else:
            caution *= 6
        if done:
            break
    return p, cost
