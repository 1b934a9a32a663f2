"""Render a `Page` as one HTML file that only needs its media."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from avreward._whole_files import whole_file
from avreward.report.data import Bar, MeasurementView, Page

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
ABSENT = "–"  # shown instead of a missing number
_SPELLED = {"av": "AV", "snr": "SNR", "fps": "frames per second"}


def render(page: Page) -> str:
    """Return the page as HTML; all text is escaped, since file names and prompts are untrusted.

    Example:
        >>> render(Page(candidates=[]))[:15]
        '<!doctype html>'
    """
    from importlib.metadata import version

    from markupsafe import Markup

    style, more, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "why.css", "page.js"))
    template = environment().get_template("page.html.j2")
    # Only these files of the package are not escaped.
    own = {"style": Markup(style + more), "script": Markup(script)}  # noqa: S704
    return template.render(page=page, policy=_policy(script), version=version("avreward"), **own)


def write_page(page: Page, path: str | PathLike[str]) -> Path:
    """Write the page to `path` atomically, so that a browser never reads half of it.

    Args:
        page: the content.
        path: of the HTML file.

    Returns:
        The path.

    Raises:
        OSError: if the file can't be written; it names the file.
    """
    return write_whole(Path(path), render(page))


def write_whole(path: Path, text: str) -> Path:
    """Write all of `text` to `path` or nothing; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")  # file names may not be valid UTF-8
    return path


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: local images and media and this script, nothing from a network."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    local = "'self' file: data: blob:"
    media = f"media-src {local}; img-src {local}"
    return f"default-src 'none'; {media}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@cache
def environment(*folders: Path) -> Environment:
    """Return an environment with the templates of `folders` and of this package, autoescaping and shared filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, signed, words, lower_first, milliseconds, points, coordinate, area, by_name, groups)
    environment.filters.update({f.__name__: f for f in filters})
    return environment


def number(value: float) -> str:
    """Format a number: one decimal from 10 on, three significant digits below.

    Example:
        >>> number(73.46), number(0.01234), number(-4.0), number(120000)
        ('73.5', '0.0123', '−4', '120000')
    """
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, ABSENT)
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return text.replace("-", "−").removeprefix("−") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, unit: str = "") -> str:
    """Return a difference with its sign.

    Example:
        >>> signed(1.25), signed(-0.5, " sd"), signed(None)
        ('+1.2', '−0.5 sd', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    value = float(f"{value:.2g}") if abs(value) < 1 else round(value, 1)
    return f"{'+' if value > 0 and number(value) != '0' else ''}{number(value)}{unit}"


def words(name: str) -> str:
    """Return a dimension's name in words.

    Example:
        >>> words("audio_quality"), words("signals.av_consistency")
        ('Audio quality', 'Signals: AV consistency')
    """
    rater, _, dimension = name.rpartition(".")
    text = " ".join(_SPELLED.get(word, word) for word in dimension.split("_"))
    return f"{rater.capitalize()}: {text}" if rater else text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Return text for use within a sentence: in lower case at the start, except for abbreviations."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def points(value: float) -> str:
    """Format points gained or lost.

    Example:
        >>> points(-12.34), points(-0.02)
        ('−12.3', '0')
    """
    text = f"{value:.1f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def milliseconds(cost: float | None) -> str:
    """Format a duration in milliseconds.

    Example:
        >>> milliseconds(0.31), milliseconds(42.2), milliseconds(2340), milliseconds(None)
        ('0.3 ms', '42 ms', '2.3 s', '')
    """
    if cost is None:
        return ""
    return f"{cost / 1000:.1f} s" if cost >= 1000 else f"{cost:.0f} ms" if cost >= 10 else f"{cost:.1f} ms"


def coordinate(value: float) -> str:
    """Format a coordinate of an SVG."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def area(values: Sequence[float], axis: float, height: float) -> str:
    """Return an SVG path, 100 wide, filled from `axis` to `axis` + `height` × value (0 to 1) in equal spans."""
    if not values:
        return ""
    step = 100 / len(values)
    tops = (f"V{coordinate(axis + height * min(1.0, max(0.0, v)))}h{coordinate(step)}" for v in values)
    return f"M0 {coordinate(axis)}{''.join(tops)}V{coordinate(axis)}z"


def groups(measurements: Sequence[MeasurementView]) -> list[tuple[str, list[MeasurementView]]]:
    """Group the measurements by the dimension that they feed, in order."""
    return [(feeds, list(group)) for feeds, group in groupby(measurements, key=lambda m: m.feeds)]


def by_name(bars: Sequence[Bar]) -> dict[str, Bar]:
    """Return dimension → bar."""
    return {bar.name: bar for bar in bars}
