"""The page of a tuning run: how it stands, what it was warned of, curves, and samples to play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.report._charts import Chart, Line, round_numbers
from avreward.report._media import media_of
from avreward.report.data import PlayableMedia
from avreward.report.page import HERE, _policy, environment, write_whole


@dataclass(frozen=True)
class TuningSample:
    """A sample clip at a checkpoint.

    Attributes:
        file: of the clip.
        caption: its prompt or name.
        trained: its reward; `None` where missing.
        held_out: its held-out reward, likewise.
    """

    file: Path
    caption: str
    trained: float | None
    held_out: float | None


@dataclass(frozen=True)
class TuningPage:
    """What the page of a tuning run shows.

    Attributes:
        title: what was done.
        status: a sentence on how the run stands.
        stopped: whether it ended early.
        warnings: one sentence each.
        curves: title, caption, and name of each line → its value at each update, `None` where there is none.
        samples: checkpoint → its clips.
        settings: name → value.
        numbers: name → first and last value.
    """

    title: str
    status: str
    stopped: bool
    warnings: Sequence[str]
    curves: Sequence[tuple[str, str, Mapping[str, Sequence[float | None]]]]
    samples: Mapping[int, Sequence[TuningSample]]
    settings: Mapping[str, str]
    numbers: Mapping[str, tuple[float | None, float | None]]


def write_tuning_page(page: TuningPage, path: str | PathLike[str]) -> Path:
    """Write the page of a tuning run atomically; samples that browsers can't play are encoded beside it.

    Raises:
        OSError: if it can't be written.
    """
    from importlib.metadata import version

    from markupsafe import Markup

    path = Path(path)
    names = ("page.css", "curve.css", "tuning.css")
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in names)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    text = (
        environment()
        .get_template("tuning.html.j2")
        .render(
            page=page,
            charts=[_chart(*curve) for curve in page.curves],
            samples={at: [(one, _media(one, path)) for one in clips] for at, clips in page.samples.items()},
            policy=_policy(script),
            version=version("avreward"),
            style=Markup(style),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
        )
    )
    return write_whole(path, text)


def _media(sample: TuningSample, page: Path) -> PlayableMedia:
    try:
        return media_of(Clip.open(sample.file), page, "-".join(sample.file.parts[-2:]).rsplit(".", 1)[0])
    except AvrewardError as error:
        return PlayableMedia("", "video", problem=f"Nothing to play: {error}")


def _chart(title: str, caption: str, lines: Mapping[str, Sequence[float | None]]) -> Chart:
    drawn = []
    for name, values in lines.items():
        points = [(number, value) for number, value in enumerate(values, 1) if value is not None]
        drawn.append(Line(name, [x for x, _ in points], [y for _, y in points]))
    last = max((line.x[-1] for line in drawn if line.x), default=1)
    marks = [1.0] if last == 1 else [value for value in round_numbers(1, last) if value == int(value)]
    return Chart(title, caption, "update", title, tuple(drawn), tuple((value, f"{value:g}") for value in marks))
