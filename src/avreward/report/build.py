"""Build the page of a ranking: scores and media of each candidate, and the settings of the run."""

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
from typing import TYPE_CHECKING

from avreward._locks import claimed
from avreward.audit.attribution import Attribution
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension, level_of
from avreward.report._attribution import AttributionView, view_of
from avreward.report._measured import costliest, measured
from avreward.report._media import media_of
from avreward.report.data import Bar, CandidateView, FailedFile, MeasurementView, Page, PlayableMedia
from avreward.report.page import write_page
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.scoring._torch_threads import one_core
from avreward.selection._selection import Selection

if TYPE_CHECKING:
    from avreward.report._why import Why

TICKS = 24  # other candidates drawn in one bar; of more, an even selection keeps large pages small
THREADS = 4  # candidates encoded in parallel; libav uses threads of its own


@dataclass(frozen=True)
class Details:
    """Optional parts of a page besides the ranking.

    Args:
        names: of the candidates, in the order given; by default the clips' own.
        failures: files that could not be opened.
        settings: more lines for the settings, such as the command.
        captions: candidate's name → a line about it.
        wall_s: the time that the run took, in seconds.
        copy_media: copy every file beside the page, so that the folder can be shared.
        step: called with the name of each candidate when its media are ready.
        attributions: index of a candidate → which of its moments and regions the reward depends on.
    """

    names: Sequence[str] = ()
    failures: Sequence[FailedFile] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    wall_s: float | None = None
    copy_media: bool = False
    step: Callable[[str], None] = lambda name: None
    attributions: Mapping[int, Attribution] = field(default_factory=dict)


def write_report(
    path: str | PathLike[str], picked: Selection, reward: RewardLike, details: Details | None = None
) -> Path:
    """Write the HTML page of a ranking; media that browsers can't play are encoded into a folder beside it.

    Args:
        path: of the page.
        picked: a ranking, such as `best_of_n` returns.
        reward: the reward that ranked the candidates.
        details: names, captions and other parts (*optional*).

    Returns:
        The path of the page.

    Raises:
        OSError: if the page can't be written.
        OutputInUse: if another run is writing it.

    Example:
        >>> picked = best_of_n(clips, reward)
        >>> write_report("page.html", picked, reward)
        PosixPath('page.html')
    """
    with claimed(Path(path)):
        return _written(Path(path), picked, as_reward(reward), details or Details())


def _written(path: Path, picked: Selection, reward: Reward, details: Details) -> Path:
    clips = {i: picked.clip(i) for i in picked.order}
    names = list(details.names) or _names(picked, clips)
    ranked = list(clips.values())
    prompts = {clip.prompt for clip in ranked}
    candidates = _candidates(path, picked, clips, reward, names, details)
    page = Page(
        candidates=candidates,
        failures=[*(FailedFile(names[i], why) for i, why in picked.missing.items()), *details.failures],
        expression=repr(reward),
        prompt=(next(iter(prompts)) or "") if len(prompts) == 1 else "",
        notes=prompt_notes(reward, prompts),
        settings={**settings(reward), **details.settings},
        same_picture=_share_picture(ranked),
        own=own[1].name if (own := own_dimension(reward)) else "",
        wall_s=details.wall_s,
        why=_why(picked, reward, names, candidates),
    )
    return write_page(page, path)


def _why(picked: Selection, reward: Reward, names: Sequence[str], candidates: Sequence[CandidateView]) -> Why | None:
    from avreward.report._why import why_it_won  # late, since it builds on this file

    if len(candidates) < 2:
        return None
    measurements = {i: candidate.measurements for i, candidate in zip(picked.order, candidates, strict=True)}
    return why_it_won(picked, reward, names, measurements)


def _names(picked: Selection, clips: Mapping[int, Clip]) -> list[str]:
    """Return the candidates' names on the page: a clip's file name, or a search candidate's own name."""
    return [
        clips[i].name if i in clips and candidate.noise is None else candidate.name
        for i, candidate in enumerate(picked.candidates)
    ]


def _candidates(
    path: Path, picked: Selection, clips: Mapping[int, Clip], reward: Reward, names: Sequence[str], details: Details
) -> list[CandidateView]:
    """Return the ranked candidates, best first, with their media and measurements."""
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
            # A square root, as for the audio, makes small motion visible beside large motion.
            media=replace(media, motion=tuple((motion / most_motion) ** 0.5 for motion in media.motion)),
            sigma=None if rewards.sigma is None else float(rewards.sigma[i]),
            measurements=measurements,
            reasons=costliest(measurements, {*rewards.basis[i], *(term.dimension for term in reward.terms)}),
            facts=facts(clips[i]),
            basis=() if one_basis else rewards.basis[i],
            caption=details.captions.get(names[i]) or ("" if one_prompt else clips[i].prompt) or "",
            level=bars[i][0].level if own else None,
            attribution=_drawn(details.attributions.get(i), clips[i], media),
        )
        for i, (media, measurements) in zip(picked.order, drawn, strict=True)
    ]


def _drawn(found: Attribution | None, clip: Clip, media: PlayableMedia) -> AttributionView | None:
    return None if found is None else view_of(found, clip.seconds, media.width, media.height)


def unread_prompt(reward: Reward) -> list[str]:
    """Return a warning line if no term of the reward reads the prompt; else an empty list."""
    if reward.prompt_anchored:
        return []
    names = " and ".join(rater.name for rater in reward.raters)
    verb = "do" if len(reward.raters) > 1 else "does"
    return [f"{names} {verb} not read the prompt: the ranking does not show whether a clip matches its prompt."]


def prompt_notes(reward: Reward, prompts: Iterable[str | None]) -> list[str]:
    """Return the line of `unread_prompt` if any of the ranked clips has a prompt; else an empty list."""
    return unread_prompt(reward) if any(prompts) else []


def settings(reward: Reward) -> dict[str, str]:
    """Return the settings needed to reproduce the scores: label → value."""
    lines = {"Reward": repr(reward), "Reward fingerprint": reward.fingerprint}
    for rater in reward.raters:
        lines[f"Rater {rater.name}"] = f"fingerprint {rater.fingerprint.removeprefix(f'{rater.name}:')}"
        lines |= {str(label): str(value) for label, value in rater.settings.items()}
    packages = ", ".join(f"{name} {version(name)}" for name in ("avreward", "torch", "av"))
    return {**lines, "Versions": f"{packages}, Python {platform.python_version()}"}


def facts(clip: Clip) -> list[str]:
    """Return length, size, frame rate and sample rate of a clip as short texts."""
    said = [f"{clip.seconds:.1f} s"]
    if clip.has_video:
        # The displayed size needs the first frame, and the file may have been removed.
        with suppress(AvrewardError):
            said.append(f"{clip.width} × {clip.height}")
        said += [f"{clip.fps:.4g} frames/s"] if clip.fps else []
    if clip.has_audio:
        channels = {1: "mono", 2: "stereo", 6: "5.1"}.get(clip.channels, f"{clip.channels} channels")
        said += [f"{clip.sample_rate / 1000:g} kHz {channels}"]
    return [*said, *clip.missing.values()]


def own_dimension(reward: Reward) -> tuple[Rater, Dimension] | None:
    """Return the rater and dimension that the reward equals; `None` if it is not a single dimension."""
    return next(((t.rater, t.rater.dimension(t.dimension)) for t in reward.terms if t.name == repr(reward)), None)


def shown(reward: Reward) -> list[tuple[Rater, Dimension]]:
    """Return the dimensions to show in tables and pages: all but details that the reward does not read.

    The dimension that equals the reward, if any, comes first.
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
    """Return a dimension's name, with the rater's name if there are several raters."""
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
    """Return the ends of the drawn scale: the dimension's own, or the candidates' range where it has none."""
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
