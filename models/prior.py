"""The documented prior: published effects that the models of a small registry may start from.

A prior is a file (``models/priors/published.yaml`` says how it is written) with, for each part of an outcome and each
column of its matrix, the mean and the spread of an effect on the log-odds or log-hazard scale per unit of the column,
each with its source. It is off unless asked for. How much of it a model keeps is learned from the registry
(models/averaging.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Outcome
from features.errors import Finding, InputRejected, UsageError
from features.outcome import CAUSES, ROUTES
from models.design import Design

Floats = NDArray[np.float64]

#: The prior that comes with the package, by the name under which it is asked for.
PUBLISHED = "published"
_PUBLISHED_FILE = Path(__file__).parent / "priors" / "published.yaml"
#: Effects are stated for these parts. ``any`` of refracture is the common start of its three causes.
PARTS: dict[Outcome, tuple[str, ...]] = {"leakage": ("any", *ROUTES), "refracture": ("any", *CAUSES)}

_TOP = {"name", "about", "transport", "unlisted_sd", "curve_sd", "sources", "effects"}
_SPREADS = ("transport", "unlisted_sd", "curve_sd")
_PUBLISHED_KEYS = {"source", "ratio", "low", "high", "keep"}
_ASSUMED_KEYS = {"assumed", "sd", "why"}
_Z95 = 1.959963984540054
_LARGEST_FILE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Effect:
    """Mean and standard deviation of a coefficient, per unit of its column, and where they come from."""

    mean: float
    sd: float
    origin: str


@dataclass(frozen=True, slots=True)
class Prior:
    """A prior as read. ``effects``: outcome -> part -> column (``column.level`` for a level) -> effect."""

    name: str
    about: str
    sha256: str
    unlisted_sd: float
    curve_sd: float
    effects: Mapping[str, Mapping[str, Mapping[str, Effect]]]

    @classmethod
    def load(cls, where: str | Path) -> Prior:
        """The prior of a file, or the one that comes with the package for ``"published"``.

        Raises ``InputRejected``, naming every field that is wrong, or saying why the file cannot be read.
        """
        import yaml

        path = _PUBLISHED_FILE if str(where) == PUBLISHED else Path(where)
        try:
            content = path.read_bytes()[: _LARGEST_FILE_BYTES + 1]
        except OSError as error:
            raise InputRejected(
                f"the prior cannot be read ({type(error).__name__}): give a file, or the word {PUBLISHED}"
            ) from error
        if len(content) > _LARGEST_FILE_BYTES:
            raise InputRejected("the prior is over 1 MiB: that is not a file of effects")
        try:
            tree = yaml.safe_load(content.decode("utf-8"))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputRejected(f"the prior is not UTF-8 YAML ({type(error).__name__})") from error
        return cls.of(tree, hashlib.sha256(content).hexdigest())

    @classmethod
    def of(cls, tree: Any, sha256: str) -> Prior:
        """A prior from the tree of its file; raises ``InputRejected`` naming every field that is wrong."""
        findings = list(_faults(tree))
        if findings:
            listed = "; ".join(f"{finding.variable}: {finding.detail}" for finding in findings)
            raise InputRejected(f"the prior is not as models/priors/published.yaml is written: {listed}", findings)
        transport = float(tree["transport"])
        effects = {
            outcome: {
                part: {name: _effect(row, transport) for name, row in rows.items()} for part, rows in parts.items()
            }
            for outcome, parts in tree["effects"].items()
        }
        spreads = {name: float(tree[name]) for name in ("unlisted_sd", "curve_sd")}
        return cls(str(tree["name"]), str(tree["about"]), sha256, effects=effects, **spreads)

    def terms(self, outcome: Outcome, part: str, design: Design) -> tuple[Floats, Floats]:
        """Mean and standard deviation (q,) each of the coefficients of the design's standardised terms."""
        stated = self.effects[outcome][part]
        mean, sd = np.zeros(design.width), np.full(design.width, self.curve_sd)
        place = 0
        for predictor, term in zip(PREDICTORS[outcome], design.terms, strict=True):
            names = [f"{term.column}.{level}" for level in predictor.levels[1:]] or [term.column]
            for step, name in enumerate(names):
                effect, scale = stated.get(name), design.scale[place + step]
                mean[place + step] = effect.mean * scale if effect else 0.0
                sd[place + step] = effect.sd * scale if effect else self.unlisted_sd
            place += term.width
        return mean, sd

    def described(self, outcome: Outcome) -> dict[str, Any]:
        """What a model card shows of it: name, digest, and the effects on one outcome with their sources."""
        rows = {
            part: {name: {"mean": e.mean, "sd": e.sd, "from": e.origin} for name, e in effects.items()}
            for part, effects in self.effects[outcome].items()
        }
        return {"name": self.name, "sha256": self.sha256, "about": self.about, "effects": rows}


def asked_for(where: str | None, outcomes: tuple[str, ...]) -> Prior | None:
    """The prior that the command line names, None without one; ``UsageError`` if it lacks an outcome."""
    if where is None:
        return None
    prior = Prior.load(where)
    lacking = [outcome for outcome in outcomes if outcome not in prior.effects]
    if lacking:
        raise UsageError(f"--prior: the file has no effects on {' or '.join(lacking)}; choose --outcome accordingly")
    return prior


def _effect(row: Mapping[str, Any], transport: float) -> Effect:
    if "assumed" in row:
        return Effect(float(row["assumed"]), float(row["sd"]), f"assumed: {row['why']}")
    per = float(row.get("per", 1.0))
    mean = float(row["keep"]) * math.log(row["ratio"]) / per
    error = math.log(row["high"] / row["low"]) / (2 * _Z95) / per
    origin = f"{row['source']}: {row['ratio']} ({row['low']} to {row['high']}), of which {row['keep']} is kept"
    return Effect(mean, math.hypot(error, transport * mean), origin + (f": {row['why']}" if "why" in row else ""))


def _faults(tree: Any) -> Iterator[Finding]:
    if not isinstance(tree, Mapping):
        yield _fault("prior", "a table is expected")
        return
    yield from (_fault(name, "is missing") for name in sorted(_TOP - set(tree)))
    yield from (_fault(str(name), "is not known") for name in tree if name not in _TOP)
    for name in _SPREADS:
        if name in tree and not (_is_number(tree[name]) and tree[name] >= (0 if name == "transport" else 1e-6)):
            yield _fault(name, "a number above 0 is expected" + (" (or 0)" if name == "transport" else ""))
    sources, effects = tree.get("sources", {}), tree.get("effects", {})
    if not isinstance(sources, Mapping):
        yield _fault("sources", "a table of name and citation is expected")
        sources = {}
    if not isinstance(effects, Mapping) or not effects:
        yield _fault("effects", "a table with leakage, refracture or both is expected")
        return
    for outcome, parts in effects.items():
        yield from _outcome_faults(outcome, parts, sources)


def _outcome_faults(outcome: Any, parts: Any, sources: Mapping[str, Any]) -> Iterator[Finding]:
    where = f"effects.{outcome}"
    if outcome not in PARTS:
        yield _fault(where, f"is no outcome; there are {' and '.join(PARTS)}")
        return
    wanted = PARTS[outcome]
    if not isinstance(parts, Mapping) or set(parts) != set(wanted):
        yield _fault(where, f"exactly the parts {', '.join(wanted)} are expected")
        return
    known = set(_columns(outcome))
    for part, rows in parts.items():
        if not isinstance(rows, Mapping):
            yield _fault(f"{where}.{part}", "a table of columns is expected")
            continue
        for name, row in rows.items():
            place = f"{where}.{part}.{name}"
            if name not in known:
                yield _fault(place, f"is no column; there are {', '.join(sorted(known))}")
            yield from _row_faults(place, row, sources)


def _row_faults(place: str, row: Any, sources: Mapping[str, Any]) -> Iterator[Finding]:
    keys = set(row) if isinstance(row, Mapping) else set()
    assumed = "assumed" in keys
    needed, allowed = (_ASSUMED_KEYS, _ASSUMED_KEYS) if assumed else (_PUBLISHED_KEYS, _PUBLISHED_KEYS | {"per", "why"})
    if not needed <= keys <= allowed:
        yield _fault(place, "source, ratio, low, high, keep (and per, why) or assumed, sd, why are expected")
        return
    numbers = [name for name in keys if name not in ("source", "why")]
    if not all(_is_number(row[name]) for name in numbers):
        yield _fault(place, f"{', '.join(sorted(numbers))} must be numbers")
    elif assumed:
        if not row["sd"] > 0:
            yield _fault(place, "sd must be above 0")
    elif not (0 < row["low"] <= row["ratio"] <= row["high"] and row["low"] < row["high"]):
        yield _fault(place, "0 < low <= ratio <= high is expected")
    elif not (0 <= row["keep"] <= 1 and row.get("per", 1.0) > 0):
        yield _fault(place, "keep from 0 to 1 and per above 0 are expected")
    elif row["keep"] < 1 and not row.get("why"):
        yield _fault(place, "keep below 1 needs a why")
    if not assumed and row["source"] not in sources:
        yield _fault(place, "its source is not among the sources")


def _columns(outcome: Outcome) -> Iterator[str]:
    for predictor in PREDICTORS[outcome]:
        yield from [f"{predictor.name}.{level}" for level in predictor.levels[1:]] or [predictor.name]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fault(place: str, detail: str) -> Finding:
    return Finding("prior", place, detail)
