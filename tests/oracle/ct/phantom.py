"""A vertebra whose every measure is known, drawn into a scan of any grid.

The body has a superelliptic outline with a flat or hollow back, straight or hollow endplates, a shell of cortex and a
trabecular inside; behind it an arch of pedicles, laminae, transverse processes and a spinous process. A hole in the
shell, a gas cleft and cement can be added. A voxel's value is the mean over sub-points inside it (partial volume), the
label is decided at its centre.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from features.ct.volume import Floats, Volume

SOFT_HU, DISC_HU, GAS_HU, CEMENT_HU = 40.0, 80.0, -950.0, 2000.0
_AT_ONCE = 20_000


@dataclass(frozen=True)
class Hole:
    """A round or square hole through the shell: at local ``centre`` of the face, ``size_mm`` across."""

    site: str
    size_mm: float
    centre: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Blob:
    """An ellipsoid (or, ``box``, a block) of gas or cement: local centre and half axes, mm."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    box: bool = False

    def holds(self, p: Floats) -> np.ndarray:
        q = np.abs((p - np.array(self.centre)) / np.array(self.half))
        return q.max(axis=-1) <= 1 if self.box else (q**2).sum(axis=-1) <= 1

    @property
    def volume_ml(self) -> float:
        return float(np.prod(self.half)) * (8 if self.box else 4 * np.pi / 3) / 1000


@dataclass(frozen=True)
class Vertebra:
    """Half width, depths in front of and behind the centre, heights and shell of one vertebra, mm; its HU."""

    half_width: float = 22.0
    front: float = 17.0
    back: float = 14.0
    anterior: float = 26.0
    posterior: float = 28.0
    hollow: float = 0.0
    hollow_back: float = 1.5
    power: float = 2.6
    cortex: float = 1.2
    trabecular_hu: float = 110.0
    cortex_hu: float = 650.0
    arch: bool = True
    holes: tuple[Hole, ...] = ()
    gas: tuple[Blob, ...] = ()
    cement: tuple[Blob, ...] = ()

    @property
    def middle(self) -> float:
        """Height at the middle of the depth, which lies (front - back) / 2 ahead of the centre."""
        y = (self.front - self.back_mid) / 2
        return float(self.top(np.zeros(1), np.array([y]))[0] - self.bottom(np.zeros(1), np.array([y]))[0])

    @property
    def back_mid(self) -> float:
        return self.back - self.hollow_back

    @property
    def wedge_deg(self) -> float:
        rise = (self.posterior - self.anterior) / 2 / (self.front + self.back_mid)
        return float(2 * np.degrees(np.arctan(rise)))

    def top(self, x: Floats, y: Floats) -> Floats:
        depth = self.front + self.back_mid
        share = (self.front - y) / depth
        half = (self.anterior + (self.posterior - self.anterior) * share) / 2
        r2 = (x / self.half_width) ** 2 + ((y - (self.front - self.back_mid) / 2) / (depth / 2)) ** 2
        return half - self.hollow * np.clip(1 - r2, 0, None)

    def bottom(self, x: Floats, y: Floats) -> Floats:
        return -self.top(x, y)

    def depth_inside(self, p: Floats) -> Floats:
        """Signed distance-like depth (mm) below the body's surface: positive inside. Exact enough near flat faces."""
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        wall = -self.back + self.hollow_back * np.clip(1 - (x / 12.0) ** 2, 0, None)
        ahead = y > 0
        round_depth = self._ellipse_depth(x, y, np.where(ahead, self.front, self.back * 1.6))
        radial = np.where(ahead, round_depth, np.minimum(round_depth, y - wall))
        return np.minimum(self.top(x, y) - np.abs(z), radial)

    def _ellipse_depth(self, x: Floats, y: Floats, b: Floats) -> Floats:
        u, v = np.abs(x) / self.half_width, np.abs(y) / b
        # powers are what drawing a phantom waits for: each is taken once
        slope_u, slope_v = u ** (self.power - 1), v ** (self.power - 1)
        slope = self.power * np.hypot(slope_u / self.half_width, slope_v / b)
        return (1 - u * slope_u - v * slope_v) / np.maximum(slope, 1e-3)

    def in_arch(self, p: Floats) -> np.ndarray:
        if not self.arch:
            return np.zeros(p.shape[:-1], dtype=bool)
        x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2]
        lift = self.posterior * 0.18
        pedicle = (x > 10.5) & (x < 18.5) & (y < -self.back + 3) & (y > -self.back - 12) & (np.abs(z - lift) < 6.5)
        lamina = (x < 18.5) & (np.abs(y + self.back + 17 + 0.25 * (18 - x)) < 3.2) & (np.abs(z) < 10)
        spine = (x < 3.0) & (y < -self.back - 20) & (y > -self.back - 45) & (np.abs(z + 4 - 0.25 * (y + 36)) < 8)
        wing = (x > 14) & (x < 40) & (np.abs(y + self.back + 10) < 4) & (np.abs(z - lift) < 4)
        return pedicle | lamina | spine | wing

    def volume_ml(self, step: float = 0.25) -> float:
        axis = np.arange(-34, 34, step) + step / 2
        p = np.stack(np.meshgrid(axis, axis, np.array([0.0]), indexing="ij"), axis=-1)
        x, y = p[..., 0, 0], p[..., 0, 1]
        inside = self.depth_inside(p)[..., 0] > 0
        return float(((self.top(x, y) - self.bottom(x, y)) * inside).sum()) * step**2 / 1000

    def hu(self, p: Floats) -> tuple[np.ndarray, np.ndarray, Floats]:
        """HU, label (bool) and depth at local points (..., 3); HU is NaN where the vertebra says nothing."""
        depth = self.depth_inside(p)
        body, arch = depth > 0, self.in_arch(p)
        value = np.where(body, np.where(depth < self.cortex, self.cortex_hu, self.trabecular_hu), np.nan)
        # the shell is open where a pedicle joins
        value = np.where(arch & ~body, 350.0, value)
        joined = arch & body & (depth < self.cortex)
        value = np.where(joined, 350.0, value)
        for hole in self.holes:
            value = np.where(body & (depth < self.cortex + 0.01) & self._in_hole(hole, p), SOFT_HU, value)
        for blob in self.gas:
            value = np.where(blob.holds(p), GAS_HU, value)
        for blob in self.cement:
            value = np.where(blob.holds(p), CEMENT_HU, value)
        return value, body | arch, depth

    def _in_hole(self, hole: Hole, p: Floats) -> np.ndarray:
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        plane = {
            "superior_endplate": (x, y, z > 0),
            "inferior_endplate": (x, y, z < 0),
            "anterior": (x, z, y > 6),
            "posterior": (x, z, y < -6),
            "lateral_left": (y, z, x < -8),
            "lateral_right": (y, z, x > 8),
        }[hole.site]
        u, v, side = plane
        return side & (np.hypot(u - hole.centre[0], v - hole.centre[1]) < hole.size_mm / 2)


def rotation(rx: float, ry: float, rz: float) -> Floats:
    """Turns by degrees about the three axes, x first."""
    a, b, c = np.radians([rx, ry, rz])
    mx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    my = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    mz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return mz @ my @ mx


@dataclass(frozen=True)
class Scene:
    """Vertebrae by label value, their centres (mm) along a common axis, turned together, in a scan."""

    vertebrae: dict[int, tuple[Vertebra, tuple[float, float, float]]]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_hu: float = 20.0
    seed: int = 0
    shift: tuple[float, float, float] = (0.13, -0.21, 0.37)
    fine_mm: float = 0.4
    margin: float = 6.0
    extra: dict = field(default_factory=dict)

    def render(self) -> tuple[Volume, Volume]:
        """Scan (float32 HU) and labels (uint8)."""
        turn = rotation(*self.turn)
        affine, shape = self._grid(turn)
        steps, start = affine[:3, :3].T @ turn, affine[:3, 3] @ turn
        hu, label, shell = self._at_centres(steps, start, shape)
        mixed = np.argwhere(shell | (ndimage.maximum_filter(hu, 3) != ndimage.minimum_filter(hu, 3)))
        offsets = self._offsets() @ steps
        for low in range(0, len(mixed), _AT_ONCE):
            index = mixed[low : low + _AT_ONCE]
            points = index @ steps + start
            hu[tuple(index.T)] = sum(self._at(points + offset)[0] for offset in offsets) / len(offsets)
        noise = np.random.default_rng(self.seed).normal(0, self.noise_hu, shape) if self.noise_hu else 0.0
        return Volume((hu + noise).astype(np.float32), affine), Volume(label, affine)

    def _at_centres(
        self, steps: Floats, start: Floats, shape: tuple[int, int, int]
    ) -> tuple[Floats, np.ndarray, np.ndarray]:
        """HU and label at the centre of each voxel, and whether a shell may be within the voxel."""
        hu, label, shell = np.empty(shape), np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=bool)
        reach = float(np.linalg.norm(self.spacing)) / 2 + 0.5
        plane = np.indices(shape[1:]).reshape(2, -1).T @ steps[1:] + start
        # plane by plane: what is worked on then stays in the processor's cache
        for i in range(shape[0]):
            found = self._at(plane + i * steps[0], reach)
            hu[i], label[i], shell[i] = (part.reshape(shape[1:]) for part in found)
        return hu, label, shell

    def _offsets(self) -> Floats:
        """Points (n, 3) spread over one voxel, as shares of it; no two share a coordinate."""
        count = int(np.clip(np.prod([np.ceil(step / self.fine_mm) for step in self.spacing]), 8, 96))
        if max(self.spacing) > 0.6:
            count = max(count, 32)
        golden = 1.2207440846057596  # the root of g**4 = g + 1: its powers spread points evenly in three dimensions
        return (np.arange(1, count + 1)[:, None] * golden ** -np.arange(1.0, 4.0) + 0.5) % 1.0 - 0.5

    def _grid(self, turn: Floats) -> tuple[Floats, tuple[int, int, int]]:
        reach = []
        for vertebra, centre in self.vertebrae.values():
            tail = -vertebra.back - (46 if vertebra.arch else 2)
            w = 41 if vertebra.arch else vertebra.half_width + 1
            h = max(vertebra.anterior, vertebra.posterior) / 2 + 1
            box = np.array(
                [[sx * w, y, sz * h] for sx in (-1, 1) for y in (tail, vertebra.front + 1) for sz in (-1, 1)]
            )
            reach.append((box + np.array(centre)) @ turn.T)
        points = np.concatenate(reach)
        low, high = points.min(axis=0) - self.margin, points.max(axis=0) + self.margin
        count = np.ceil((high - low) / np.array(self.spacing)).astype(int)
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = low + np.array(self.shift)
        return affine, (int(count[0]), int(count[1]), int(count[2]))

    def _at(self, local: Floats, reach: float = 0.0) -> tuple[Floats, np.ndarray, np.ndarray]:
        """At points (n, 3) along the vertebrae's axes: HU, label, and whether a shell is within ``reach`` mm."""
        value = np.full(len(local), SOFT_HU)
        label, shell = np.zeros(len(local), dtype=np.uint8), np.zeros(len(local), dtype=bool)
        for number, (vertebra, centre) in self.vertebrae.items():
            p = local - np.array(centre)
            near = np.flatnonzero((np.abs(p) < (42.0, 64.0, 40.0)).all(axis=-1))
            if len(near) == 0:
                continue
            own, inside, depth = vertebra.hu(p[near])
            value[near] = np.where(np.isfinite(own), own, value[near])
            label[near[inside]] = number
            shell[near] |= (depth > -reach) & (depth < vertebra.cortex + reach)
        return value, label, shell


def one(vertebra: Vertebra | None = None, **scene: object) -> Scene:
    """A single L1 (VerSe label 20)."""
    return Scene({20: (vertebra or Vertebra(), (0.0, 0.0, 0.0))}, **scene)  # type: ignore[arg-type]


def three(middle: Vertebra, outer: Vertebra | None = None, gap: float = 9.0, **scene: object) -> Scene:
    """T12, L1 and L2 (VerSe 19, 20, 21) in a straight stack, ``gap`` mm of disc between their centres' edges."""
    outer = outer or Vertebra(anterior=27.0, posterior=27.0)
    pitch = (max(middle.anterior, middle.posterior) + max(outer.anterior, outer.posterior)) / 2 + gap
    return Scene(
        {19: (outer, (0.0, 0.0, pitch)), 20: (middle, (0.0, 0.0, 0.0)), 21: (outer, (0.0, 0.0, -pitch))},
        **scene,  # type: ignore[arg-type]
    )


def flipped(volume: Volume, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same scan stored with its index axes permuted and reversed."""
    voxels, affine = volume.voxels.transpose(axes), volume.affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
            voxels = np.flip(voxels, axis)
    return replace(volume, voxels=np.ascontiguousarray(voxels), affine=affine)
