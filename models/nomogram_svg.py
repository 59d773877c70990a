"""The drawing of a nomogram: segments and words in units of a page, as SVG.

The same segments and words are drawn elsewhere as PNG, so nothing here speaks SVG before the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from models.nomogram_axes import AXIS_WIDTH, LINE_WIDTH, MOST_POINTS, Tick

if TYPE_CHECKING:
    from models.nomogram import Nomogram

LEFT, RIGHT, ROW, TOP = 235.0, 35.0, 44.0, 78.0
WIDTH = LEFT + AXIS_WIDTH + RIGHT
LONG, SHORT = 7.0, 4.0
INK, GUIDE = "#000000", "#b8b8b8"
#: Size of words and the width of a letter in it, a little generous: no font can be asked for its measures here.
SIZE, LETTER, GAP = 11.0, 6.2, 3.0
_NOTE_LETTERS = 148
_NAME_LETTERS = 34


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line; ``value`` if it is a tick."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float = LINE_WIDTH
    guide: bool = False
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text with its base line at ``y``; ``anchor``: start, middle or end of it at ``x``."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    size: float = SIZE
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What belongs together: an axis line (``role``: points, predictor, total, outcome) or the rest of the page."""

    role: str
    name: str
    segments: list[Segment] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drawing:
    """All groups on a page of ``width`` times ``height`` units."""

    width: float
    height: float
    title: str
    groups: tuple[Group, ...]


def drawing(found: Nomogram) -> Drawing:
    """The page of a nomogram."""
    lines = [(axis, line, place) for axis in found.axes for place, line in enumerate(axis.lines)]
    bottom = TOP + (len(lines) + 1) * ROW
    groups = [Group("page", "guides", _guides(bottom - ROW + 12)), _points_axis()]
    for place, (axis, line, piece) in enumerate(lines):
        group = Group("predictor", axis.column)
        name = f"{axis.label} ({axis.unit})" if axis.unit else axis.label
        _axis(group, TOP + (place + 1) * ROW, name if piece == 0 else "   (continued)", line, MOST_POINTS)
        groups.append(group)
    most = found.total[-1].points
    for role, name, ticks in (("total", "Total points", found.total), ("outcome", found.quantity, found.outcome_axis)):
        group = Group(role, name)
        _axis(group, bottom + 6, name, ticks, most, bold=True)
        groups.append(group)
        bottom += ROW
    foot, height = _foot(found.notes, bottom + 4)
    groups += [Group("page", "title", words=_head(found)), foot]
    return Drawing(WIDTH, height, found.title, tuple(groups))


def _head(found: Nomogram) -> list[Words]:
    which = f"Model {found.sha256[:12]}" if found.sha256 else ""
    return [Words(16, 30, found.title, "start", 16, True), Words(WIDTH - RIGHT, 48, which, "end", 9)]


def _guides(bottom: float) -> list[Segment]:
    """Thin grey lines from the points down through the predictors, for the eye."""
    places = [LEFT + AXIS_WIDTH * step / 10 for step in range(11)]
    return [Segment(x, TOP, x, bottom, 0.5, guide=True) for x in places]


def _points_axis() -> Group:
    group = Group("points", "Points")
    ticks = [Tick(float(v), float(v), str(v) if v % 10 == 0 else "") for v in range(0, 101, 2)]
    _axis(group, TOP, "Points", ticks, MOST_POINTS, bold=True)
    return group


def _axis(group: Group, y: float, name: str, ticks: Iterable[Tick], most: float, bold: bool = False) -> None:
    """One line with its ticks, labels as far as they fit, and its name on the left."""
    placed = [(LEFT + AXIS_WIDTH * tick.points / most, tick) for tick in ticks]
    ends = min(x for x, _ in placed), max(x for x, _ in placed)
    half = LINE_WIDTH / 2
    group.segments.append(Segment(ends[0] - half, y, ends[1] + half, y))
    for x, tick in placed:
        group.segments.append(Segment(x, y, x, y + (LONG if tick.label else SHORT), value=tick.value))
    group.words.extend(_labels([(x, tick.label) for x, tick in placed if tick.label], y))
    rows = wrapped(name, _NAME_LETTERS)
    for place, row in enumerate(rows):
        group.words.append(Words(16, y + 4 + 13 * (place - (len(rows) - 1) / 2), row, "start", SIZE, bold))


def _labels(wanted: list[tuple[float, str]], y: float) -> list[Words]:
    """Labels below the line; those that would touch another go above it, and what fits nowhere is left out.

    The ends come first, then the others from left to right. Where not even two fit, the label says the whole range.
    """
    if not wanted:
        return []
    wanted = sorted((x, label.replace("-", "−")) for x, label in wanted)
    span = wanted[-1][0] - wanted[0][0]
    if len(wanted) > 4 and span < 3 * LETTER:
        return [Words(wanted[-1][0] + 8, y + 4, f"{wanted[0][1]} … {wanted[-1][1]}", "start")]
    levels = (y + LONG + SIZE, y - 4) if len(wanted) <= 12 else (y + LONG + SIZE,)
    taken: dict[float, list[tuple[float, float]]] = {level: [] for level in levels}
    words = []
    for x, label in [wanted[0], *wanted[:0:-1][:1], *wanted[1:-1]]:
        half = LETTER * len(label) / 2 + GAP / 2
        level = next((at for at in levels if all(abs(x - o) >= half + w for o, w in taken[at])), None)
        if level is not None:
            taken[level].append((x, half))
            words.append(Words(x, level, label))
    return words


def _foot(notes: tuple[str, ...], y: float) -> tuple[Group, float]:
    rows = [row for note in notes for row in wrapped(note, _NOTE_LETTERS)]
    words = [Words(16, y + 16 + 14 * place, row, "start", 10) for place, row in enumerate(rows)]
    return Group("page", "notes", words=words), y + 30 + 14 * len(rows)


def wrapped(text: str, letters: int) -> list[str]:
    """``text`` in rows of at most ``letters``, cut at blanks."""
    rows = [""]
    for word in text.split(" "):
        if rows[-1] and len(rows[-1]) + 1 + len(word) > letters:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}" if rows[-1] else word
    return rows


def svg(found: Nomogram) -> str:
    """One SVG document; the same nomogram gives the same bytes. Axes carry their column, ticks their value."""
    page = drawing(found)
    body = "\n".join(_group(group) for group in page.groups)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {page.width:g} {page.height:g}" '
        f'width="{page.width:g}" height="{page.height:g}" role="img" font-family="Helvetica, Arial, sans-serif">\n'
        f"<title>{escape(page.title)}</title>\n"
        f"<desc>{escape(' '.join(found.notes))}</desc>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _group(group: Group) -> str:
    lines = [_segment(segment) for segment in group.segments]
    lines += [_words(words) for words in group.words if words.text]
    return f'<g class="{group.role}" data-name={quoteattr(group.name)}>\n' + "\n".join(lines) + "\n</g>"


def _segment(line: Segment) -> str:
    value = "" if line.value is None else f' data-value="{line.value!r}"'
    return (
        f'<line x1="{line.x1:.3f}" y1="{line.y1:.1f}" x2="{line.x2:.3f}" y2="{line.y2:.1f}" '
        f'stroke="{GUIDE if line.guide else INK}" stroke-width="{line.width:g}"{value}/>'
    )


def _words(words: Words) -> str:
    bold = ' font-weight="bold"' if words.bold else ""
    return (
        f'<text x="{words.x:.1f}" y="{words.y:.1f}" font-size="{words.size:g}" '
        f'text-anchor="{words.anchor}"{bold} fill="{INK}">{escape(words.text)}</text>'
    )
