"""Follow-up under censoring and competing events: weights, cumulative incidence, and what estimating them costs.

Conventions, the same everywhere in this package:

* An event on the day of the horizon counts (contract: "the day itself counts"). Who was censored on that very day was
  seen event-free on it and counts as event-free.
* Of an event and a censoring on the same day the event came first. With G the Kaplan-Meier estimator of remaining
  uncensored, the weights 1/G of those whose state at the horizon is known then add up to the number of rows, and the
  weighted share with the event *is* the Aalen-Johansen estimator.
* Censoring is taken to be independent of risk and outcome. Where it is not, every weighted metric is biased.

References: Graf 1999 (Brier score under censoring), Gerds 2006 (consistency), Blanche 2013 (competing events), Aalen
and Johansen 1978; influence of the estimated weights: Blanche 2013, Appendix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from features.errors import TooLittleData
from training.metrics import checks
from training.metrics.types import Bools, Clusters, Floats, Incidence, Ints, cluster_codes, estimate


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Follow-up of ``n`` rows summarised at its ``k`` distinct times.

    ``days``, ``code``, ``position`` (index into ``times``): shape (n,). ``times``, ``at_risk``, ``events`` (of any
    kind), ``censored``: shape (k,). ``uncensored``: shape (k+1,), the estimate of G just before each time, and at the
    end.
    """

    days: Floats
    code: Ints
    times: Floats
    position: Ints
    at_risk: Floats
    events: Floats
    censored: Floats
    uncensored: Floats

    @classmethod
    def of(cls, event_code: ArrayLike, days: ArrayLike) -> FollowUp:
        """Raises ValueError for codes or times that are none."""
        rows = np.asarray(days).size
        lengths, code = checks.times(days, rows), checks.event_codes(event_code, rows)
        if rows == 0:
            raise TooLittleData("no rows: the follow-up of at least one patient is needed")
        moments, position = np.unique(lengths, return_inverse=True)
        size = len(moments)
        everyone = np.bincount(position, minlength=size).astype(np.float64)
        events = np.bincount(position, weights=code > 0, minlength=size).astype(np.float64)
        at_risk = np.cumsum(everyone[::-1])[::-1]
        censored = everyone - events
        leaving = np.divide(censored, at_risk - events, out=np.zeros(size), where=at_risk > events)
        uncensored = np.concatenate(([1.0], np.cumprod(1.0 - leaving)))
        return cls(lengths, code, moments, position.astype(np.int64), at_risk, events, censored, uncensored)

    def require(self, horizon_days: float) -> None:
        """Raises TooLittleData where nothing is known about the horizon: it is never extrapolated."""
        if not (np.isfinite(horizon_days) and horizon_days >= 0):
            raise ValueError("horizon_days: expected a finite number of days from 0 on")
        everyone_failed = self.events[-1] == self.at_risk[-1]
        if horizon_days > self.times[-1] and not everyone_failed:
            raise TooLittleData(
                f"horizon_days: nobody was followed to day {horizon_days:g}; choose a horizon within follow-up"
            )

    def incidence(self, event: int = 1) -> Floats:
        """Aalen-Johansen cumulative incidence of code ``event`` just after each of ``times``, shape (k,)."""
        staying = np.concatenate(([1.0], np.cumprod(1.0 - self.events / self.at_risk)))[:-1]
        hits = np.bincount(self.position, weights=self.code == event, minlength=len(self.times))
        return np.asarray(np.cumsum(staying * hits / self.at_risk), dtype=np.float64)

    def at(self, horizon_days: float, event: int = 1) -> StateAt:
        """What is known of each row at the horizon; raises TooLittleData beyond follow-up."""
        self.require(horizon_days)
        failed = (self.code > 0) & (self.days <= horizon_days)
        free = (self.days > horizon_days) | ((self.days == horizon_days) & (self.code == 0))
        stage = np.where(failed, self.position, np.searchsorted(self.times, horizon_days)).astype(np.int64)
        weight = np.zeros(len(self.days))
        known = failed | free
        weight[known] = 1.0 / self.uncensored[stage[known]]
        return StateAt(failed & (self.code == event), known, weight, np.where(known, stage, 0))

    def weight_noise(self, slopes: Floats, stage: Ints) -> Floats:
        """Influence of estimating G on a metric whose derivative by log(1/G at ``stage``) is ``slopes``.

        ``slopes``, ``stage``: same shape, any number of terms; ``stage`` counts the distinct times before the one at
        which G was taken. Returns shape (n,), adding up to zero.
        """
        size = len(self.times)
        per_stage = np.bincount(stage, weights=slopes, minlength=size + 1)
        later = np.cumsum(per_stage[::-1])[::-1][1:]
        exposed = self.at_risk - self.events
        staying = exposed - self.censored
        force = np.divide(later, staying, out=np.zeros(size), where=staying > 0)
        drift = np.divide(force * self.censored, exposed, out=np.zeros(size), where=exposed > 0)
        before = np.concatenate(([0.0], np.cumsum(drift)))
        own = np.where(self.code == 0, force[self.position] - drift[self.position], 0.0)
        return np.asarray(own - before[self.position], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class StateAt:
    """State at a horizon, shapes (n,): has had the event (``case``), state is ``known``, inverse-probability ``weight``
    (0 where unknown; adds up to n) and the ``stage`` at which its G was taken.
    """

    case: Bools
    known: Bools
    weight: Floats
    stage: Ints


def weighted_mean(follow_up: FollowUp, state: StateAt, loss: Floats) -> tuple[float, Floats]:
    """Mean of ``loss`` (n,) at the horizon, weighted for censoring, and its influence (n,)."""
    total = state.weight.sum()
    value = float(state.weight @ loss / total)
    direct = state.weight * (loss - value) / total
    return value, direct + follow_up.weight_noise(direct, state.stage)


def pseudo_observations(follow_up: FollowUp, horizon_days: float) -> Floats:
    """Pseudo-observations of having had event 1 by the horizon, shape (n,); their mean is the Aalen-Johansen estimate.

    By the infinitesimal jackknife (as ``survival::pseudo`` in R), which differs from leaving each row out by terms of
    order 1/n and does not change when the data are duplicated. Andersen 2003.
    """
    value, influence = weighted_mean(follow_up, *_case_indicator(follow_up, horizon_days))
    return value + len(influence) * influence


def pseudo_observations_at(event_code: ArrayLike, days: ArrayLike, horizon_days: float) -> Floats:
    """``pseudo_observations`` from codes and times; raises TooLittleData beyond follow-up."""
    return pseudo_observations(FollowUp.of(event_code, days), float(horizon_days))


def aalen_johansen(
    event_code: ArrayLike, days: ArrayLike, times: Iterable[float], event: int = 1, cluster: Clusters = None
) -> Incidence:
    """Cumulative incidence of ``event`` with every other code from 1 on competing, at ``times`` in any order.

    Raises TooLittleData for a time beyond follow-up. The band is symmetric on the complementary log-log scale.
    """
    follow_up = FollowUp.of(event_code, days)
    codes = cluster_codes(cluster, len(follow_up.days))
    moments = np.asarray(list(times), dtype=np.float64)
    found = [
        estimate(*weighted_mean(follow_up, *_case_indicator(follow_up, moment, event)), codes, "cloglog")
        for moment in moments
    ]
    columns = [np.array([getattr(one, name) for one in found]) for name in ("value", "lo", "hi", "se")]
    return Incidence(moments, *columns)


def one_minus_kaplan_meier(event_code: ArrayLike, days: ArrayLike, times: Iterable[float], event: int = 1) -> Floats:
    """What is said of ``event`` at ``times`` by whoever takes competing events for censoring: too much.

    Raises TooLittleData for a time beyond follow-up. Shown beside ``aalen_johansen`` to say by how much, never used.
    """
    return aalen_johansen(np.where(np.asarray(event_code) == event, 1, 0), days, times).value


def _case_indicator(follow_up: FollowUp, horizon_days: float, event: int = 1) -> tuple[StateAt, Floats]:
    state = follow_up.at(float(horizon_days), event)
    return state, state.case.astype(np.float64)
