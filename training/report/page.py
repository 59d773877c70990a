"""From a template and its facts to one self-contained page: escaped, pictures inside, nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from features.errors import UsageError
from training.figures import render

ENDINGS = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image inside the page; ``alt`` says in words what it shows, ``address`` is a data URI."""

    alt: str
    caption: str
    address: str


def drawn(figure: Figure, alt: str, caption: str) -> Picture:
    """A figure as SVG, which prints sharply; as an image, so that ids of several figures cannot meet."""
    return svg(render(figure, "svg").decode(), alt, caption)


def svg(text: str, alt: str, caption: str) -> Picture:
    """A picture that is SVG already."""
    return Picture(alt, caption, _data("image/svg+xml", text.encode()))


def png(content: bytes, alt: str, caption: str) -> Picture:
    """A picture that is PNG already."""
    return Picture(alt, caption, _data("image/png", content))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def filled(template: str, facts: Mapping[str, Any], folder: Path | None = None) -> str:
    """The template with its facts, all text escaped; a fact that is missing is an error, not a gap.

    ``folder``: where the templates are, ours by default.
    """
    environment = Environment(
        loader=FileSystemLoader(folder or Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["share"] = lambda value: "-" if value is None else f"{100 * value:.1f} %"
    environment.filters["count"] = lambda value: "fewer than 5" if value is None else f"{value:,}"
    return environment.get_template(template).render(facts)


def refuse_unknown_ending(path: Path) -> None:
    """Raises ``UsageError`` unless the file is to be HTML: said before anything is computed."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--out: a name that ends in {' or '.join(ENDINGS)} is expected")
