"""From the value of a request to a question: types, names, moments, limits and rules, all faults in one report.

What a question may hold is generated from the dictionary: a variable is taken where its scope says (patient or
vertebra) and when its moment allows. Nothing is converted by guessing: ``true`` is no number and ``"60"`` is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from features.check import REQUIRED_IN_QUESTION, judge_patient, judge_record
from features.ct.warnings import CT_WARNINGS
from features.dictionary import VARIABLES, Moment, Scope, Value, Variable
from features.errors import Finding
from features.rules import MOST_VERTEBRAE
from serving.problem import Fault, QuestionRejected

Detection = Literal["CT", "radiograph"]
DETECTIONS: tuple[Detection, ...] = ("CT", "radiograph")
#: The word of a request -> the latest moment whose knowledge it may hold.
MOMENTS: Mapping[str, Moment] = MappingProxyType({"preop": Moment.PLANNED, "postop": Moment.POSTOP})
LONGEST_CASE_ID = 64
MOST_CASES = 1000
MOST_CT_WARNINGS = 256
FIELDS = ("case_id", "moment", "detection", "patient", "vertebrae", "ct")
CT_FIELDS = ("code", "level")

#: What the name of a variable looks like: small words, no run of digits as the number of a patient has.
_NAME = re.compile(r"(?!.*[0-9]{3})[a-z][a-z0-9]{0,15}(_[a-z0-9]{1,15}){0,5}")
_RANK = {name: place for place, name in enumerate(VARIABLES)}


@dataclass(frozen=True, slots=True)
class Question:
    """One patient, valid: ``records`` one per vertebra with the patient's values repeated, ``notes`` what is odd.

    ``given``: the variables that the caller stated, in the dictionary's order, so that a question gives one answer
    however its keys are ordered. ``ct``: code and level (None: the whole scan) of what ``cemrisk ct`` warned of, each
    once.
    """

    records: tuple[dict[str, Value], ...]
    given: tuple[str, ...]
    detection: Detection
    moment: Moment
    case_id: str | None
    notes: tuple[tuple[Finding, str | None], ...]
    ct: tuple[tuple[str, str | None], ...] = ()

    @property
    def levels(self) -> list[str]:
        return [str(record["level"]) for record in self.records]


def accepted_in_question(variable: Variable, latest: Moment) -> bool:
    """Whether a question asked at a moment may state the variable. Identifiers it never may: there is ``case_id``."""
    return not variable.derived and variable.role != "identifier" and variable.known_at <= latest


def read_question(body: Any) -> Question:
    """Check everything and return the question. Raises ``QuestionRejected`` with all faults."""
    faults: list[Fault] = []
    if not isinstance(body, dict):
        raise QuestionRejected([Fault("", "wrong_type", "expected an object with patient and vertebrae")])
    faults += [_unknown(body_key, "", FIELDS) for body_key in body if body_key not in FIELDS]
    moment = MOMENTS[_choice(body, "moment", tuple(MOMENTS), faults)]
    detection = _choice(body, "detection", DETECTIONS, faults)
    case_id = _case_id(body, faults)
    patient, unread = _facts(body.get("patient"), "patient", "/patient", moment, faults)
    vertebrae = [
        _facts(item, "vertebra", f"/vertebrae/{index}", moment, faults)
        for index, item in enumerate(_vertebrae(body, faults))
    ]
    ct = _ct_warnings(body.get("ct"), faults)
    if patient is not None:
        patient.setdefault("treated_count", len(vertebrae))
    records = tuple(_in_order({**(patient or {}), **(own or {})}) for own, _ in vertebrae)
    notes = _judge(records, [unread | own for _, own in vertebrae], moment, faults)
    if faults:
        raise QuestionRejected(list(dict.fromkeys(faults)))
    return Question(records, _given(body), detection, moment, case_id, tuple(notes), ct)  # type: ignore[arg-type]


def _choice(body: Mapping[str, Any], name: str, choices: tuple[str, ...], faults: list[Fault]) -> str:
    """The value of a field that has a default, the first of the choices."""
    value = body.get(name)
    if value is None:
        return choices[0]
    if isinstance(value, str) and value in choices:
        return value
    faults.append(Fault(f"/{name}", "unknown_choice", f"{name}: expected one of {', '.join(choices)}"))
    return choices[0]


def _case_id(body: Mapping[str, Any], faults: list[Fault]) -> str | None:
    value = body.get("case_id")
    if value is None or (isinstance(value, str) and 1 <= len(value) <= LONGEST_CASE_ID):
        return value
    faults.append(
        Fault("/case_id", "wrong_type", f"case_id: expected a pseudonym, a text of 1 to {LONGEST_CASE_ID} characters")
    )
    return None


def _ct_warnings(found: Any, faults: list[Fault]) -> tuple[tuple[str, str | None], ...]:
    """Codes and levels of the warnings that came with measured values; their words are ours, never the caller's."""
    if found is None:
        return ()
    if not isinstance(found, list) or len(found) > MOST_CT_WARNINGS:
        faults.append(Fault("/ct", "wrong_type", f"ct: expected a list of at most {MOST_CT_WARNINGS} warnings"))
        return ()
    read = [_ct_warning(item, f"/ct/{index}", faults) for index, item in enumerate(found)]
    return tuple(dict.fromkeys(entry for entry in read if entry is not None))


def _ct_warning(item: Any, pointer: str, faults: list[Fault]) -> tuple[str, str | None] | None:
    if not isinstance(item, dict):
        faults.append(Fault(pointer, "wrong_type", "ct: expected objects of code and level, as cemrisk ct writes them"))
        return None
    unknown = [_unknown(name, pointer, CT_FIELDS) for name in item if name not in CT_FIELDS]
    code, level = item.get("code"), item.get("level")
    if not isinstance(code, str) or code not in CT_WARNINGS:
        unknown.append(Fault(f"{pointer}/code", "unknown_choice", f"code: expected one of {', '.join(CT_WARNINGS)}"))
    elif level is None and not CT_WARNINGS[code].of_scan:
        unknown.append(Fault(f"{pointer}/level", "required", "level: is required, since the code is said of one level"))
    elif level is not None and (CT_WARNINGS[code].of_scan or level not in VARIABLES["level"].choices):
        unknown.append(
            Fault(f"{pointer}/level", "unknown_choice", "level: expected a level such as L1, or null for a whole scan")
        )
    faults += unknown
    return None if unknown else (str(code), level)


def _vertebrae(body: Mapping[str, Any], faults: list[Fault]) -> list[Any]:
    value = body.get("vertebrae")
    if isinstance(value, list) and len(value) > MOST_VERTEBRAE:
        faults.append(
            Fault(
                "/vertebrae",
                "too_many_vertebrae",
                f"vertebrae: the models know at most {MOST_VERTEBRAE} in one operation",
            )
        )
        return value[:MOST_VERTEBRAE]
    if isinstance(value, list) and value:
        return value
    code, detail = ("required", "is required") if value is None or value == [] else ("wrong_type", "expected a list")
    faults.append(Fault("/vertebrae", code, f"vertebrae: {detail}, with one object for each treated vertebra"))
    return []


def _facts(
    found: Any, scope: Scope, pointer: str, latest: Moment, faults: list[Fault]
) -> tuple[dict[str, Value] | None, frozenset[str]]:
    """The stated values of one object, and the names of those that could not be read."""
    if found is None and scope == "patient":
        faults.append(Fault(pointer, "required", "patient: is required, an object with age_years and sex"))
        return None, frozenset(VARIABLES)
    if not isinstance(found, dict):
        faults.append(Fault(pointer, "wrong_type", f"{scope}: expected an object of variables"))
        return None, frozenset(VARIABLES)
    facts: dict[str, Value] = {}
    unread = []
    readers = _READERS[latest, scope]
    for name, raw in found.items():
        reader = readers.get(name)
        if reader is None:
            faults.append(_misplaced(name, scope, pointer, latest))
        elif raw is not None:
            value = reader(raw)
            if value is None:
                unread.append(name)
                faults.append(Fault(f"{pointer}/{name}", "wrong_type", f"{name}: {_EXPECTED[VARIABLES[name].kind]}"))
            else:
                facts[name] = value
    return facts, frozenset(unread)


def _judge(
    records: tuple[dict[str, Value], ...], unread: list[frozenset[str]], moment: Moment, faults: list[Fault]
) -> list[tuple[Finding, str | None]]:
    """Add what the rules reject to ``faults``, and return what they warn of with the level that it is said of."""
    notes: dict[tuple[str, str, str | None], tuple[Finding, str | None]] = {}
    for index, (record, names) in enumerate(zip(records, unread, strict=True)):
        for finding in judge_record(record, moment, unreadable=names):
            if finding.rejects:
                faults.append(Fault(_pointer(finding.variable, index), finding.code, finding.detail))
            else:
                level = None if VARIABLES[finding.variable].scope == "patient" else str(record.get("level"))
                notes.setdefault((finding.code, finding.variable, level), (finding, level))
    for finding in judge_patient(records):
        if finding.rejects:
            faults.append(Fault(_pointer(finding.variable, finding.row - 1), finding.code, finding.detail))
    return list(notes.values())


def _pointer(name: str, index: int) -> str:
    """Where a variable stands in the request."""
    variable = VARIABLES.get(name)
    own = variable is None or variable.scope == "vertebra"
    return f"/vertebrae/{index}/{name}" if own else f"/patient/{name}"


def _in_order(record: dict[str, Value]) -> dict[str, Value]:
    """The record in the dictionary's order: what is said of a question must not hang on the order of its keys."""
    return {name: record[name] for name in sorted(record, key=_RANK.__getitem__)}


def _given(body: Mapping[str, Any]) -> tuple[str, ...]:
    objects = (body["patient"], *body["vertebrae"])
    return tuple(
        sorted({name for facts in objects for name in facts if facts[name] is not None}, key=_RANK.__getitem__)
    )


def _unknown(name: str, pointer: str, known: tuple[str, ...]) -> Fault:
    """A name that does not exist. It is shown only if it could be one: a key can hide an identifier too."""
    place = f"{pointer}/{name}" if _NAME.fullmatch(name) else pointer
    hint = f"expected one of {', '.join(known)}" if known else "see /v1/dictionary for the names that there are"
    return Fault(place, "unknown_variable", f"unknown name; {hint}")


def _misplaced(name: str, scope: Scope, pointer: str, latest: Moment) -> Fault:
    variable = VARIABLES.get(name)
    if variable is None:
        return _unknown(name, pointer, ())
    here = f"{pointer}/{name}"
    if variable.role == "identifier":
        return Fault(here, "identifier", f"{name}: leave identifiers out; case_id takes a pseudonym")
    if variable.derived:
        return Fault(here, "not_an_input", f"{name}: is computed from others; leave it out")
    if variable.known_at > latest:
        return Fault(here, "known_later", f"{name}: becomes known only after the moment of the question; leave it out")
    belongs = "/patient" if variable.scope == "patient" else "each of /vertebrae"
    return Fault(here, "misplaced", f"{name}: belongs to {belongs}")


def _read_number(raw: Any) -> float | None:
    return float(raw) if (type(raw) is float or type(raw) is int) else None


def _read_integer(raw: Any) -> int | None:
    """JSON has one kind of number: 60.0 is the integer 60."""
    if type(raw) is int:
        return raw
    return int(raw) if type(raw) is float and raw.is_integer() else None


def _read_flag(raw: Any) -> bool | None:
    return raw if isinstance(raw, bool) else None


def _read_text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) else None


def _read_set(raw: Any) -> frozenset[str] | None:
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw) or len(set(raw)) < len(raw):
        return None
    return frozenset(raw)


_READ: Mapping[str, Callable[[Any], Value | None]] = {
    "number": _read_number,
    "integer": _read_integer,
    "flag": _read_flag,
    "category": _read_text,
    "ordinal": _read_text,
    "text": _read_text,
    "date": _read_text,
    "multi": _read_set,
}

_EXPECTED = {
    "number": "expected a number, or null if unknown; text and true or false are none",
    "integer": "expected a whole number, or null if unknown",
    "flag": "expected true or false, or null if unknown",
    "category": "expected one of its choices as text, or null if unknown",
    "ordinal": "expected one of its choices as text, or null if unknown",
    "text": "expected text, or null if unknown",
    "date": "expected a date as text, YYYY-MM-DD, or null if unknown",
    "multi": "expected a list of different choices, or null if unknown",
}


def accepted_variables(scope: Scope, latest: Moment) -> Iterator[Variable]:
    """What the object of a patient or a vertebra may state, in the order of the dictionary."""
    return (v for v in VARIABLES.values() if v.scope == scope and accepted_in_question(v, latest))


_READERS: Mapping[tuple[Moment, Scope], Mapping[str, Callable[[Any], Value | None]]] = {
    (latest, scope): {variable.name: _READ[variable.kind] for variable in accepted_variables(scope, latest)}
    for latest in MOMENTS.values()
    for scope in ("patient", "vertebra")
}

#: Of the variables that a question must have, those of the patient and those of each vertebra.
REQUIRED: Mapping[Scope, tuple[str, ...]] = {
    scope: tuple(name for name in REQUIRED_IN_QUESTION if VARIABLES[name].scope == scope)
    for scope in ("patient", "vertebra")
}
