"""TRIPOD+AI (Collins 2024, BMJ 385:e078378): each of its 27 items with where the report answers it, or who must.

The items are put in our own words. An item is ``answered`` by a section of the report, ``partly`` where the study must
add what no export tells, ``open`` where only the people of the study can answer it, or where this run did not compute
what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """``section``: id of the answering part of the report; ``rest``: what is still to be said, and by whom.

    ``needs``: what must have been computed for the section to answer it.
    """

    number: str
    topic: str
    asks: str
    section: str = ""
    rest: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An item and how it stands in one report: answered, partly or open."""

    item: Item
    status: str
    section: str
    rest: str


_STUDY = "The study must say this; no export holds it."

ITEMS: tuple[Item, ...] = (
    Item("1", "Title", "Says that a prediction model is developed or evaluated, for whom and for what outcome", "top"),
    Item("2", "Abstract", "A structured summary", "key", "A paper needs its own abstract."),
    Item("3a", "Background", "The clinical setting, why the model is needed, which models exist", "purpose",
         "Existing models and the reasons of the study are for its authors."),
    Item("3b", "Background", "Target population, intended purpose in the course of care, intended users", "purpose"),
    Item("3c", "Background", "Known inequalities of health between groups of people", "", _STUDY),
    Item("4", "Objectives", "Whether the study develops or validates a model, or both", "purpose"),
    Item("5a", "Data", "Where the data of development and evaluation come from, and whom they represent",
         "participants", "How patients came into the registry and whom they represent."),
    Item("5b", "Data", "Dates: start and end of accrual, end of follow-up", "participants",
         "Years are given; exact dates are for the study."),
    Item("6a", "Participants", "Setting, number and place of centres", "participants", "Setting and place of centres."),
    Item("6b", "Participants", "Who was eligible", "participants"),
    Item("6c", "Participants", "Treatments received and how they were dealt with", "predictors",
         "Care after the operation, which no predictor holds."),
    Item("7", "Data preparation", "Checks and preparation of the data, and whether alike in all groups",
         "participants", "Whether data quality differs between groups of people."),
    Item("8a", "Outcome", "Definition, horizon, how and when assessed, whether alike in all groups", "outcome",
         "Whether groups of people were followed and imaged alike."),
    Item("8b", "Outcome", "Who judged the outcome, where judgement is needed", "", _STUDY),
    Item("8c", "Outcome", "Whether those who judged the outcome were blind to the predictors", "", _STUDY),
    Item("9a", "Predictors", "How candidate predictors were chosen", "predictors"),
    Item("9b", "Predictors", "Definition of every predictor, how and when measured", "predictors"),
    Item("9c", "Predictors", "Who judged predictors, where judgement is needed", "", _STUDY),
    Item("10", "Sample size", "How the size came about and whether it is enough", "sample-size", "", "sample_size"),
    Item("11", "Missing data", "How missing values were handled, and why data were left out", "missing"),
    Item("12a", "Analysis", "How the data were used for development and for evaluation", "methods"),
    Item("12b", "Analysis", "Form in which predictors enter: transformed, rescaled, splines", "methods"),
    Item("12c", "Analysis", "Type of model, all steps of building it, tuning, internal validation", "methods"),
    Item("12d", "Analysis", "How differences between centres were dealt with and measured", "splits", "", "centres"),
    Item("12e", "Analysis", "All measures and plots of performance, and comparison of models", "performance"),
    Item("12f", "Analysis", "Any updating or recalibration", "methods"),
    Item("12g", "Analysis", "How predictions were computed", "model"),
    Item("13", "Class imbalance", "Whether and how imbalance was dealt with", "methods"),
    Item("14", "Fairness", "What was done for fairness and why", "subgroups",
         "The choice of groups that matter in the study's population.", "subgroups"),
    Item("15", "Model output", "Probability or class, and how thresholds were chosen", "methods"),
    Item("16", "Training versus evaluation", "Differences between development and evaluation data", "splits",
         "", "splits"),
    Item("17", "Ethics", "Approval and consent", "", _STUDY),
    Item("18a", "Funding", "Source of funding and its role", "", _STUDY),
    Item("18b", "Conflicts of interest", "Declared interests", "", _STUDY),
    Item("18c", "Protocol", "Where the protocol is, or that there is none", "", _STUDY),
    Item("18d", "Registration", "Where the study is registered, or that it is not", "", _STUDY),
    Item("18e", "Data sharing", "Whether and how the data can be had", "versions",
         "Whether the registry's data can be had; the digest here only identifies them."),
    Item("18f", "Code sharing", "Whether and how the code can be had", "versions"),
    Item("19", "Patients and public", "How patients and the public took part", "", _STUDY),
    Item("20a", "Participants", "Flow of participants, with and without the outcome, follow-up", "participants"),
    Item("20b", "Participants", "Characteristics, predictors, missing values, outcomes; differences between groups",
         "characteristics"),
    Item("20c", "Participants", "Development and evaluation data compared", "splits", "", "splits"),
    Item("21", "Model development", "Participants and events in each analysis", "outcome"),
    Item("22", "Model specification", "The full model, so that others can compute and test it", "model"),
    Item("23a", "Performance", "Estimates with intervals, also for groups of people; plots", "performance",
         "", "subgroups"),
    Item("23b", "Performance", "Differences of performance between centres", "splits", "", "centres"),
    Item("24", "Model updating", "The updated model and its performance", "methods"),
    Item("25", "Interpretation", "What the results mean, fairness included, beside earlier studies", "limits",
         "The comparison with earlier studies is for the authors."),
    Item("26", "Limitations", "Limits of sample, data and method, and what they do to the results", "limits",
         "What limits this registry in particular."),
    Item("27a", "Usability", "What to do with poor or missing input", "use"),
    Item("27b", "Usability", "What users must do and know", "use"),
    Item("27c", "Usability", "What should be studied next", "limits"),
)  # fmt: skip

_HOW = {
    "sample_size": "Not computed in this run: train again with a version that states the minimum sample size.",
    "subgroups": "Subgroups were not computed in this run.",
    "splits": "Splits in time or by centre were not computed in this run.",
    "centres": "Leaving out one centre at a time was not computed in this run, or there is only one centre.",
}


def answers(computed: frozenset[str]) -> list[Answer]:
    """All items; ``computed`` names what this run has of sample_size, subgroups, splits, centres."""
    return [_answer(item, computed) for item in ITEMS]


def _answer(item: Item, computed: frozenset[str]) -> Answer:
    if not item.section:
        return Answer(item, "open", "", item.rest)
    if item.needs and item.needs not in computed:
        status = "partly" if item.number == "23a" else "open"
        return Answer(item, status, item.section, " ".join(filter(None, (_HOW[item.needs], item.rest))))
    return Answer(item, "partly" if item.rest else "answered", item.section, item.rest)
