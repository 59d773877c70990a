"""The page of a nomogram as PNG, through matplotlib: the same segments and words as the SVG."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from models.nomogram import Nomogram
from models.nomogram_svg import GUIDE, INK, Drawing, Group, Words, drawing
from training.figures import render

#: A unit of the page is a pixel at this density, as browsers have it.
UNITS_PER_INCH = 96.0
POINTS_PER_UNIT = 72.0 / UNITS_PER_INCH
_ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def png(found: Nomogram, dots_per_inch: int = 200) -> bytes:
    """The nomogram as PNG; the same nomogram gives the same bytes."""
    return render(nomogram_figure(found), "png", dots_per_inch)


def nomogram_figure(found: Nomogram) -> Figure:
    """The nomogram as a matplotlib figure, for a report."""
    page = drawing(found)
    figure = Figure(figsize=(page.width / UNITS_PER_INCH, page.height / UNITS_PER_INCH))
    FigureCanvasAgg(figure)
    for group in page.groups:
        _add(figure, page, group)
    return figure


def _add(figure: Figure, page: Drawing, group: Group) -> None:
    for line in group.segments:
        x = (line.x1 / page.width, line.x2 / page.width)
        y = (1 - line.y1 / page.height, 1 - line.y2 / page.height)
        width, colour = line.width * POINTS_PER_UNIT, GUIDE if line.guide else INK
        figure.add_artist(Line2D(x, y, linewidth=width, color=colour, solid_capstyle="butt"))
    for words in group.words:
        figure.add_artist(_text(page, words))


def _text(page: Drawing, words: Words) -> Text:
    return Text(
        words.x / page.width,
        1 - words.y / page.height,
        words.text,
        ha=_ALIGNED[words.anchor],
        va="baseline",
        # The font that comes with matplotlib is a tenth wider than the one that browsers take for the SVG.
        fontsize=0.9 * words.size * POINTS_PER_UNIT,
        fontweight="bold" if words.bold else "normal",
        color=INK,
    )
