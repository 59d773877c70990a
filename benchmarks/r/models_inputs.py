"""The simulated follow-up on which R and our Cox model are compared: days by the week (ties), whole case weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROWS = 200


def main(target: Path) -> None:
    """Write the table as CSV."""
    rng = np.random.default_rng(2026)
    age, hu = rng.normal(73, 8, ROWS).round(1), rng.normal(70, 20, ROWS).round(1)
    steroid = (rng.random(ROWS) < 0.3).astype(int)
    rate = np.exp(0.03 * (age - 73) - 0.02 * (hu - 70) + 0.6 * steroid) / 300
    days = np.ceil(rng.exponential(1 / rate) / 7) * 7
    weight = rng.integers(1, 4, ROWS)
    table = np.column_stack([age, hu, steroid, np.minimum(days, 364), days <= 364, weight])
    np.savetxt(target, table, delimiter=",", fmt="%g", header="age,hu,steroid,days,event,weight", comments="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
