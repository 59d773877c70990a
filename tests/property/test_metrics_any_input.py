"""Any small registry, however odd, gets numbers within their limits or a reasoned refusal, never a crash."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import TooLittleData
from training import metrics

RISK = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-300]), st.floats(0.0, 1.0))
ROWS = st.lists(st.tuples(RISK, st.integers(0, 3), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=30)
SHARES = ("auc", "concordance", "concordance_uno", "ici", "e50", "e90", "emax")


def _limits(found: dict[str, float], shares: tuple[str, ...]) -> None:
    for name in shares:
        value, lo, hi = (found[f"{name}{ending}"] for ending in ("", "_lo", "_hi"))
        assert math.isnan(value) or -1e-9 <= value <= 1 + 1e-9, name
        assert math.isnan(lo) or lo - 1e-9 <= value <= hi + 1e-9, name
    for name in ("brier", "log_loss"):
        assert found[name] >= 0
    assert found["scaled_brier"] <= 1 + 1e-9


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 9))
def test_any_registry_at_any_horizon(rows, horizon_days):
    risk, code, days, patient = (np.array(column) for column in zip(*rows, strict=True))
    try:
        found = metrics.summary_at(risk, code, days, horizon_days, cluster=patient)
    except TooLittleData:
        return
    _limits(found, SHARES)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_any_binary_outcome(rows):
    risk, code, _, patient = (np.array(column) for column in zip(*rows, strict=True))
    try:
        found = metrics.summary(risk, (code == 1).astype(int), patient)
    except TooLittleData:
        return
    _limits(found, tuple(name for name in SHARES if name != "concordance_uno"))


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_incidences_rise_and_share_the_whole(rows):
    _, code, days, _ = (np.array(column) for column in zip(*rows, strict=True))
    times = np.arange(days.max() + 1)
    causes = [metrics.aalen_johansen(code, days, times, event=event).value for event in (1, 2, 3)]
    assert all((np.diff(one) >= -1e-12).all() for one in causes)
    assert (sum(causes) <= 1 + 1e-12).all()
