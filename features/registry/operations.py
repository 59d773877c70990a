"""Which rows belong to operations of which every row can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import Finding


def in_whole_operation(
    records: Sequence[Mapping[str, Any]], findings: Sequence[Sequence[Finding]]
) -> NDArray[np.bool_]:
    """For each row (n,), whether no row of its patient's operation is rejected; the row itself counts.

    An operation is a patient and a procedure date. A rejected row whose date is unknown or at fault may belong to any
    operation of its patient and spoils all of them; a row without a date needs all its patient's rows.
    """
    spoiled: set[tuple[Any, Any]] = set()
    for record, found in zip(records, findings, strict=True):
        rejecting = [one for one in found if one.rejects]
        if rejecting:
            doubted = any(one.variable == "procedure_date" for one in rejecting)
            spoiled.add((record.get("patient_id"), None if doubted else record.get("procedure_date")))
    patients = {patient for patient, _ in spoiled}
    anywhere = {patient for patient, day in spoiled if day is None}

    def whole(patient: Any, day: Any) -> bool:
        return patient not in (anywhere if day is not None else patients) and (patient, day) not in spoiled

    return np.array([whole(one.get("patient_id"), one.get("procedure_date")) for one in records], dtype=bool)
