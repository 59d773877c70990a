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
_AXIS = np.arange(-12.0, 12.01, 0.15)


@dataclass(frozen=True, slots=True)
class Steps:
    """Share of a voxel beyond a plane, by blur (``_BLURS``, mm) and by distance of its centre (``_AXIS``, mm)."""

    shares: Floats

    @staticmethod
    def of(offsets: Floats) -> Steps:
        """``offsets`` (n,): how far points spread over one voxel lie along the plane's normal, mm."""
        return Steps(np.stack([ndtr((_AXIS[:, None] + offsets) / blur).mean(axis=1) for blur in _BLURS]))

    def at_blur(self, blur: float) -> tuple[Floats, Floats, Floats]:
        """The shares over ``_AXIS``, their change with distance and with blur (per mm)."""
        step = float(_BLURS[1] - _BLURS[0])
        at = float(np.clip((blur - _BLURS[0]) / step, 0, len(_BLURS) - 1.000001))
        low = int(at)
        rise = (self.shares[low + 1] - self.shares[low]) / step
        shares = self.shares[low] + (at - low) * step * rise
        return shares, np.gradient(shares, _AXIS), rise


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

    def outward(self, p: Floats) -> tuple[Floats, float]:
        """Distance of each voxel's centre outward of the surface, mm, and the cosine of the surface's slope."""
        cosine = float(1 / np.sqrt(1 + p[1] ** 2 + p[4] ** 2))
        return self.side * (self.z - self.terms @ p[:8]) * cosine, cosine

    def misfit(self, p: Floats) -> tuple[Floats, Floats]:
        """Weighted misfit (n,) of each voxel in units of ``MISFIT_HU``, and its Jacobian (n, 13)."""
        outward, cosine = self.outward(p)
        shares, by_distance, by_blur = self.steps.at_blur(float(p[BLUR]))
        beyond, slope, spread = (np.interp(outward, _AXIS, table) for table in (shares, by_distance, by_blur))
        inner = outward + p[THICKNESS]
        beyond_in, slope_in, spread_in = (np.interp(inner, _AXIS, table) for table in (shares, by_distance, by_blur))
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

    def tissues(self, surface: Floats) -> tuple[Floats, float]:
        """For a surface (8,) the best HU outside, inside and of the shell, the rest as ``prior``; and the cost."""
        p = self.prior.copy()
        p[:8] = surface
        misfit, jacobian = self.misfit(p)
        columns = jacobian[:, SOFT : SHELL + 1]
        target = columns @ p[SOFT : SHELL + 1] - misfit
        for _ in range(2):
            damp = 1 / (1 + misfit**2) ** 0.25
            normal = (columns * damp[:, None]).T @ (columns * damp[:, None]) + 1e-6 * np.eye(3)
            p[SOFT : SHELL + 1] = np.linalg.solve(normal, (columns * damp[:, None]).T @ (target * damp))
            p = np.clip(p, _LOWEST, _HIGHEST)
            misfit = columns @ p[SOFT : SHELL + 1] - target
        return p, self.cost(p, misfit)


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
        step = np.linalg.solve(normal + caution * np.diag(np.diag(normal) + 1e-9), -slope)
        trial = np.clip(p + step, _LOWEST, _HIGHEST)
        trial_misfit, trial_jacobian = problem.misfit(trial)
        trial_cost = problem.cost(trial, trial_misfit)
        if trial_cost < cost:
            done = cost - trial_cost < 1e-5 * cost
            p, misfit, jacobian, cost = trial, trial_misfit, trial_jacobian, trial_cost
            caution = max(caution / 5, 1e-6)
            if done:
                break
        else:
            caution *= 6
            if caution > 1e6:
                break
    return p, cost
