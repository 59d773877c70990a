"""The words of the page: nothing without a word in a language, no word without a use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from features.build import PREDICTORS
from features.dictionary import VARIABLES
from features.rules import PATIENT_RULES, RULES
from serving import web
from serving.problem import TITLES
from serving.schema import read_question
from serving.web.languages import LANGUAGES, language
from serving.wording import shown_variable

FOLDER = Path(web.__file__).parent
SCRIPTS = {path.name: path.read_text() for path in FOLDER.glob("*.js")}
OTHERS = [code for code in LANGUAGES if code != "en"]
#: Sections in which a language has the keys that English has; of faults and warnings the service speaks English itself.
SAME_KEYS = ("ui", "variables", "units", "choices", "problems")
HOLES = re.compile(r"\{\w+\}")


def _keys(code: str) -> dict[str, set[str]]:
    return {section: set(language(code)[section]) for section in SAME_KEYS}


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_every_word_that_english_has_and_no_other(code: str) -> None:
    assert _keys(code) == _keys("en")


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_variable_lacks_a_label(code: str) -> None:
    words = language(code)
    shown = {shown_variable(p) for predictors in PREDICTORS.values() for p in predictors}
    assert set(VARIABLES) == set(words["variables"]) >= shown
    texts = [text for section in SAME_KEYS for key, text in words[section].items() if key != "count"]
    assert all(isinstance(text, str) and text.strip() for text in texts)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_choice_and_unit_of_the_form_has_a_word(code: str) -> None:
    words = language(code)
    asked = [VARIABLES[one["name"]] for one in web.dictionary()["variables"] if any(one["form"].values())]
    codes = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)?")  # L1, OF2, PVP
    lacking = [
        f"{variable.name}.{choice}"
        for variable in asked
        for choice in variable.choices
        if not ({choice, f"{variable.name}.{choice}"} & set(words["choices"]) or codes.fullmatch(choice))
    ]
    assert len(asked) > 40 and lacking == []
    assert {variable.unit for variable in asked} - {""} <= set(words["units"])


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_fills_in_what_english_fills_in(code: str) -> None:
    english, own = language("en")["ui"], language(code)["ui"]
    differing = [key for key in english if sorted(HOLES.findall(english[key])) != sorted(HOLES.findall(own[key]))]
    assert differing == []


@pytest.mark.parametrize("code", OTHERS)
def test_every_fault_warning_and_problem_has_words(code: str) -> None:
    words = language(code)
    documented = Path("docs/api.md").read_text().split("\nWarnings: ")[1].split("\n\n")[0]
    warnings = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", documented)) | {"leak_after_landmark"}
    warnings |= {rule.code for rule in RULES if rule.severity == "warn" and "refracture" not in rule.code}
    follow_up = re.compile("refracture|died|last_seen")
    refusals = {rule.code for rule in (*RULES, *PATIENT_RULES) if rule.severity == "reject"}
    refusals = {rule for rule in refusals if not follow_up.search(rule)}
    refusals |= {"required", "wrong_type", "below_limit", "above_limit", "unknown_choice", "known_later", "misplaced"}
    assert len(warnings) > 15 and warnings <= set(words["warnings"])
    assert len(refusals) > 15 and refusals <= set(words["faults"])
    assert set(TITLES) <= set(words["problems"])


def test_every_key_that_is_said_has_words_and_every_word_is_said() -> None:
    page = (FOLDER / "index.html").read_text()
    text = "\n".join(SCRIPTS.values())
    said = set(re.findall(r'say\("([^"]+)"', text)) | set(re.findall(r'data-(?:say|name)="([^"]+)"', page))
    keys = set(language("en")["ui"])
    assert said <= keys
    built = {key.split("${")[0] for key in re.findall(r"say\(`([^`]+)`", text)}  # "route.${route}"
    chosen = {word for word in re.findall(r'"([a-z.]+)"', text) if word in keys}  # say(up ? "raises" : "lowers")
    unsaid = {key for key in keys - said - chosen if not key.startswith((*built, "release."))}
    assert unsaid == set()


def test_every_file_of_the_page_is_served_and_short() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".json")}
    made = {"languages.json", *(f"{code}.json" for code in LANGUAGES)}
    assert set(web.STATIC) == files | made
    assert {path.stem for path in (FOLDER / "languages").glob("*.json")} == set(LANGUAGES)
    assert all(len(text.splitlines()) < 400 for text in SCRIPTS.values())
    assert json.loads(web.asset("languages.json")) == {code: language(code)["name"] for code in LANGUAGES}


def test_the_example_is_a_question() -> None:
    asked = read_question(json.loads(web.asset("example.json")))
    assert asked.levels == ["L1"]
    assert set(asked.given) <= {one["name"] for one in web.dictionary()["variables"] if one["form"]["preop"]}
