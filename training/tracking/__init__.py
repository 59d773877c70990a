"""MLflow: experiments, registered versions and aliases. The only place that imports it."""

from training.tracking.store import Logged, Store, Version

__all__ = ["Logged", "Store", "Version"]
