"""What all figures share: the inks and dashes, the months above days, and the bytes of a drawn one.

Drawn on Agg through matplotlib's objects, without pyplot and its list of open figures. Every figure is readable in
print and without colour: lines differ in dash and shade, and the key says which is which.
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

INK, GREY, PALE = "#000000", "#6b6b6b", "#d4d4d4"
#: Dash and shade of each line; with more of them lines could not be told apart.
STYLES = (("solid", INK), ((0, (6, 2)), GREY), ((0, (1.5, 1.5)), INK), ((0, (6, 2, 1.5, 2)), GREY))
MONTH_DAYS = 365 / 12  # 12 and 24 months are 365 and 730 days
FORMATS = ("png", "svg", "pdf")


def render(figure: Figure, kind: str = "png", dots_per_inch: int = 200) -> bytes:
    """The figure as bytes. ``kind``: png, svg or pdf; anything else raises ValueError."""
    if kind not in FORMATS:
        raise ValueError(f"kind: expected one of {', '.join(FORMATS)}")
    # No date, so that the same figure is the same file.
    metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    memory = io.BytesIO()
    # SVG names its parts by a salted hash; without a salt of its own each file would be another one.
    with rc_context({"svg.hashsalt": "cemrisk"}):
        figure.savefig(memory, format=kind, dpi=dots_per_inch, metadata=metadata)
    return memory.getvalue()


def to_months(days: ArrayLike) -> np.ndarray:
    """Days as months of 365/12 days."""
    return np.asarray(days) / MONTH_DAYS


def to_days(months: ArrayLike) -> np.ndarray:
    """Months of 365/12 days as days."""
    return np.asarray(months) * MONTH_DAYS
