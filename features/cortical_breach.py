"""Where the bony shell is broken: the ways out for the cement.

Each function gives 1 broken, 0 intact, NaN unknown, one entry per row, from whatever of ``cortical_disruption``,
``cortical_disruption_site``, ``endplate_disruption`` and ``posterior_wall_defect`` is known. One report of a break
decides, whatever another variable says: a missed break costs more than a doubted one. The source is the variable that
reported the break (or its absence), ``contradiction`` where another one denies it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from features.derived import Columns, Derived, Floats, Objects, coded, first_known, number

ENDPLATE_SITES = frozenset({"superior_endplate", "inferior_endplate"})
POSTERIOR_SITES = frozenset({"posterior"})
ANTERIOR_LATERAL_SITES = frozenset({"anterior", "lateral_left", "lateral_right"})

_ENDPLATE = {"none": 0.0, "upper": 1.0, "lower": 1.0, "both": 1.0}
_POSTERIOR_WALL = {"intact": 0.0, "breached_no_retropulsion": 1.0, "retropulsion": 1.0}
_FORAMEN = {"not_seen": 0.0, "normal": 0.0, "enlarged": 1.0}

_Says = Callable[[Columns], Floats]


def any_breach(columns: Columns) -> Derived:
    """Broken anywhere. Intact only where ``cortical_disruption`` says so: an intact wall says nothing of the others."""
    return _decide(
        columns,
        ("cortical_disruption_site", lambda c: _breaks_only(_sites(c, None))),
        ("cortical_disruption", lambda c: number(c, "cortical_disruption")),
        ("endplate_disruption", lambda c: _breaks_only(coded(c, "endplate_disruption", _ENDPLATE))),
        ("posterior_wall_defect", lambda c: _breaks_only(coded(c, "posterior_wall_defect", _POSTERIOR_WALL))),
    )


def endplate_breach(columns: Columns) -> Derived:
    """An endplate is broken: the way into the disc."""
    return _decide(
        columns,
        ("endplate_disruption", lambda c: coded(c, "endplate_disruption", _ENDPLATE)),
        ("cortical_disruption_site", lambda c: _sites(c, ENDPLATE_SITES)),
        ("cortical_disruption", lambda c: _denials_only(c["cortical_disruption"])),
    )


def posterior_wall_breach(columns: Columns) -> Derived:
    """The posterior wall is broken: the way into the canal."""
    return _decide(
        columns,
        ("posterior_wall_defect", lambda c: coded(c, "posterior_wall_defect", _POSTERIOR_WALL)),
        ("cortical_disruption_site", lambda c: _sites(c, POSTERIOR_SITES)),
        ("cortical_disruption", lambda c: _denials_only(c["cortical_disruption"])),
    )


def anterior_lateral_breach(columns: Columns) -> Derived:
    """The anterior or a lateral wall is broken: the way into the paravertebral space."""
    return _decide(
        columns,
        ("cortical_disruption_site", lambda c: _sites(c, ANTERIOR_LATERAL_SITES)),
        ("cortical_disruption", lambda c: _denials_only(c["cortical_disruption"])),
    )


def basivertebral_foramen_enlarged(columns: Columns) -> Derived:
    """The foramen of the basivertebral vein is enlarged; one that is normal or not seen is not."""
    return _decide(columns, ("basivertebral_foramen", lambda c: coded(c, "basivertebral_foramen", _FORAMEN)))


def _decide(columns: Columns, *witnesses: tuple[str, _Says]) -> Derived:
    """Hear every witness that is there: 1 says broken, 0 intact, NaN nothing. Broken outweighs intact."""
    heard = [(name, says(columns)) for name, says in witnesses if name in columns]
    if not heard:
        return first_known(columns, ())
    value = reduce(np.fmax, [word for _, word in heard])
    return Derived(value, lambda: _witness(columns, heard, value))


def _witness(columns: Columns, heard: Sequence[tuple[str, Floats]], value: Floats) -> Objects:
    """The first that said something, or that they contradict each other."""
    source = first_known(columns, heard).source
    source[(value == 1) & (reduce(np.fmin, [word for _, word in heard]) == 0)] = "contradiction"
    return source


def _sites(columns: Columns, part: frozenset[str] | None) -> Floats:
    """1 where a site of the part (None: any site) is named, 0 where only others are: the set names every break."""
    found = columns["cortical_disruption_site"].tolist()
    if part is None:
        return np.array([np.nan if sites is None else float(bool(sites)) for sites in found], dtype=np.float64)
    return np.array(
        [np.nan if sites is None else float(not part.isdisjoint(sites)) for sites in found], dtype=np.float64
    )


def _breaks_only(word: Floats) -> Floats:
    return np.where(word == 1, 1.0, np.nan)


def _denials_only(word: Floats) -> Floats:
    return np.where(word == 0, 0.0, np.nan)
