"""From a ranking to the page: what each candidate scored, how it looks and sounds, and what the run depended on."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension, level_of
from avreward.report._measured import costliest, measured
from avreward.report._media import media_of
from avreward.report.data import Bar, CandidateView, FailedFile, MeasurementView, Page, PlayableMedia
from avreward.report.page import write_page
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.scoring._torch_threads import one_core
from avreward.selection._selection import Selection

TICKS = 24  # other candidates drawn in one bar; of more, evenly chosen ones, so that a page of 500 stays light
THREADS = 4  # candidates made playable side by side: libav's own threads do the rest


@dataclass(frozen=True)
class Details:
    """What a page can say besides the ranking itself; every part is *optional*.

    Args:
        names: of the candidates, in the order given; by default the clips' own.
        failures: what could not even be opened.
        settings: more lines for the settings: the command, say.
        captions: candidate's name → a line about it.
        wall_s: what the run took.
        copy_media: put a copy of every file beside the page, so that the folder can be sent to somebody.
        step: called once for each candidate that is drawn.
    """

    names: Sequence[str] = ()
    failures: Sequence[FailedFile] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    wall_s: float | None = None
    copy_media: bool = False
    step: Callable[[str], None] = lambda name: None


def write_report(
    path: str | PathLike[str], picked: Selection, reward: RewardLike, details: Details | None = None
) -> Path:
    """Writes the page of a ranking; media that browsers can't play are encoded into a folder beside it.

    >>> picked = best_of_n(clips, reward)
    >>> write_report("page.html", picked, reward)
    PosixPath('page.html')
    """
    details, path, reward = details or Details(), Path(path), as_reward(reward)
    clips = {i: picked.clip(i) for i in picked.order}
    names = list(details.names) or _names(picked, clips)
    ranked = list(clips.values())
    prompts = {clip.prompt for clip in ranked}
    page = Page(
        candidates=_candidates(path, picked, clips, reward, names, details),
        failures=[*(FailedFile(names[i], why) for i, why in picked.missing.items()), *details.failures],
        expression=repr(reward),
        prompt=(next(iter(prompts)) or "") if len(prompts) == 1 else "",
        notes=unread_prompt(reward),
        settings={**settings(reward), **details.settings},
        same_picture=_share_picture(ranked),
        own=own[1].name if (own := own_dimension(reward)) else "",
        wall_s=details.wall_s,
    )
    return write_page(page, path)


def _names(picked: Selection, clips: Mapping[int, Clip]) -> list[str]:
    """What the page calls the candidates: a clip by its file, what a search made by its seed."""
    return [
        clips[i].name if i in clips and candidate.noise is None else candidate.name
        for i, candidate in enumerate(picked.candidates)
    ]


def _candidates(
    path: Path, picked: Selection, clips: Mapping[int, Clip], reward: Reward, names: Sequence[str], details: Details
) -> list[CandidateView]:
    """The ranked candidates, best first, with their media and measurements."""
    rewards = picked.rewards

    def draw(i: int) -> tuple[PlayableMedia, list[MeasurementView]]:
        media = media_of(clips[i], path, f"{i + 1:02d}-{Path(names[i]).stem}", details.copy_media)
        measurements = measured(clips[i], reward.raters, rewards.scores, i)
        details.step(names[i])
        return media, measurements

    with one_core(), ThreadPoolExecutor(THREADS) as pool:
        drawn = list(pool.map(draw, picked.order))
    most_motion = max((max(media.motion, default=0.0) for media, _ in drawn), default=0.0) or 1.0
    bars, own = bars_of(picked, reward), own_dimension(reward)
    one_basis = len({rewards.basis[i] for i in picked.order}) == 1
    one_prompt = len({clips[i].prompt for i in picked.order}) == 1
    return [
        CandidateView(
            name=names[i],
            reward=float(rewards.values[i].detach()),
            bars=bars[i],
            # A square root, as for the sound: what moves a little can be seen beside what moves a lot.
            media=replace(media, motion=tuple((motion / most_motion) ** 0.5 for motion in media.motion)),
            sigma=None if rewards.sigma is None else float(rewards.sigma[i]),
            measurements=measurements,
            reasons=costliest(measurements, {*rewards.basis[i], *(term.dimension for term in reward.terms)}),
            facts=facts(clips[i]),
            basis=() if one_basis else rewards.basis[i],
            caption=details.captions.get(names[i]) or ("" if one_prompt else clips[i].prompt) or "",
            level=bars[i][0].level if own else None,
        )
        for i, (media, measurements) in zip(picked.order, drawn, strict=True)
    ]


def unread_prompt(reward: Reward) -> list[str]:
    """The line that a reader must see where nothing in the reward looks at the prompt; else none."""
    if reward.prompt_anchored:
        return []
    names = " and ".join(rater.name for rater in reward.raters)
    verb = "do" if len(reward.raters) > 1 else "does"
    return [
        f"{names} {verb} not read the prompt: the ranking says nothing about whether a clip shows what was asked for."
    ]


def settings(reward: Reward) -> dict[str, str]:
    """What it takes to get the same numbers again."""
    lines = {"Reward": repr(reward), "Reward fingerprint": reward.fingerprint}
    for rater in reward.raters:
        lines[f"Rater {rater.name}"] = f"fingerprint {rater.fingerprint.removeprefix(f'{rater.name}:')}"
        lines |= {str(label): str(value) for label, value in rater.settings.items()}
    packages = ", ".join(f"{name} {version(name)}" for name in ("avreward", "torch", "av"))
    return {**lines, "Versions": f"{packages}, Python {platform.python_version()}"}


def facts(clip: Clip) -> list[str]:
    """The shape of a clip's tracks, for a person."""
    said = [f"{clip.seconds:.1f} s"]
    if clip.has_video:
        # The displayed size needs the first frame, and the file may be gone.
        with suppress(AvrewardError):
            said.append(f"{clip.width} × {clip.height}")
        said += [f"{clip.fps:.4g} frames/s"] if clip.fps else []
    if clip.has_audio:
        channels = {1: "mono", 2: "stereo", 6: "5.1"}.get(clip.channels, f"{clip.channels} channels")
        said += [f"{clip.sample_rate / 1000:g} kHz {channels}"]
    return [*said, *clip.missing.values()]


def own_dimension(reward: Reward) -> tuple[Rater, Dimension] | None:
    """The dimension that the reward is, where it is a single one, and its rater."""
    return next(((t.rater, t.rater.dimension(t.dimension)) for t in reward.terms if t.name == repr(reward)), None)


def shown(reward: Reward) -> list[tuple[Rater, Dimension]]:
    """The dimensions that tables and pages show: all but the details, and details that the reward reads.

    The one that is the reward itself, if it is a single one, comes first.
    """
    read = {term.name for term in reward.terms}
    pairs = [
        (rater, dimension)
        for rater in reward.raters
        for dimension in rater.dimensions
        if not dimension.detail or f"{rater.name}.{dimension.name}" in read
    ]
    own = own_dimension(reward)
    return sorted(pairs, key=lambda pair: pair != own)


def label_of(rater: Rater, dimension: Dimension, reward: Reward) -> str:
    """A dimension's name, with the rater's where there are several."""
    return f"{rater.name}.{dimension.name}" if len(reward.raters) > 1 else dimension.name


def bars_of(picked: Selection, reward: Reward) -> list[list[Bar]]:
    """For each candidate (in the order given), a bar for each shown dimension."""
    rows: list[list[Bar]] = [[] for _ in picked.candidates]
    for rater, dimension in shown(reward):
        scores = picked.rewards.scores[rater.name]
        column = scores.column(dimension.name)
        there = {i: float(scores.values[i, column].detach()) for i in picked.order if scores.present[i, column]}
        low, high = _scale(dimension, there.values())
        for i in picked.order:
            rows[i].append(
                Bar(
                    name=label_of(rater, dimension, reward),
                    value=there.get(i),
                    low=low,
                    high=high,
                    level=level_of(there[i], dimension) if i in there and dimension.calibrated else None,
                    reason=scores.reasons[i].get(dimension.name, ""),
                    unit=dimension.unit,
                    description=dimension.description,
                    others=_ticks([value for other, value in there.items() if other != i]),
                )
            )
    return rows


def _scale(dimension: Dimension, values: Iterable[float]) -> tuple[float, float]:
    """The ends of the drawn scale: the dimension's own, or where it has none, what the candidates reach."""
    seen = list(values) or [0.0]
    low = dimension.low if math.isfinite(dimension.low) else min(seen)
    high = dimension.high if math.isfinite(dimension.high) else max(seen)
    margin = 0.05 * (high - low)
    return low - margin * (not math.isfinite(dimension.low)), high + margin * (not math.isfinite(dimension.high))


def _ticks(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) <= TICKS:
        return tuple(values)
    ordered = sorted(values)
    return tuple(ordered[round(i * (len(ordered) - 1) / (TICKS - 1))] for i in range(TICKS))


def _share_picture(clips: Sequence[Clip]) -> bool:
    try:
        pictures = [clip.keys["video"] for clip in clips if clip.has_video]
        return len(set(pictures)) < len(pictures)
    except AvrewardError:
        return False
