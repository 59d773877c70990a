"""From the resources of a patient to a question in the form of ``/v1/risk``: the one mapping, for FHIR and CDS Hooks.

Nothing is guessed. A resource that speaks of another patient, a unit that is not known, two values of one time that
differ: each is a fault. What is not there is unknown; what the models must have and what is not there is ``missing``.
That an illness is not listed does not say that the patient has not got it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from features.dictionary import VARIABLES
from serving.fhir import codes
from serving.fhir.codes import Code
from serving.fhir.medications import read_medications
from serving.fhir.reading import Item, Json, at, codings, day, items_of, moment, objects, relative, text
from serving.fhir.values import value_of
from serving.problem import Fault

#: Observations that were checked by somebody, and orders that still stand.
_SURE = frozenset({"final", "amended", "corrected"})
_STANDING = frozenset({"draft", "active", "on-hold"})
_UNCONFIRMED = frozenset({"refuted", "entered-in-error", "provisional", "differential", "unconfirmed"})
_OVER = frozenset({"inactive", "remission", "resolved"})
_ABOUT = ("Observation", "Condition", "Procedure", "ServiceRequest", "MedicationRequest", "MedicationStatement")
_LEVELS = VARIABLES["level"].choices
#: Older than everything: the time of an observation that does not tell its time.
_NEVER = datetime.min.replace(tzinfo=UTC)
#: An age that was observed longer ago than this is another one by now.
_AGE_DAYS = 180
#: An operation further ahead is a slip of the pen; horizons that begin at it may even lie beyond the calendar.
_AHEAD_DAYS = 3650
#: When it was observed and, of one time, how good the code is (0 the best): a report names spine and hip together.
_Rank = tuple[datetime, int]


@dataclass(slots=True)
class Mapped:
    """What was read. ``question``: a body of ``/v1/risk``, complete only if nothing is ``missing`` and no ``faults``.

    ``planned``: whether an augmentation is ordered. ``operation``: its day. ``sources``: pointer into the question ->
    pointer into the request. ``used``: references of what the question was made from. ``notes``: what was left out.
    """

    question: Json
    planned: bool = False
    operation: date | None = None
    subject: str | None = None
    missing: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def take(self, pointer: str, value: Any, item: Item) -> None:
        """Put a value into the question, with where it came from."""
        place: Any = self.question
        *path, name = pointer.strip("/").split("/")
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[name] = value
        self.sources[pointer] = item.pointer
        self.use(item)

    def use(self, item: Item) -> None:
        if item.reference is not None and item.reference not in self.used:
            self.used.append(item.reference)

    def placed(self, fault: Fault) -> Fault:
        """A fault of the question, said of the place in the request that it came from."""
        return Fault(self.sources.get(fault.pointer, ""), fault.code, fault.detail)


def read_resources(resources: Iterable[tuple[str, Any]], today: date, settings: Json | None = None) -> Mapped:
    """``resources``: pointer into the request and resource, bundle or parameters; ``settings``: detection, case_id."""
    items = [item for pointer, value in resources for item in items_of(value, pointer)]
    found = Mapped({**(settings or {}), "moment": "preop", "patient": {}, "vertebrae": []})
    patients = _one_each([item for item in items if item.kind == "Patient"])
    if len(patients) > 1:
        found.faults += [Fault(item.pointer, "several_patients", "more than one Patient") for item in patients[1:]]
        return found
    if not patients:
        found.missing.append("patient")
        return found
    patient = patients[0]
    found.subject = patient.reference
    about = [item for item in items if item.kind in _ABOUT and _is_his(item, patient, found)]
    _orders([item for item in about if item.kind == "ServiceRequest"], found, today)
    found.operation = found.operation or today
    _observations([item for item in about if item.kind == "Observation"], found)
    _person(patient, found)
    _conditions([item for item in about if item.kind == "Condition"], found)
    _earlier([item for item in about if item.kind == "Procedure"], found)
    read_medications([item for item in about if item.kind.startswith("Medication")], found)
    return found


def _one_each(items: Sequence[Item]) -> list[Item]:
    """The same patient may come twice, by two ways."""
    seen: dict[str, Item] = {}
    for item in items:
        seen.setdefault(item.reference or item.pointer, item)
    return list(seen.values())


def _is_his(item: Item, patient: Item, found: Mapped) -> bool:
    """Whether a resource speaks of the patient. One that speaks of another, or does not say, is a fault."""
    subject = text(item.resource, "subject", "reference")
    own = {name for name in (patient.reference, patient.full_url) if name}
    if subject is not None and (subject in own or relative(subject) in own):
        return True
    found.faults.append(
        Fault(f"{item.pointer}/subject", "other_patient", f"{item.kind}: is not about the Patient sent")
    )
    return False


def _person(patient: Item, found: Mapped) -> None:
    sex = text(patient.resource, "gender")
    if sex in VARIABLES["sex"].choices:
        found.take("/patient/sex", sex, patient)
    else:
        found.missing.append("sex")
    born = text(patient.resource, "birthDate")
    birthday = day(born)
    assert found.operation is not None
    if birthday is not None and born is not None and len(born) == len("2000-01-01") and birthday <= found.operation:
        found.take("/patient/age_years", _years(birthday, found.operation), patient)
    elif "age_years" not in found.question["patient"]:
        found.missing.append("age_years")


def _years(birthday: date, until: date) -> int:
    """Completed years."""
    return until.year - birthday.year - ((until.month, until.day) < (birthday.month, birthday.day))


def planned_by(item: Item) -> Code | None:
    """The augmentation that a resource orders; None if it orders none, or none that still stands."""
    order = item.resource
    stands = text(order, "status") in _STANDING and order.get("doNotPerform") is not True
    if item.kind != "ServiceRequest" or not stands:
        return None
    return codes.found(codes.AUGMENTATIONS, codings(order.get("code")))


def _orders(orders: Sequence[Item], found: Mapped, today: date) -> None:
    """The operation that is planned: where, what, when."""
    plans: dict[str, tuple[Any, Item]] = {}
    complete = True
    for item in orders:
        line = planned_by(item)
        if line is None:
            continue
        found.planned = True
        found.use(item)
        found.operation = found.operation or _planned_day(item, found, today)
        sites = [_level(site) for site in objects(item.resource.get("bodySite"))]
        complete = complete and bool(sites) and None not in sites
        for level in filter(None, sites):
            if plans.setdefault(level, (line.value, item))[0] != line.value:
                found.faults.append(
                    Fault(f"{item.pointer}/code", "differs", "procedure: two orders of one vertebra differ")
                )
    if not found.planned:
        found.missing.append("procedure")
    elif not plans or not complete:
        found.missing.append("level")
    for index, level in enumerate(sorted(plans, key=_LEVELS.index)):
        found.question["vertebrae"].append({})
        found.take(f"/vertebrae/{index}/level", level, plans[level][1])
        found.take(f"/vertebrae/{index}/procedure", plans[level][0], plans[level][1])


def _planned_day(item: Item, found: Mapped, today: date) -> date | None:
    when = day(item.resource.get("occurrenceDateTime") or at(item.resource, "occurrencePeriod", "start"))
    if when is not None and (when - today).days > _AHEAD_DAYS:
        detail = "procedure: is planned for a day more than ten years ahead"
        found.faults.append(Fault(f"{item.pointer}/occurrence", "above_limit", detail))
    return when


def _level(site: Any) -> str | None:
    line = codes.found(codes.LEVELS, codings(site))
    return None if line is None else str(line.value)


def _observations(items: Sequence[Item], found: Mapped) -> None:
    """The newest value of each variable, of the patient or of a vertebra that is to be treated."""
    indices = {vertebra["level"]: index for index, vertebra in enumerate(found.question["vertebrae"])}
    newest: dict[str, tuple[_Rank, Any, Item]] = {}
    for item in items:
        given = codings(item.resource.get("code"))
        name, when = codes.variable_of(given), _time(item.resource)
        if name is None or text(item.resource, "status") not in _SURE or _is_stale(name, when, found):
            continue
        pointer = _pointer(name, item, indices, found)
        value = None if pointer is None else value_of(VARIABLES[name], item, found.faults)
        if pointer is not None and value is not None:
            _keep_newest(newest, pointer, ((when, -codes.place_of(given)), value, item), found)
    for pointer, (_, value, item) in newest.items():
        found.take(pointer, value, item)


def _is_stale(name: str, when: datetime, found: Mapped) -> bool:
    assert found.operation is not None
    return name == "age_years" and abs((found.operation - when.date()).days) > _AGE_DAYS


def _pointer(name: str, item: Item, indices: dict[str, int], found: Mapped) -> str | None:
    """Where the value belongs in the question; None if it is of a vertebra that is not treated."""
    if VARIABLES[name].scope == "patient":
        return f"/patient/{name}"
    level = _level(item.resource.get("bodySite"))
    if level is None:
        found.faults.append(
            Fault(f"{item.pointer}/bodySite", "level_unknown", f"{name}: say with bodySite of which vertebra it is")
        )
        return None
    index = indices.get(level)
    return None if index is None or name in ("level", "procedure") else f"/vertebrae/{index}/{name}"


def _time(resource: Json) -> datetime:
    when = (
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or at(resource, "effectivePeriod", "end")
        or resource.get("issued")
    )
    return moment(when) or _NEVER


def _keep_newest(
    newest: dict[str, tuple[_Rank, Any, Item]], pointer: str, new: tuple[_Rank, Any, Item], found: Mapped
) -> None:
    old = newest.get(pointer)
    if old is not None and old[0] == new[0] and old[1] != new[1]:
        name = pointer.rpartition("/")[2]
        found.faults.append(Fault(new[2].pointer, "differs", f"{name}: two values of the same time differ"))
    elif old is None or new[0] > old[0]:
        newest[pointer] = new


def _conditions(items: Sequence[Item], found: Mapped) -> None:
    """Illnesses that are confirmed, and not over unless the variable asks for the history."""
    for item in items:
        verified = {code for _, code in codings(item.resource.get("verificationStatus"))}
        over = {code for _, code in codings(item.resource.get("clinicalStatus"))} & _OVER
        if verified & _UNCONFIRMED:
            continue
        given = codings(item.resource.get("code"))
        if codes.found(codes.BONE_LESIONS, given) is not None:
            _bone_lesion(item, found)
            continue
        line = codes.found(codes.ILLNESSES, given)
        if line is None or (over and line.variable not in codes.LASTING):
            continue
        if found.question["patient"].get(line.variable) is None:
            found.take(f"/patient/{line.variable}", line.value, item)


def _bone_lesion(item: Item, found: Mapped) -> None:
    """In a vertebra to be treated, elsewhere, or nobody knows where: then there is no answer until somebody does."""
    sites = [_level(site) for site in objects(item.resource.get("bodySite"))]
    treated = {vertebra["level"] for vertebra in found.question["vertebrae"]}
    if treated & {site for site in sites if site}:
        found.take("/patient/malignancy", "index_lesion", item)
    elif sites and None not in sites:
        found.question["patient"].setdefault("malignancy", "history")
        found.use(item)
    else:
        detail = "malignancy: one that lives in bone is listed without its place; say with bodySite which vertebra"
        found.faults.append(Fault(f"{item.pointer}/bodySite", "level_unknown", detail))


def _earlier(items: Sequence[Item], found: Mapped) -> None:
    """Augmentations that were done before."""
    for item in items:
        line = codes.found(codes.AUGMENTATIONS, codings(item.resource.get("code")))
        done = day(item.resource.get("performedDateTime") or at(item.resource, "performedPeriod", "start"))
        before = done is None or found.operation is None or done < found.operation
        if line is not None and text(item.resource, "status") == "completed" and before:
            found.take("/patient/prior_augmentation", True, item)
