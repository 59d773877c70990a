"""From a matrix of predictors to calibrated, explained probabilities with intervals."""

from models.artifact import Card, load, save
from models.boosted import BoostedRisk
from models.cox import CoxRisk
from models.interface import Explanation, RiskModel, Settings
from models.logistic import LogisticRisk

__all__ = ["BoostedRisk", "Card", "CoxRisk", "Explanation", "LogisticRisk", "RiskModel", "Settings", "load", "save"]
