"""Questions in one call, and the list of bad ones with the status, the pointer and the code that each must get."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from serving.ask import SAMPLE

#: The example of the contract, with words and numbers that nothing else prints.
EXAMPLE: dict[str, Any] = SAMPLE | {"case_id": "case-7"}

Change = Callable[[dict[str, Any]], object]


def question(change: Change | None = None) -> dict[str, Any]:
    """The example, changed in place by ``change``."""
    body = copy.deepcopy(EXAMPLE)
    if change is not None:
        change(body)
    return body


def patient(**values: Any) -> Change:
    return lambda body: body["patient"].update(values)


def vertebra(**values: Any) -> Change:
    return lambda body: body["vertebrae"][0].update(values)


def levels(*names: str) -> Change:
    return lambda body: body.update(vertebrae=[{"level": name} for name in names])


#: What is changed, the pointer to it and the code; each must be answered by 422.
UNANSWERABLE: list[tuple[str, Change, str, str]] = [
    ("height in cm", vertebra(fvah_mm=1.72), "/vertebrae/0/fvah_mm", "below_limit"),
    ("positive T-score", patient(t_score=3.1), "/patient/t_score", "above_limit"),
    ("unknown variable", patient(shoe_size=42), "/patient/shoe_size", "unknown_variable"),
    ("unknown field", lambda b: b.update(colour="red"), "/colour", "unknown_variable"),
    ("postoperative variable", vertebra(cement_volume_ml=4.0), "/vertebrae/0/cement_volume_ml", "known_later"),
    ("outcome", vertebra(leak_routes=["B"]), "/vertebrae/0/leak_routes", "known_later"),
    ("derived variable", vertebra(viscosity="low"), "/vertebrae/0/viscosity", "not_an_input"),
    ("identifier", patient(patient_id="p1"), "/patient/patient_id", "identifier"),
    ("vertebra's variable on the patient", patient(level="L1"), "/patient/level", "misplaced"),
    ("patient's variable on a vertebra", vertebra(age_years=70), "/vertebrae/0/age_years", "misplaced"),
    ("metastatic index lesion", patient(malignancy="index_lesion"), "/patient/malignancy", "out_of_scope"),
    ("age 45", patient(age_years=45), "/patient/age_years", "out_of_scope"),
    ("OF4", vertebra(of_type="OF4"), "/vertebrae/0/of_type", "out_of_scope"),
    ("seven vertebrae", levels("T11", "T12", "L1", "L2", "L3", "L4", "L5"), "/vertebrae", "too_many_vertebrae"),
    ("duplicate level", levels("L1", "L1"), "/vertebrae/1/level", "duplicate_vertebra"),
    ("too many treated", patient(treated_count=7), "/patient/treated_count", "above_limit"),
    (
        "fewer treated than asked",
        lambda b: (levels("T12", "L1")(b), patient(treated_count=1)(b)),
        "/patient/treated_count",
        "treated_count_too_low",
    ),
    ("age as text", patient(age_years="73"), "/patient/age_years", "wrong_type"),
    ("age as truth value", patient(age_years=True), "/patient/age_years", "wrong_type"),
    ("flag as number", patient(steroid_use=0), "/patient/steroid_use", "wrong_type"),
    ("half a vertebra", patient(treated_count=1.5), "/patient/treated_count", "wrong_type"),
    ("choice of no list", vertebra(procedure="pvp"), "/vertebrae/0/procedure", "unknown_choice"),
    ("ordinal as number", vertebra(genant_grade=2), "/vertebrae/0/genant_grade", "wrong_type"),
    (
        "sites as text",
        vertebra(cortical_disruption_site="anterior"),
        "/vertebrae/0/cortical_disruption_site",
        "wrong_type",
    ),
    ("no site", vertebra(cortical_disruption_site=[]), "/vertebrae/0/cortical_disruption_site", "no_choice"),
    ("no age", patient(age_years=None), "/patient/age_years", "required"),
    ("no sex", lambda b: b["patient"].pop("sex"), "/patient/sex", "required"),
    ("no level", lambda b: b["vertebrae"][0].pop("level"), "/vertebrae/0/level", "required"),
    ("no patient", lambda b: b.pop("patient"), "/patient", "required"),
    ("no vertebra", lambda b: b.update(vertebrae=[]), "/vertebrae", "required"),
    ("vertebrae as object", lambda b: b.update(vertebrae={}), "/vertebrae", "wrong_type"),
    ("vertebra as text", lambda b: b.update(vertebrae=["L1"]), "/vertebrae/0", "wrong_type"),
    ("moment of no list", lambda b: b.update(moment="later"), "/moment", "unknown_choice"),
    ("detection of no list", lambda b: b.update(detection="MRI"), "/detection", "unknown_choice"),
    ("case_id as number", lambda b: b.update(case_id=5), "/case_id", "wrong_type"),
    ("long case_id", lambda b: b.update(case_id="x" * 65), "/case_id", "wrong_type"),
    ("CT warnings as object", lambda b: b.update(ct={}), "/ct", "wrong_type"),
    ("too many CT warnings", lambda b: b.update(ct=[{"code": "kvp_not_120"}] * 257), "/ct", "wrong_type"),
    ("CT warning as text", lambda b: b.update(ct=["gas"]), "/ct/0", "wrong_type"),
    ("CT code of no list", lambda b: b.update(ct=[{"code": "fine", "level": "L1"}]), "/ct/0/code", "unknown_choice"),
    ("CT code as list", lambda b: b.update(ct=[{"code": ["gas"], "level": "L1"}]), "/ct/0/code", "unknown_choice"),
    (
        "words for CT",
        lambda b: b.update(ct=[{"code": "gas", "level": "L1", "detail": "x"}]),
        "/ct/0/detail",
        "unknown_variable",
    ),
    ("CT code of a vertebra without level", lambda b: b.update(ct=[{"code": "gas"}]), "/ct/0/level", "required"),
    (
        "CT code of the scan at a level",
        lambda b: b.update(ct=[{"code": "kvp_not_120", "level": "L1"}]),
        "/ct/0/level",
        "unknown_choice",
    ),
    ("CT level of no list", lambda b: b.update(ct=[{"code": "gas", "level": {}}]), "/ct/0/level", "unknown_choice"),
    (
        "BMI against height and weight",
        patient(bmi_kg_m2=30, height_cm=160, weight_kg=50),
        "/patient/bmi_kg_m2",
        "bmi_disagrees",
    ),
]

#: A body that is not even a question: bytes, content type, status and code.
UNREADABLE: list[tuple[str, bytes, str, int, str]] = [
    ("malformed JSON", b'{"patient":', "application/json", 400, "malformed_json"),
    ("NaN", json.dumps(question(patient(t_score=float("nan")))).encode(), "application/json", 400, "not_finite"),
    ("Infinity", json.dumps(question(patient(t_score=float("inf")))).encode(), "application/json", 400, "not_finite"),
    ("duplicate key", b'{"patient":{},"patient":{}}', "application/json", 400, "duplicate_key"),
    ("not UTF-8", b'{"case_id":"\xe9"}', "application/json", 400, "not_utf8"),
    ("10 MB", b"[" + b"1," * 5_000_000 + b"1]", "application/json", 413, "body_too_large"),
    ("text", json.dumps(EXAMPLE).encode(), "text/plain", 415, "media_type"),
    ("pickle", b"\x80\x04.", "application/vnd.bentoml+pickle", 415, "media_type"),
    ("a list", b"[]", "application/json", 422, "invalid_question"),
]
