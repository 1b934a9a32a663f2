"""The page of `avreward curve`: the gain of choosing the best of k, as charts and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from avreward._display import counted
from avreward.report._charts import Chart, Line, round_numbers
from avreward.report.page import ABSENT, HERE, environment, number, write_whole
from avreward.selection.best_of_k._curve import BestOfKCurve
from avreward.selection.best_of_k.bootstrap import Estimate

FEW = 20  # prompts, below which bootstrap intervals are too narrow


def render_curve(found: BestOfKCurve, source: str) -> str:
    """Return the page as one HTML text without external files.

    Args:
        found: see `avreward.selection.best_of_k._curve.curve`.
        source: the name of the table.
    """
    from importlib.metadata import version

    from markupsafe import Markup

    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "curve.css"))
    return (
        environment()
        .get_template("curve.html.j2")
        .render(
            found=found,
            source=source,
            charts=charts(found),
            notes=notes(found),
            spans=span,
            grouped=grouped(found),
            version=version("avreward"),
            style=Markup(style),  # noqa: S704 - our own files
        )
    )


def write_curve(found: BestOfKCurve, source: str, path: str | PathLike[str]) -> Path:
    """Write the page of a best-of-N curve atomically.

    Args:
        found: see `avreward.selection.best_of_k_curve`.
        source: the name of the table.
        path: of the page.

    Returns:
        The path of the page.

    Raises:
        OSError: if the page can't be written.
    """
    return write_whole(Path(path), render_curve(found, source))


def grouped(found: BestOfKCurve) -> str:
    """Return how many candidates there are and how they are grouped."""
    candidates = counted(found.candidates, "candidate")
    if found.rule == "the prompt":
        return f"{candidates} of {counted(found.prompts, 'prompt')}, grouped by the prompt"
    groups = counted(found.prompts, "group")
    return f"{candidates} in {groups} by {found.rule}; each group counts as one prompt"


def notes(found: BestOfKCurve) -> list[str]:
    """Return remarks on the numbers, one sentence each."""
    lines = []
    if len(found.points) == 1:
        lines.append("Every prompt has a single candidate, so there is nothing to choose among.")
    if found.prompts < FEW:
        few = "1 prompt" if found.prompts == 1 else f"{found.prompts} prompts"
        lines.append(f"Only {few}: intervals over prompts are too narrow or missing.")
    if len(found.sizes) > 1:
        least, most = min(found.sizes), max(found.sizes)
        lines.append(
            f"Prompts have {least} to {most} candidates: from k = {least + 1} on, each k is over fewer prompts. Gains "
            "compare within the same prompts; rewards at different k do not."
        )
    if found.tied:
        lines.append(
            f"In {found.tied} of {found.prompts} prompts several candidates share the highest reward; "
            "the earliest one is chosen."
        )
    if found.curse is not None and found.curse.lacking:
        lines.append(f"{found.curse.lacking} candidates have no {found.curse.second} and are left out of its columns.")
    return lines


def charts(found: BestOfKCurve) -> list[Chart]:
    """Return the charts; none if there is nothing to choose among."""
    points = found.points
    if len(points) < 2:
        return []
    across, marks = [math.log2(point.k) for point in points], _marks(len(points))
    gains = [point.gain for point in points]
    made = [
        Chart(
            "Gain over one candidate",
            f"{found.reward} of the best of k minus that of one candidate of the same prompt.",
            "k candidates",
            "gain",
            (_line("gain", across, gains),),
            marks,
            None if found.needed is None else found.needed.gain,
        ),
        Chart(
            "Gain against divergence",
            "The same against log k − (k − 1)/k, an upper bound of the divergence from the generator.",
            "KL bound, nats",
            "gain",
            (_line("gain", [point.kl_bound for point in points], gains),),
            tuple((value, f"{value:g}") for value in round_numbers(0.0, points[-1].kl_bound)),
        ),
    ]
    rated = [(x, point.win_rate) for x, point in zip(across, points, strict=True) if point.win_rate is not None]
    if len(rated) > 1:
        won = _line("win rate", [x for x, _ in rated], [rate for _, rate in rated])
        exact = Line("without ties: k/(k + 1)", won.x, [1 - 1 / (1 + 2**x) for x in won.x], dashed=True)
        caption = "How often the best of k beats one more candidate; a tie is half a win."
        made.append(Chart("Win rate", caption, "k candidates", "win rate", (won, exact), _marks(len(rated))))
    return made + _curse_chart(found)


def _curse_chart(found: BestOfKCurve) -> list[Chart]:
    curse = found.curse
    if curse is None or len(curse.points) < 2 or not math.isfinite(curse.correlation.value):
        return []
    across = [math.log2(point.k) for point in curse.points]
    predicted = _line("predicted", across, [point.predicted for point in curse.points])
    lines = (
        _line(found.reward, across, [point.own for point in curse.points]),
        _line(curse.second, across, [point.second for point in curse.points]),
        Line("regression to the mean", predicted.x, predicted.y, dashed=True),
    )
    caption = (
        f"Gain of the candidate that {found.reward} chooses, by both scores, in standard deviations within prompts; "
        f"correlation {span(curse.correlation)}."
    )
    return [Chart("Winner’s curse", caption, "k candidates", "gain, σ", lines, _marks(len(across)))]


def _line(name: str, x: Sequence[float], y: Sequence[Estimate]) -> Line:
    return Line(name, x, [one.value for one in y], [one.low for one in y], [one.high for one in y])


def _marks(largest: int) -> tuple[tuple[float, str], ...]:
    """Return labels at powers of two and at the largest k; the last power is left out if it is too near."""
    powers = [2**i for i in range(largest.bit_length()) if 2**i <= largest]
    powers = powers[:: 1 + len(powers) // 9]
    near = 0.4 if len(powers) > 3 else 0.2  # in doublings; a narrow axis has space
    powers = [k for k in powers if k in (1, largest) or math.log2(largest / k) > near]
    return tuple((math.log2(k), str(k)) for k in sorted({*powers, largest}))


def span(one: Estimate | None) -> str:
    """Return a number and its interval, if it has a visible one.

    Example:
        >>> span(Estimate(1.234, 1.1, 1.3)), span(Estimate(0.5, 0.5, 0.5)), span(None)
        ('1.23 [1.1, 1.3]', '0.5', '–')
    """
    if one is None:
        return ABSENT
    text, low, high = (ABSENT if value is None else number(value) for value in (one.value, one.low, one.high))
    return text if ABSENT in (low, high) or low == high == text else f"{text} [{low}, {high}]"
