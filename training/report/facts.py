"""The facts of a report, section by section, as its template reads them. Nothing is computed from patients here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from features.after_surgery import LANDMARK_DAY
from features.build import PREDICTORS
from features.dictionary import VARIABLES, fingerprint
from features.errors import UsageError
from models.calibrated import LEAKAGE_PARTS
from models.linear import LinearBody
from models.nomogram import nomogram
from models.nomogram_svg import svg as nomogram_svg
from training.promote import SUFFIX, gate
from training.report import coefficients, page, panels, tripod
from training.report.evaluation import shown_count
from training.report.made_up import made_up
from training.report.page import Picture
from training.report.source import Source
from training.report.validation_facts import validation_facts
from training.report.words import LEARNERS, METRICS, PARTS, after_surgery, horizon, labels, predictor_label, reason

#: The parts of the report by id, in order.
SECTIONS = {
    "top": "Title",
    "key": "Key numbers",
    "purpose": "Model card",
    "participants": "Participants",
    "characteristics": "Characteristics",
    "missing": "Missing data",
    "outcome": "Outcome",
    "predictors": "Predictors",
    "sample-size": "Sample size",
    "methods": "Methods",
    "model": "The model",
    "performance": "Performance",
    "competing": "Competing risks",
    "subgroups": "Subgroups",
    "splits": "Later patients and other centres",
    "use": "Use",
    "limits": "Limits",
    "versions": "Versions and digests",
    "tripod": "TRIPOD+AI",
}
_KEY = (
    ("oe", "Observed / expected"),
    ("calibration_slope", "Calibration slope"),
    ("ici", "ICI"),
    ("auc", "AUC"),
    ("scaled_brier", "Scaled Brier score"),
    ("net_benefit_20", "Net benefit when acting from 20 %"),
)


def report_facts(source: Source, now: str) -> dict[str, Any]:
    """Everything that ``report.html`` shows; ``now`` is when the report is made, as text."""
    card, evaluation = source.card, source.evaluation
    checks = gate(card.outcome, source.version.metrics, card.role)
    validation = validation_facts(source)
    names = labels(card.outcome)
    return {
        "title": _title(source),
        "sections": SECTIONS,
        "contents": [pair for pair in SECTIONS.items() if pair[0] != "competing" or evaluation["incidence"]],
        "release": _release(validation["sample_size"]),
        "landmark": LANDMARK_DAY if after_surgery(card.outcome) else 0,
        "horizon": horizon(card.outcome),
        "follow_up": evaluation.get("follow_up_days"),
        "made": now,
        "version": source.version,
        "card": card,
        "learner": LEARNERS[card.learner],
        "synthetic": card.data_status == "synthetic",
        "judged": _judged(source),
        "checks": checks,
        "passed": all(check.passed for check in checks),
        "flow": evaluation["flow"],
        "rejected_reasons": [(reason(name), n) for name, n in evaluation["flow"].get("rejected_reasons", {}).items()],
        "left_out": [(reason(name), count) for name, count in evaluation["left_out"].items()],
        "unit": "vertebrae" if card.outcome == "leakage" else "operations",
        "event_counts": [(PARTS[name], shown_count(count)) for name, count in card.events.items()],
        "reached": _reached(evaluation),
        "characteristics": [_characteristic(one, names) for one in evaluation["characteristics"]],
        "predictors": [_predictor(one) for one in PREDICTORS[card.outcome]],
        "performance": [_performance(source, one) for one in evaluation["horizons"]],
        "parts_performance": _parts(source),
        "competing": _competing(source),
        "model": _model(source),
        "examples": made_up(source.model, source.characteristics),
        "prior": _prior(card.prior, names),
        "versions": _versions(source),
        "validation": validation,
        "tripod": tripod.answers(validation["computed"]),
    }


def _prior(prior: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str, float, float, str]]:
    """Each published effect that the model started from: part, predictor, mean, SD, source."""
    return [
        (PARTS.get(part, part), names.get(column, column), one["mean"], one["sd"], one["from"])
        for part, effects in prior.get("effects", {}).items()
        for column, one in effects.items()
    ]


def _release(size: Mapping[str, Any]) -> str:
    """How the version stands by its size, as a sentence; empty where that was not computed."""
    if not size:
        return ""
    state = str(size["state"])
    return f"By its size it is {state}{': ' + size['reason'] if size['reason'] else ''}."


def _title(source: Source) -> str:
    card = source.card
    what = "cement leakage" if card.outcome == "leakage" else "a new vertebral fracture"
    when = "after" if after_surgery(card.outcome) else "before"
    return f"Predicting {what} {when} vertebroplasty or kyphoplasty: {LEARNERS[card.learner]}"


def _judged(source: Source) -> list[tuple[str, str]]:
    """The key numbers at the judged horizon, calibration first."""
    end, found = SUFFIX[source.card.outcome], source.version.metrics
    return [(label, panels.metric_text(found, name + end)) for name, label in _KEY]


def _reached(evaluation: Mapping[str, Any]) -> str:
    """Which horizons follow-up reaches, in words; empty where there are none."""
    months = [str(one["months"]) for one in evaluation["horizons"] if one["months"] is not None]
    return f"{', '.join(months)} months" if months else ""


def _characteristic(one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """One predictor as lines of cells: overall, with and without the event."""
    lines = []
    if "quartiles" in one:
        lines.append(("median (quartiles)", [_quartiles(one["quartiles"][group]) for group in _GROUPS]))
    for level, groups in one.get("levels", {}).items():
        lines.append((level, [_share(groups[group]) for group in _GROUPS]))
    share = one["unknown_share"]
    order = -(share or 0.0)
    return {"label": names[one["name"]], "unknown": one["unknown"], "share": share, "order": order, "lines": lines}


_GROUPS = ("all", "event", "no_event")


def _quartiles(found: list[float] | None) -> str:
    return "too few known" if found is None else f"{found[1]:g} ({found[0]:g} to {found[2]:g})"


def _share(found: list[int] | None) -> str:
    if found is None:
        return "fewer than 5"
    return f"{found[0]:,} of {found[1]:,} ({100 * found[0] / found[1]:.1f} %)" if found[1] else "-"


def _predictor(one: Any) -> dict[str, str]:
    variable = VARIABLES.get(one.variable)
    forms = {"continuous": "restricted cubic spline, or a line", "flag": "yes or no", "score": "equal steps",
             "levels": "one coefficient per level"}  # fmt: skip
    return {
        "label": predictor_label(one),
        "definition": variable.definition if variable else "",
        "known": one.known_at.name.lower(),
        "form": forms[one.shape],
        "source": variable.source if variable else "",
    }


def _performance(source: Source, one: Mapping[str, Any]) -> dict[str, Any]:
    """The table and figures of one horizon. ``rows``: groups of (name, label, ideal, value, text)."""
    found, end = source.version.metrics, one["suffix"]
    groups = [
        (title, [(name + end, label, ideal, found[name + end], panels.metric_text(found, name + end))
                 for name, label, ideal in members if name + end in found])
        for title, members in METRICS
    ]  # fmt: skip
    return {
        "title": "" if one["months"] is None else f"Within {horizon(source.card.outcome, one['months'])}",
        "id": end.strip("_") or "any",
        "groups": groups,
        "agreement": page.drawn(
            panels.agreement_figure(one),
            _agreement_words(one),
            "Calibration with the counts of predicted risks below it (bars of fewer than 5 are not drawn), and "
            f"predicted risk of those with and without {one['event']}. "
            f"ICI {panels.metric_text(found, 'ici' + end)}, E50 {panels.metric_text(found, 'e50' + end)}, "
            f"E90 {panels.metric_text(found, 'e90' + end)}.",
        ),
        "decision": page.drawn(
            panels.decision_figure(one),
            _decision_words(one),
            "Net benefit of acting on those at or above the threshold, beside acting on all and on none.",
        ),
    }


def _agreement_words(one: Mapping[str, Any]) -> str:
    """What the calibration figure shows, for those who cannot see it."""
    curve = one["calibration"]
    predicted, observed = curve["predicted"], curve["observed"]
    places = sorted({0, len(predicted) // 2, len(predicted) - 1})
    points = "; ".join(
        f"{100 * predicted[place]:.0f} % predicted, {100 * observed[place]:.0f} % observed"
        for place in places
        if observed[place] is not None
    )
    spread = one["distribution"]
    return (
        f"Calibration curve of {one['event']}: {points}. Median predicted risk "
        f"{100 * spread['event'][2]:.0f} % with and {100 * spread['no_event'][2]:.0f} % without the event."
    )


def _decision_words(one: Mapping[str, Any]) -> str:
    decision = one["decision"]
    points = "; ".join(
        f"at {100 * cut:.0f} % {value:.3f}"
        for cut, value in zip(decision["thresholds"], decision["value"], strict=True)
        if value is not None and round(100 * cut) in (10, 20, 30)
    )
    return f"Decision curve of {one['event']}, net benefit of the model by threshold: {points}."


def _parts(source: Source) -> list[tuple[str, list[tuple[str, float, str]]]]:
    """Metrics by route of a leak, or by cause and horizon of a refracture: (part, [(metric, value, text)])."""
    found = source.version.metrics
    names = LEAKAGE_PARTS[1:] if source.card.outcome == "leakage" else ("same", "adjacent", "remote", "death")
    rows = []
    for part in names:
        wanted = [name for name in found if _is_of(name, part)]
        wanted.sort(key=lambda name: (name.partition(part)[0], len(name), name))  # 3 months before 12
        rows.append((PARTS[part], [(name, found[name], panels.metric_text(found, name)) for name in wanted]))
    return [(label, cells) for label, cells in rows if cells]


def _is_of(name: str, part: str) -> bool:
    return f"_{part}" in name and part in name.split("_") and not name.endswith(("_lo", "_hi"))


def _competing(source: Source) -> dict[str, Any] | None:
    """Cumulative incidence of each cause, with its figure; None for leakage."""
    incidence = source.evaluation["incidence"]
    if incidence is None:
        return None
    names = {"any": "any refracture"} | {cause: PARTS[cause] for cause in ("same", "adjacent", "remote", "death")}
    days = incidence["days"]
    rows = []
    for cause, label in names.items():
        curve, naive = incidence["aalen_johansen"][cause], incidence["one_minus_kaplan_meier"][cause]
        for months, day in ((3, 91.0), (12, 365.0), (24, 730.0)):
            if day in days:
                at = days.index(day)
                text = panels.interval(curve["value"][at], curve["lo"][at], curve["hi"][at], 3)
                rows.append((label, months, text, naive[at], naive[at] - curve["value"][at]))
    words = "; ".join(f"{label} by {months} months {text}" for label, months, text, _, _ in rows if months == 24)
    figure = page.drawn(
        panels.incidence_figure(incidence, {cause: label[:1].upper() + label[1:] for cause, label in names.items()}),
        f"Cumulative incidence of each cause beside one minus Kaplan-Meier. {words}.",
        "Cumulative incidence by Aalen and Johansen with death and the other causes competing, and what one minus "
        "Kaplan-Meier would have said, which treats the dead as if they could still fracture. Months above.",
    )
    return {"rows": rows, "figure": figure, "calibration": _by_cause(source.competing, names)}


def _by_cause(competing: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, int, str, list[str], str]]:
    """Each event by each horizon: mean predicted incidence, and how it agrees with the observed one or why not."""
    rows = []
    for row in competing.get("rows", ()):
        judged = [row["calibration"].get(name, {}) for name in ("oe", "calibration_slope", "ici")]
        cells = [panels.interval(one.get("value"), one.get("lo"), one.get("hi"), 3) for one in judged]
        predicted = "-" if row["predicted"] is None else f"{row['predicted']:.3f}"
        rows.append((names[row["event"]], row["months"], predicted, cells, row["reason"]))
    return rows


def _model(source: Source) -> dict[str, Any]:
    """Effects, equation and nomogram of a linear model, or the SHAP summary of a boosted one."""
    model = source.model
    explained = model.parts[: model.head.explained]
    if not isinstance(model.body, LinearBody):
        return {"linear": False, "shap": _shap(source), "explained": [PARTS[part] for part in explained]}
    baselines = getattr(model.head, "hazard", None)
    grid = [] if baselines is None else [float(day) for day in model.head.grid_days]  # type: ignore[union-attr]
    return {
        "linear": True,
        "ratio": "Hazard ratio" if baselines is not None else "Odds ratio",
        "explained": [PARTS[part] if model.outcome != "leakage" else "any leak" for part in explained],
        "effects": coefficients.effects(model, source.characteristics),
        "equation": coefficients.equation(model),
        "part_names": [PARTS[part] for part in model.parts],
        "baseline": [] if baselines is None else list(zip(grid, baselines.cumsum(axis=1).T.tolist(), strict=True)),
        "nomogram": _nomogram(source),
    }


def _nomogram(source: Source) -> Picture | None:
    try:
        found = nomogram(source.model)
    except UsageError:  # every patient has the same risk: there is nothing to draw
        return None
    axes = "; ".join(axis.label for axis in found.axes)
    return page.svg(nomogram_svg(found), f"Nomogram: {found.title}. Axes: {axes}. {' '.join(found.notes)}", found.title)


def _shap(source: Source) -> Picture | None:
    if source.shap is None:
        return None
    order = "The SHAP summary of the boosted model over simulated rows, the predictors with most weight at the top."
    return page.png(
        source.shap, order, "Contribution of each predictor over simulated rows: none of them is a patient."
    )


def _versions(source: Source) -> list[tuple[str, str]]:
    """What identifies model, data and code."""
    card, version = source.card, source.version
    fixed = [
        ("Registered model", f"{card.name}, version {version.version}"),
        ("Aliases", ", ".join(version.aliases) or "none"),
        ("Training", card.training_id),
        ("MLflow run", version.run_id),
        ("sha256 of the model", version.sha256),
        ("sha256 of the data", card.data_digest),
        ("Fingerprint of the variable dictionary", fingerprint()),
        ("Commit of the code", source.tags.get("git_commit", "unknown")),
    ]
    settings = [(f"Setting: {reason(name)}", str(value)) for name, value in card.settings.items()]
    packages = [(f"Package: {name}", value) for name, value in sorted(card.packages.items())]
    prior = [(f"Prior: {reason(name)}", _plain(value)) for name, value in card.prior.items() if name != "effects"]
    return [*fixed, *prior, *settings, *packages]


def _plain(value: Any) -> str:
    """A stored value in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
