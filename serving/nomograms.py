"""The nomogram of a released model, drawn once for each model and kept."""

from __future__ import annotations

from functools import lru_cache

from features.errors import NotReady
from models.calibrated import CalibratedRisk
from models.linear import LinearBody
from models.nomogram import Nomogram, nomogram
from serving.served import Served

SVG_TYPE = "image/svg+xml"


def nomogram_of(served: Served) -> Nomogram:
    """Of the champion, or of the linear version of its training where the champion is boosted.

    Raises ``NotReady`` if no linear model was released with it.
    """
    return _drawn(_Keyed(_linear(served)))


class _Keyed:
    """A model that equals another of the same digest: the key of the cache."""

    def __init__(self, model: CalibratedRisk) -> None:
        self.model = model

    def __hash__(self) -> int:
        return hash(self.model.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.model.sha256 == other.model.sha256


@lru_cache(maxsize=8)
def _drawn(keyed: _Keyed) -> Nomogram:
    return nomogram(keyed.model)


def _linear(served: Served) -> CalibratedRisk:
    champion = served.release.champion
    for learner in (champion, "logistic", "cox"):
        model = served.release.models.get(learner)
        if model is not None and isinstance(model.body, LinearBody):
            return model
    raise NotReady(f"the release of {served.outcome} has no linear model: a boosted one has no nomogram")
