"""`avreward explain`: which moments and regions of a clip a reward depends on."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import (
    RaterNames,
    cell,
    print_json_text,
    progress,
    raters_of,
    reward_of,
    shown,
    stderr,
    stdout,
    writable,
)

if TYPE_CHECKING:
    from avreward.audit.attribution import Attribution
    from avreward.report.data import MeasurementView
    from avreward.rewards.base import Reward
    from avreward.rewards.results import Rewards
    from avreward.selection._selection import Selection


class ExplainMethod(StrEnum):
    """The methods of `avreward.audit.attribute`."""

    MIXED = "mixed"
    OCCLUSION = "occlusion"
    GRADIENT = "gradient"
    ALONE = "alone"


def explain(
    clip: Annotated[Path, typer.Argument(help="A media file.", show_default=False)],
    reward: Annotated[
        str | None,
        typer.Option(
            help="What is explained: an expression, or the YAML file or folder of a reward. Default: overall."
        ),
    ] = None,
    rater: RaterNames = None,
    prompt: Annotated[str | None, typer.Option(help="What the clip was asked for.")] = None,
    method: Annotated[
        ExplainMethod,
        typer.Option(
            help="occlusion rates the clip again without each part, alone each part as a clip of its own: both work "
            "for every rater; mixed takes occlusion for moments, alone for regions; gradient takes eight passes, "
            "for differentiable raters."
        ),
    ] = ExplainMethod.MIXED,
    moment: Annotated[
        float | None,
        typer.Option(
            help="Length of a moment in seconds. Default: 0.5, with --method alone 1, or more in a long clip.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the effect of every moment and region here: .csv, or .json.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page to watch: moments under the player, regions over the frame.")
    ] = None,
) -> None:
    """Explain a clip's reward: which moment and which region raise or lower it.

    `avreward explain clip.mp4 --reward audio_quality --report page.html`
    """
    writable(out, "--out", (".csv", ".json"))
    writable(report, "--report", (".html", ".htm"))
    chosen = reward_of(reward, raters_of(rater))

    import torch

    from avreward.audit._attribute import attribute, steps_of
    from avreward.clip import Clip
    from avreward.selection._best_of_n import select

    started = time.monotonic()
    opened = Clip.open(clip, prompt=prompt)
    with torch.no_grad():
        rewards = chosen.evaluate([opened])
    picked = select([opened], rewards)  # raises where the clip has no reward
    with progress("Explaining", steps_of(chosen, opened, method.value, moment=moment)) as step:
        found = attribute(chosen, opened, method.value, moment=moment, name=shown(clip), step=step)
    costs = _costs(picked, chosen)
    if report is not None:
        _write_page(picked, chosen, found, report, time.monotonic() - started)
    if as_json:
        print_json_text(_told(found, chosen, rewards, costs, report))
    else:
        _print(found, chosen, rewards, costs, report)
    if out is not None:
        found.save(out)
        stderr().print(f"wrote {out}", style="dim", markup=False, soft_wrap=True)


def _costs(picked: Selection, reward: Reward) -> list[MeasurementView]:
    """Return the measurements that cost most."""
    from avreward.report._measured import costliest, measured

    rewards = picked.rewards
    own = measured(picked.best, reward.raters, rewards.scores, 0)
    return costliest(own, {*rewards.basis[0], *(term.dimension for term in reward.terms)})


def _write_page(picked: Selection, reward: Reward, found: Attribution, path: Path, wall_s: float) -> None:
    from avreward.report.build import Details, write_report

    settings = {"Command": shlex.join(["avreward", *sys.argv[1:]])}
    write_report(path, picked, reward, Details(settings=settings, attributions={0: found}, wall_s=wall_s))


def _told(
    found: Attribution, reward: Reward, rewards: Rewards, costs: list[MeasurementView], report: Path | None
) -> dict[str, Any]:
    from avreward.raters.scores import as_row

    scores = {
        f"{rater}.{name}": value for rater, own in rewards.scores.items() for name, value in as_row(own, 0).items()
    }
    return {
        **found.to_json(),
        "fingerprint": reward.fingerprint,
        "scores": scores,
        "costs": [{"name": m.name, "feeds": m.feeds, "points": m.points} for m in costs],
        "report": str(report) if report is not None else None,
    }


def _print(
    found: Attribution, reward: Reward, rewards: Rewards, costs: list[MeasurementView], report: Path | None
) -> None:

    from avreward.report.build import label_of, own_dimension, shown
    from avreward.report.page import lower_first, number, points, words

    out = stdout()
    out.print(f"[bold]{cell(found.reward)} = {number(found.value)}[/bold]  {cell(found.name)}", soft_wrap=True)
    scores = [
        f"{lower_first(words(label_of(*pair, reward)))} {number(float(rewards.scores[pair[0].name][pair[1].name][0]))}"
        for pair in shown(reward)
        if pair != own_dimension(reward)
    ]
    if scores:
        out.print(cell(", ".join(scores)), soft_wrap=True)
    if costs:
        said = ", ".join(f"{lower_first(words(m.name))} {points(-(m.points or 0.0))}" for m in costs)
        out.print(cell(f"Costs most: {said}"), soft_wrap=True)
    out.print(f"By {found.by}:", style="dim")
    for line in found.summary():
        out.print(cell(line), soft_wrap=True)
    if report is not None:
        out.print(f"Report: {cell(str(report))}", soft_wrap=True)
