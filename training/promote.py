"""The gate between a trained version and the service, and the record of each decision.

A version may be champion if, out of sample, it beats the base rate on log loss, its calibration slope and
observed/expected lie within the limits below, its AUC raises no alarm (above 0.85 published models of this field turned
out to be artefacts), and it was trained on enough patients or is excused by a prior
(training/validate/standing.py). The Cox model of leakage is a comparator, for leakage has no time axis: it is promoted
only by force.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.build import Outcome
from features.errors import GateRefused, NotReady, UsageError
from features.files import locked
from models.release import OUTCOMES, training_command, write_release

if TYPE_CHECKING:
    from training.tracking import Store, Version

#: Two decisions at once could leave the service on one version and the alias on the other.
LOCK = "decisions.lock"
SLOPE_LIMITS = (0.80, 1.25)
OE_LIMITS = (0.85, 1.18)
AUC_ALARM = 0.85
_FORCE = "or override the gate by naming the version: --force --why 'the reason'"
#: What whoever is refused can do.
WAY_OUT = f"Train on more patients, {_FORCE}"
_PATIENTS, _ROLE, _YES = "number of patients", "not a comparator", "yes"
#: The horizon at which a refracture model is judged.
SUFFIX = {"leakage": "", "refracture": "_m12", "refracture-postop": "_m12"}


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate: what was measured, what is asked, whether it holds."""

    name: str
    found: float
    asked: str
    passed: bool

    @property
    def said(self) -> str:
        """The condition, what was measured and what is asked, as text."""
        if self.name == _ROLE:
            return "a model to be released, not a comparator"
        return f"{self.name}: {self.shown} (asked {self.asked})"

    @property
    def fault(self) -> str:
        """What is wrong if it does not hold, as text."""
        if self.name == _ROLE:
            return "it is a comparator, kept to compare the other learners with"
        return f"{self.name} is {self.shown}, asked {self.asked}"

    @property
    def shown(self) -> str:
        """What was measured, as text: a count whole, yes or no in words."""
        if self.name == _ROLE:
            return _YES if self.found else "no"
        return f"{self.found:,.0f}" if self.name == _PATIENTS else f"{self.found:.4g}"


def gate(outcome: str, metrics: Mapping[str, float], role: str = "model") -> list[Check]:
    """All conditions, passed or not; a metric that is missing fails its condition."""
    end = SUFFIX[outcome]
    loss, base = (metrics.get(f"{name}{end}", float("nan")) for name in ("log_loss", "log_loss_base"))
    slope, oe, auc = (metrics.get(f"{name}{end}", float("nan")) for name in ("calibration_slope", "oe", "auc"))
    return [
        Check("log loss below the base rate's", loss, f"< {base:.4f}", loss < base),
        Check(
            "calibration slope",
            slope,
            f"{SLOPE_LIMITS[0]} to {SLOPE_LIMITS[1]}",
            SLOPE_LIMITS[0] <= slope <= SLOPE_LIMITS[1],
        ),
        Check("observed / expected", oe, f"{OE_LIMITS[0]} to {OE_LIMITS[1]}", OE_LIMITS[0] <= oe <= OE_LIMITS[1]),
        Check("AUC without alarm", auc, f"<= {AUC_ALARM}", auc <= AUC_ALARM),
        _enough_patients(metrics, end),
        Check(_ROLE, float(role == "model"), _YES, role == "model"),
    ]


def _enough_patients(metrics: Mapping[str, float], end: str) -> Check:
    patients, needed = (metrics.get(f"{name}{end}", float("nan")) for name in ("patients", "patients_needed"))
    excused = metrics.get(f"released_by_prior{end}") == 1.0
    asked = f">= {needed:,.0f}" + (", excused by its prior" if excused else "")
    return Check(_PATIENTS, patients, asked, patients >= needed or excused)


def best_candidate(versions: list[Version]) -> Version | None:
    """Of the versions of one training that pass the gate the one with the smallest out-of-sample log loss."""
    passing = [v for v in versions if all(check.passed for check in gate(v.outcome, v.metrics, v.role))]
    return min(passing, key=lambda v: v.metrics[f"log_loss{SUFFIX[v.outcome]}"], default=None)


def faults(version: Version) -> str:
    """Which conditions of the gate a version fails, in words; empty if it passes."""
    return _listed(check for check in gate(version.outcome, version.metrics, version.role) if not check.passed)


def refusal(version: Version) -> str:
    """The same as an indented line with the version's name."""
    return f"  version {version.version} ({version.learner}): {faults(version)}"


def _listed(failed: Iterable[Check]) -> str:
    return "; ".join(check.fault for check in failed)


def way_out(failed: Sequence[Check]) -> str:
    """What whoever is refused can do: no number of patients makes a model of a comparator."""
    return f"Name a version of another learner, {_FORCE}" if any(check.name == _ROLE for check in failed) else WAY_OUT


@dataclass(frozen=True, slots=True)
class Decision:
    """The record of a promotion or a rollback."""

    at: str
    action: str
    outcome: str
    version: str
    learner: str
    before: str | None
    forced: bool
    why: str
    checks: list[Check]


def promote(store: Store, outcome: str, number: str | None, *, force: bool = False, why: str = "") -> Decision:
    """Move ``champion`` to a version, put its bundle in force, keep the record.

    Without a number the challenger, the best version of the last training, is meant. Raises ``GateRefused`` with the
    conditions that fail, unless ``force`` is given with a reason; ``UsageError``, ``NotReady``.
    """
    _refuse_unknown(outcome)
    if force and not why.strip():
        raise UsageError("--force needs --why: the reason is kept in the decision record")
    with locked(store.home / LOCK):
        version = store.version(outcome, number) if number else _challenger(store, outcome)
        checks = gate(outcome, version.metrics, version.role)
        failed = [check for check in checks if not check.passed]
        if failed and not force:
            said = f"{outcome} version {version.version} does not pass the gate: {_listed(failed)}"
            raise GateRefused(f"{said}. {way_out(failed)}")
        return _decide(store, "promote", version, forced=bool(failed), why=why, checks=checks)


def rollback(store: Store, outcome: str, *, why: str = "") -> Decision:
    """Back to the champion before; raises ``NotReady`` if there was none, or no champion at all.

    A champion that had been forced past the gate comes back only with a reason: ``GateRefused`` without.
    """
    _refuse_unknown(outcome)
    with locked(store.home / LOCK):
        version = store.by_alias(outcome, "previous")
        if version is None:
            raise NotReady(_no_way_back(store, outcome))
        checks = gate(outcome, version.metrics, version.role)
        failed = [check.name for check in checks if not check.passed]
        if failed and not why.strip():
            said = f"{outcome} version {version.version}, the champion before, does not pass the gate"
            raise GateRefused(f"{said} ({', '.join(failed)}): give the reason with --why to go back to it")
        return _decide(store, "rollback", version, forced=bool(failed), why=why, checks=checks)


def _refuse_unknown(outcome: str) -> None:
    if outcome not in OUTCOMES:
        raise UsageError(f"the outcome must be one of {', '.join(OUTCOMES)}")


def _no_way_back(store: Store, outcome: str) -> str:
    """Why there is nothing to roll back to, and what to do."""
    if not store.versions(outcome):
        return _untrained(outcome)
    if store.by_alias(outcome, "champion") is None:
        return f"{outcome} has no champion yet, nor one before it: run cemrisk promote {outcome}"
    ways = f"cemrisk promote {outcome} VERSION for another one, or cemrisk stop {outcome} --why 'the reason' for none"
    return f"{outcome} has no champion before the present one: run {ways}"


def _untrained(outcome: str) -> str:
    return f"nothing is trained for {outcome} yet: run {training_command(outcome)}"


def _challenger(store: Store, outcome: str) -> Version:
    challenger = store.by_alias(outcome, "challenger")
    if challenger is not None:
        return challenger
    found = store.versions(outcome)
    if not found:
        raise NotReady(_untrained(outcome))
    last = [one for one in found if one.training_id == found[-1].training_id]
    each = "\n".join(refusal(version) for version in last)
    raise GateRefused(f"no version of the last training of {outcome} passes the gate:\n{each}\n{WAY_OUT}")


def _decide(store: Store, action: str, version: Version, *, forced: bool, why: str, checks: list[Check]) -> Decision:
    outcome: Outcome = version.outcome  # type: ignore[assignment]
    before = store.by_alias(outcome, "champion")
    fellows = [v for v in store.versions(outcome) if v.training_id == version.training_id]
    folders = {v.learner: store.folder(v) for v in fellows}
    numbers = {v.learner: v.version for v in fellows}
    decision = Decision(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        action=action,
        outcome=outcome,
        version=version.version,
        learner=version.learner,
        before=before.version if before else None,
        forced=forced,
        why=why,
        checks=checks,
    )
    # The record first, then the service, then the aliases: whatever is cut short can be done again and is on record.
    keep(store.home, decision)
    try:
        write_release(store.home, outcome, version.learner, folders, numbers, version.training_id)
        store.record(version, asdict(decision))
        if before is not None and before.version != version.version:
            store.set_alias(outcome, "previous", before.version)
        store.set_alias(outcome, "champion", version.version)
    except BaseException:
        keep(store.home, replace(decision, action=f"{action} failed"))
        raise
    return decision


def keep(home: Path, decision: Decision) -> None:
    """Append the decision to ``decisions.jsonl`` and wait until it is on disk."""
    with (home / "decisions.jsonl").open("a") as file:
        file.write(json.dumps(asdict(decision), sort_keys=True, default=str) + "\n")
        file.flush()
        os.fsync(file.fileno())
