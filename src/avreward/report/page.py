"""Draws a `Page` as one HTML file that needs nothing else but the media beside it."""

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

from avreward.report.data import Bar, MeasurementView, Page

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
ABSENT = "–"  # in the place of a number
_SPELLED = {"av": "AV", "snr": "SNR", "fps": "frames per second"}


def render(page: Page) -> str:
    """The page as HTML. Every text on it is escaped: file names and prompts come from anywhere.

    >>> render(Page(candidates=[]))[:15]
    '<!doctype html>'
    """
    from importlib.metadata import version

    from markupsafe import Markup

    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    template = environment().get_template("page.html.j2")
    # Our own two files are the only text that goes in as it is.
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704
    return template.render(page=page, policy=_policy(script), version=version("avreward"), **own)


def write_page(page: Page, path: str | PathLike[str]) -> Path:
    """Writes the page to `path` at one stroke, so that a browser never reads half of it; returns the path."""
    return write_whole(Path(path), render(page))


def write_whole(path: Path, text: str) -> Path:
    """Writes all of `text` to `path` or nothing; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # a file name may be any bytes
        temporary.replace(path)
    except OSError as error:  # a full disk doesn't say which file it was
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _policy(script: str) -> str:
    """What the page may load: pictures and media beside it or inside it, this one script, nothing from a network."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    local = "'self' file: data: blob:"
    media = f"media-src {local}; img-src {local}"
    return f"default-src 'none'; {media}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@cache
def environment(*folders: Path) -> Environment:
    """Return the templates of `folders` and of this one, escaping what goes in, with the filters that pages share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, words, lower_first, milliseconds, points, coordinate, area, by_name, groups)
    environment.filters.update({f.__name__: f for f in filters})
    return environment


def number(value: float) -> str:
    """A number as a person reads it: one decimal from 10 on, three digits below.

    >>> number(73.46), number(0.01234), number(-4.0), number(120000)
    ('73.5', '0.0123', '−4', '120000')
    """
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, ABSENT)
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return text.replace("-", "−").removeprefix("−") if float(text) == 0 else text.replace("-", "−")


def words(name: str) -> str:
    """A dimension's name as a person reads it.

    >>> words("audio_quality"), words("signals.av_consistency")
    ('Audio quality', 'Signals: AV consistency')
    """
    rater, _, dimension = name.rpartition(".")
    text = " ".join(_SPELLED.get(word, word) for word in dimension.split("_"))
    return f"{rater.capitalize()}: {text}" if rater else text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Words within a sentence: the first letter small, unless the word is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def points(value: float) -> str:
    """Points gained or lost.

    >>> points(-12.34), points(-0.02)
    ('−12.3', '0')
    """
    text = f"{value:.1f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def milliseconds(cost: float | None) -> str:
    """A duration.

    >>> milliseconds(0.31), milliseconds(42.2), milliseconds(2340), milliseconds(None)
    ('0.3 ms', '42 ms', '2.3 s', '')
    """
    if cost is None:
        return ""
    return f"{cost / 1000:.1f} s" if cost >= 1000 else f"{cost:.0f} ms" if cost >= 10 else f"{cost:.1f} ms"


def coordinate(value: float) -> str:
    """A number in a picture, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def area(values: Sequence[float], axis: float, height: float) -> str:
    """An SVG path, 100 wide, that fills from `axis` to `axis` + `height` × value (0 to 1) for each of equal spans."""
    if not values:
        return ""
    step = 100 / len(values)
    tops = (f"V{coordinate(axis + height * min(1.0, max(0.0, v)))}h{coordinate(step)}" for v in values)
    return f"M0 {coordinate(axis)}{''.join(tops)}V{coordinate(axis)}z"


def groups(measurements: Sequence[MeasurementView]) -> list[tuple[str, list[MeasurementView]]]:
    """The measurements by the dimension that they feed, in their order."""
    return [(feeds, list(group)) for feeds, group in groupby(measurements, key=lambda m: m.feeds)]


def by_name(bars: Sequence[Bar]) -> dict[str, Bar]:
    """The bars by the names of their dimensions."""
    return {bar.name: bar for bar in bars}
