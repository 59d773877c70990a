"""What the training side shows on a terminal: versions side by side, the outcome of a training, a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.promote import AUC_ALARM, SUFFIX, Check, Decision, faults, gate, refusal
from training.report.words import horizon

if TYPE_CHECKING:
    from training.fit import Report, Trained
    from training.tracking import Version

_HOW = {"cv": "cross-validated", "bootstrap": "bootstrap-corrected"}
#: Calibration first, discrimination second.
_SHOWN = (
    ("oe", "O/E"),
    ("calibration_slope", "slope"),
    ("ici", "ICI"),
    ("auc", "AUC"),
    ("scaled_brier", "scaled Brier"),
    ("log_loss", "log loss"),
    ("net_benefit_20", "net benefit at 20 %"),
)


def compare_table(versions: Sequence[Version]) -> str:
    """The versions of one outcome, each metric with its 95 % interval."""
    outcome = versions[0].outcome
    end = SUFFIX[outcome]
    rows = [["version", "learner", "alias", "gate", *(label for _, label in _SHOWN)]]
    for version in versions:
        numbers = [_with_interval(version.metrics, name + end) for name, _ in _SHOWN]
        rows.append([version.version, version.learner, ",".join(version.aliases), _passed(version), *numbers])
    when = "" if outcome == "leakage" else f" by {horizon(outcome)}"
    refused = [version for version in versions if faults(version)]
    reasons = ["not passed:", *map(refusal, refused)] if refused else []
    how = " or ".join(_HOW[name] for name in sorted({version.validation for version in versions}, reverse=True))
    return "\n".join([f"{outcome}{when}, out of sample ({how} by patient)", _aligned(rows), *reasons])


def _passed(version: Version) -> str:
    return "no" if faults(version) else "passed"


def contrast_table(heads: Sequence[str], rows: Sequence[list[str]]) -> str:
    """Paired differences between the learners of one training; ``rows`` begin with the names of the learners."""
    return f"paired differences on the same patients, first - second\n{_aligned([['learners', *heads], *rows])}"


def compare_json(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The same for a program, with every metric."""
    return [
        {
            "outcome": version.outcome,
            "version": version.version,
            "learner": version.learner,
            "role": version.role,
            "aliases": list(version.aliases),
            "training_id": version.training_id,
            "data_status": version.data_status,
            "validation": version.validation,
            "gate": [check_json(check) for check in gate(version.outcome, version.metrics, version.role)],
            "metrics": dict(version.metrics),
        }
        for version in versions
    ]


def check_json(check: Check) -> dict[str, Any]:
    """One condition of the gate as JSON can hold it."""
    return {"name": check.name, "found": check.found, "asked": check.asked, "passed": check.passed}


def training_text(report: Report) -> str:
    """What a training did: who trained, who was left out, and which version may be promoted."""
    lines = [f"{report.read} rows read, {report.accepted} accepted, {report.rejected} rejected"]
    if report.rejected:
        lines.append("the rejected rows, each with its reason: cemrisk check EXPORT --out DIR")
    for outcome, learners in report.no_such_learner.items():
        lines.append(f"left out: {', '.join(learners)} does not exist for {outcome}")
    for trained in report.trained:
        lines += ["", *_outcome_lines(trained), compare_table(trained.versions)]
        found = trained.challenger
        lines.append(
            f"to release it: cemrisk promote {trained.outcome} {found.version}"
            if found
            else "no version passes the gate, so none is proposed"
        )
        lines += [_alarm(version) for version in trained.versions if _raises_alarm(version)]
    lines += [f"\n{outcome} was not trained: {reason}" for outcome, reason in report.untrained.items()]
    return "\n".join(lines)


def _raises_alarm(version: Version) -> bool:
    return version.metrics.get(f"auc{SUFFIX[version.outcome]}", 0.0) > AUC_ALARM


def _alarm(version: Version) -> str:
    return (
        f"*** version {version.version} ({version.learner}): an AUC above {AUC_ALARM} is an alarm, not a success: look "
        "for a variable that is known only after the operation, and for patients who stand on both sides of a split"
    )


def _outcome_lines(trained: Trained) -> list[str]:
    events = ", ".join(f"{name} {count}" for name, count in trained.events.items())
    unit = "vertebrae" if trained.outcome == "leakage" else "operations"
    lines = [f"{trained.outcome}: {trained.rows} {unit} of {trained.patients} patients; events: {events}"]
    lines += [f"  left out, {reason.replace('_', ' ')}: {count}" for reason, count in trained.left_out.items() if count]
    return lines


def training_json(report: Report) -> dict[str, Any]:
    """The same for a program."""
    return {
        "read": report.read,
        "accepted": report.accepted,
        "rejected": report.rejected,
        "trained": [
            {
                "outcome": trained.outcome,
                "training_id": trained.training_id,
                "rows": trained.rows,
                "patients": trained.patients,
                "events": trained.events,
                "left_out": trained.left_out,
                "challenger": trained.challenger.version if trained.challenger else None,
                "versions": compare_json(trained.versions),
            }
            for trained in report.trained
        ],
        "untrained": dict(report.untrained),
        "no_such_learner": {outcome: list(names) for outcome, names in report.no_such_learner.items()},
    }


def decision_text(decision: Decision) -> str:
    """What was decided, with each condition of the gate."""
    marks = [
        f"  {'passed' if check.passed else 'FAILED'}  {check.said if check.passed else check.fault}"
        for check in decision.checks
    ]
    before = f", before it version {decision.before}" if decision.before not in (None, decision.version) else ""
    head = f"{decision.outcome}: version {decision.version} ({decision.learner}) is champion{before}"
    return "\n".join([head, *marks])


def _with_interval(metrics: Any, name: str) -> str:
    if name not in metrics:
        return "-"
    low, high = metrics.get(f"{name}_lo"), metrics.get(f"{name}_hi")
    spread = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{metrics[name]:.3f}{spread}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
