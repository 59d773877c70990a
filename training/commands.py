"""What the verbs of the training side do with their arguments: each gives the exit code and what is to be printed.

Text is printed as it is, a dictionary as JSON. ``say`` takes what goes to standard error.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.build import Outcome, outcomes_at
from features.dictionary import Moment
from features.errors import NotReady, TooLittleData, UsageError
from features.files import write_whole
from models.release import OUTCOMES

if TYPE_CHECKING:
    from training.promote import Decision
    from training.tracking import Store

Shown = tuple[int, str | dict[str, Any]]
Say = Callable[[str], None]


def train(arguments: Namespace, store: Store) -> Shown:
    """Fit, log, register, report."""
    from training import tables
    from training.fit import Job
    from training.fit import train as run
    from training.progress import Bar

    job = Job(
        export=arguments.export,
        outcomes=asked_outcomes(arguments.outcome, arguments.moment),
        learner=arguments.learner,
        seed=arguments.seed,
        dictionary=arguments.dictionary,
        mapping=arguments.mapping,
        engine=arguments.engine,
        prior=arguments.prior,
        bootstrap=arguments.bootstrap,
    )
    report = run(job, store, Bar())
    code = TooLittleData.exit_code if report.untrained else 0
    return code, tables.training_json(report) if arguments.json else tables.training_text(report)


def asked_outcomes(outcome: str, moment: str) -> tuple[Outcome, ...]:
    """Which models ``--outcome`` and ``--moment`` mean.

    Raises ``UsageError`` for leakage after surgery: by then it is known.
    """
    if moment == "preop":
        return tuple(one for one in outcomes_at(Moment.PLANNED) if outcome in ("all", one))
    if outcome == "leakage":
        raise UsageError("leakage has no model after surgery: the first image shows it. Leave --moment postop out")
    return outcomes_at(Moment.POSTOP)


def compare(arguments: Namespace, store: Store, say: Say) -> Shown:
    """Show what is registered, and write the page if a file is named; raises ``NotReady`` if nothing is."""
    from training import tables
    from training.report import compare as comparing
    from training.report import page

    # A registry may well have no model for after surgery: it is missed only if it is asked for.
    wanted = [outcome for outcome in OUTCOMES if arguments.outcome in (None, outcome)]
    needed = (arguments.outcome, *outcomes_at(Moment.PLANNED))
    outcomes = [outcome for outcome in wanted if outcome in needed or store.versions(outcome)]
    if arguments.out:
        page.refuse_unknown_ending(arguments.out)
        write_whole(arguments.out, comparing.text(store, outcomes))
        say(f"wrote {arguments.out}")
    groups = [one for outcome in outcomes for one in comparing.trainings(store, outcome)]
    if not groups:
        raise NotReady("nothing is trained yet: run cemrisk train EXPORT")
    if arguments.json:
        versions = [row for outcome in outcomes for row in tables.compare_json(store.versions(outcome))]
        contrasts = [{"training_id": one.training_id} | dict(pair) for one in groups for pair in one.contrasts]
        return 0, {"versions": versions, "contrasts": contrasts}
    return 0, "" if arguments.out else "\n\n".join(_compared(store, outcome) for outcome in outcomes)


def _compared(store: Store, outcome: str) -> str:
    """All versions of an outcome, and the paired differences of its newest training."""
    from training import tables
    from training.report import compare as comparing

    groups = comparing.trainings(store, outcome)
    if not groups:
        return f"nothing is trained for {outcome} yet"
    shown = [tables.compare_table(store.versions(outcome))]
    if groups[0].contrasts:
        heads = [label for _, label in comparing.CONTRASTED]
        shown.append(tables.contrast_table(heads, comparing.contrast_rows(groups[0])))
    return "\n".join(shown)


def promote(arguments: Namespace, store: Store) -> Shown:
    """Decide, and show the decision record."""
    from training.promote import promote as run

    decision = run(store, arguments.outcome, arguments.version, force=arguments.force, why=arguments.why)
    return _shown(decision, arguments.json)


def rollback(arguments: Namespace, store: Store) -> Shown:
    """Go back, and show the decision record."""
    from training.promote import rollback as run

    return _shown(run(store, arguments.outcome, why=arguments.why), arguments.json)


def _shown(decision: Decision, as_json: bool) -> Shown:
    from training import tables

    return 0, asdict(decision) if as_json else tables.decision_text(decision)


def report(arguments: Namespace, store: Store, say: Say) -> Shown:
    """Write the report of a version; raises ``UsageError`` for an outcome or an ending of the file that is not one."""
    from training.report import command

    version = command.report(store, arguments.outcome, arguments.version, arguments.out)
    if arguments.version is None and "champion" not in version.aliases:
        which = "the challenger" if "challenger" in version.aliases else "the newest version"
        say(f"no version of {version.outcome} is champion yet: this is {which}")
    say(f"wrote {arguments.out}: {version.outcome} version {version.version} ({version.learner})")
    return 0, ""


def score(arguments: Namespace, home: Path, say: Say) -> Shown:
    """Score and say what was done."""
    from training.progress import Bar
    from training.score import score as run

    bar = Bar()
    scored = run(
        arguments.cases,
        arguments.out,
        home,
        detection=arguments.detection,
        moment=Moment.PLANNED if arguments.moment == "preop" else Moment.POSTOP,
        dictionary=arguments.dictionary,
        mapping=arguments.mapping,
        progress=lambda done, total: bar("scoring", done, total),
    )
    if scored.ignored:
        when = "the plan" if arguments.moment == "preop" else "the first images"
        say(f"not looked at, known only after {when}: {', '.join(scored.ignored)}")
    for notice in scored.notices:
        say(f"*** {notice}")
    if arguments.json:
        counts = {"rows": scored.rows, "without_risk": scored.without_risk}
        return 0, counts | {"ignored": list(scored.ignored), "notices": list(scored.notices)}
    return 0, f"{scored.rows} rows written, {scored.without_risk} of them without risks (reasons in the last column)"


def cohort(arguments: Namespace, say: Say) -> Shown:
    """Compare groups, and write the table if a file is named."""
    from training import cohort_table, cohort_text

    if arguments.out:
        cohort_table.refuse_unknown_ending(arguments.out)
    choices = cohort_table.Choices(arguments.numbers, arguments.variances == "equal")
    table = cohort_table.command(
        arguments.export, arguments.by, dictionary=arguments.dictionary, mapping=arguments.mapping, choices=choices
    )
    if arguments.out:
        cohort_text.write(table, arguments.out)
        say(f"wrote {arguments.out}")
    if arguments.json:
        return 0, cohort_text.as_json(table)
    return 0, "" if arguments.out else cohort_text.as_text(table)
