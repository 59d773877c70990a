"""Penalties and starting points averaged over, not chosen: what the linear learners share.

Each candidate says how strongly coefficients are pulled, and to where: to nothing (or, for a cause of refracture, to
any refracture) by one penalty for all terms, or to published effects by strength / spread² of each. A candidate weighs
as its out-of-fold likelihood, exp(-loss): a model averages over all that the data do not tell apart, and where they
contradict the publications these lose their weight (stacking by pseudo-likelihood; Yao and colleagues 2018, Bayesian
Anal 13:917, compare the weights).

Refits for intervals draw a candidate by its weight and pull to a centre drawn from its own spread. Refits that all pull
to one centre vary less than what is not known: what the penalty holds back they would count as known. With a centre
drawn for each their spread is that of the posterior, which covers on average over patients (Nychka 1988, J Am Stat
Assoc 83:1134; Marra and Wood 2012, Scand J Stat 39:53).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.build import Outcome
from models.design import Design
from models.prior import Prior

Floats = NDArray[np.float64]

#: Ridge penalties, on standardised terms: from hardly anything left to hardly any.
PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
#: How strongly the published effects are believed: 1 as they are printed.
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
#: A candidate that weighs less is left out.
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Candidate:
    """``penalty`` (q,) on the squared distance to ``centre`` (q,); ``published``: whether it starts from the prior."""

    penalty: Floats
    centre: Floats
    published: bool = False

    def moved(self, by: Floats) -> Candidate:
        """The same around another centre."""
        return Candidate(self.penalty, self.centre + by, self.published)


def candidates(prior: Prior | None, outcome: Outcome, part: str, design: Design, beside: str = "") -> list[Candidate]:
    """All candidates for the terms of a design. ``beside``: the part whose coefficients they will be moved by."""
    none = np.zeros(design.width)
    found = [Candidate(np.full(design.width, penalty), none) for penalty in PENALTIES]
    if prior is None or outcome not in prior.effects:
        return found
    mean, sd = prior.terms(outcome, part, design)
    centre = mean - prior.terms(outcome, beside, design)[0] if beside else mean
    return found + [Candidate(strength / sd**2, centre, published=True) for strength in STRENGTHS]


@dataclass(frozen=True, slots=True)
class Weighed:
    """``weight`` (candidates,): sums to 1. ``kept``: places of those that weigh something."""

    weight: Floats
    kept: NDArray[np.intp]

    @classmethod
    def by_loss(cls, loss: Floats) -> Weighed:
        """From the out-of-fold loss (candidates,), minus a log likelihood."""
        weight = np.exp(loss.min() - loss)
        weight /= weight.sum()
        weight[weight < LEAST_WEIGHT] = 0.0
        weight /= weight.sum()
        return cls(weight, np.flatnonzero(weight))

    def of_published(self, tried: list[Candidate]) -> float:
        """Weight of all candidates that start from the prior."""
        return float(self.weight[[candidate.published for candidate in tried]].sum())

    def drawn(self, tried: list[Candidate], refits: int, stream: list[int]) -> list[Candidate]:
        """A candidate for each refit, its centre drawn from its spread; ``stream`` seeds the draws."""
        rng = np.random.default_rng(stream)
        places = rng.choice(len(tried), refits, p=self.weight)
        return [tried[place].moved(rng.standard_normal(len(tried[place].centre)) / np.sqrt(tried[place].penalty))
                for place in places]  # fmt: skip
