"""Attribute a reward to the moments and regions of a clip, by occlusion or by gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from avreward.audit._alone import moments_alone, regions_alone
from avreward.audit._occlusion import MomentWindows, Variant, effects_of, value_of, without_moments, without_regions
from avreward.audit._path_gradient import POINTS, integrated_gradients
from avreward.audit.attribution import METHODS, Attribution, Method, MomentEffects, RegionEffects
from avreward.audit.probes import gradient_clip
from avreward.clip import Clip
from avreward.errors import ArgumentError, unknown_name
from avreward.raters._tensors import dimension_of
from avreward.raters.base import Rater
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward

MOMENT = 0.5  # s
MOMENT_ALONE = 1.0  # s; what is rated by itself needs something to rate
MOST_MOMENTS = 40  # of a track; of a longer one they are longer, so that the work is bounded
GRID = (6, 8)  # rows, columns
MOST_BLOCKS = 32  # in a row or column
OCCLUSION_BYTES = 2**30  # of a clip's frames as 32-bit floats; the method holds three copies
Step = Callable[[str], None]


def attribute(
    reward: RewardLike | Rater,
    clip: Clip,
    method: Method = "mixed",
    *,
    moment: float | None = None,
    grid: tuple[int, int] = GRID,
    parts: Sequence[str] | None = None,
    name: str | None = None,
    step: Step = lambda doing: None,
) -> Attribution:
    """Return which moments and regions of a clip raise or lower a reward.

    ``"mixed"`` looks for moments by occlusion and for regions by ``"alone"``, which finds most.

    ``"occlusion"`` rates the clip again without each moment of video and of audio, and without each block of the frame.
    The effect of a part is the reward of the clip minus the reward without it. It works for every rater. What takes
    the place of a part is made of the clip itself, since black frames and digital silence would be defects of their
    own: a moment of video is a cross-fade from the frame before to the frame after, a moment of audio is turned down to
    the level of the quietest tenth, a block is a blur with soft edges.

    ``"alone"`` rates each moment and the surroundings of each block (a third of the frame's height and width) as a clip
    of its own. The effect of a part is its own reward minus that of the whole clip. It is the cheapest for long clips,
    works for every rater, and shows best which part is worst; a rater that needs the context is misled by it.

    ``"gradient"`` needs a differentiable reward, and eight passes in all: the integrated gradients from the clip with
    its moments and regions evened out (a blur in time and space, a level that stays the same) to the clip itself. The
    blocks together, and the moments without their overlap, make up the difference of these two rewards.

    Nothing is random. A clip with frames of more than 1 GiB as floats (128 MiB for gradients) is scaled down, which a
    note says.

    Args:
        reward: a reward or an expression; a rater stands for its `overall` or only dimension.
        clip: any clip; only the tracks that the reward depends on are looked at.
        method: ``"mixed"``, ``"occlusion"``, ``"gradient"`` or ``"alone"``.
        moment: length of a moment in s (*optional*, 0.5 s, for ``"alone"`` 1 s; longer in long clips, so that there are
            at most 40).
        grid: rows and columns of the frame's blocks.
        parts: what to look at: moments of ``"video"`` and ``"audio"`` (for ``"alone"`` of the ``"clip"``), regions of
            the ``"frame"`` (*optional*, all that the reward depends on).
        name: of the clip (*optional*, its file's name).
        step: called with a line for each part that was rated.

    Raises:
        ArgumentError: if an argument is wrong, or the reward is not differentiable and `method` is ``"gradient"``.
        MissingScore: if the clip has no reward.
        MediaError: if the clip can't be decoded.

    Example:
        >>> wave = 0.1 * torch.sin(torch.arange(32000) * 0.3)
        >>> wave[16000:20000] *= 8
        >>> found = attribute("loudness", Clip(audio=wave, sample_rate=16000))
        >>> found.moments["audio"].highest.where
        'from 1.00 to 1.50 s'
    """
    chosen = _chosen(reward)
    _check(chosen, method, moment, grid)
    clip = clip.detached()
    read = _read(chosen, clip)
    looked_at = _parts(read, parts, method)
    whole, notes = _whole(clip, read, method)
    windows = _windows(whole, looked_at, moment, method)
    blocks = grid if "frame" in looked_at else None
    if method == "gradient":
        value, moments, regions, more = _by_gradient(chosen, whole, windows, blocks, step)
    else:
        value, moments, regions, more = _by_rating(chosen, whole, windows, blocks, step, method)
    absent = [f"{stream}: too short to tell moments apart" for stream, own in windows.items() if not own.start]
    return Attribution(
        clip.name if name is None else name,
        repr(chosen),
        value,
        method,
        {part: MomentEffects(part, windows[part].start, windows[part].stop, own) for part, own in moments.items()},
        None if regions is None else RegionEffects(regions),
        (*notes, *absent, *more),
    )


def steps_of(
    reward: RewardLike | Rater,
    clip: Clip,
    method: Method = "mixed",
    *,
    moment: float | None = None,
    grid: tuple[int, int] = GRID,
    parts: Sequence[str] | None = None,
) -> int:
    """Return how often `attribute` calls its `step`."""
    if method == "gradient":
        return POINTS
    looked_at = _parts(_read(_chosen(reward), clip), parts, method)
    moments = sum(len(own.start) for own in _windows(clip, looked_at, moment, method).values())
    return moments + (grid[0] * grid[1] if "frame" in looked_at else 0)


Found = tuple[float, dict[str, tuple[float | None, ...]], tuple[tuple[float | None, ...], ...] | None, list[str]]


def _by_rating(
    reward: Reward,
    clip: Clip,
    windows: dict[str, MomentWindows],
    grid: tuple[int, int] | None,
    step: Step,
    method: Method,
) -> Found:
    value = value_of(reward, clip)
    reasons: list[str] = []

    def effects(variants: list[Variant], alone: bool) -> tuple[float | None, ...]:
        found = list(effects_of(reward, value, clip, variants, step))
        lacking = [why for _, why in found if why is not None]
        if lacking:
            which = "alone" if alone else "without them"
            reasons.append(f"{len(lacking)} of {len(found)} parts have no effect, since {which}: {lacking[0]}")
        return tuple(None if fall is None else -fall if alone else fall for fall, _ in found)

    alone = method == "alone"
    moments = {
        stream: effects(moments_alone(clip, own) if alone else without_moments(clip, stream, own), alone)
        for stream, own in windows.items()
        if own.start
    }
    if grid is None:
        return value, moments, None, reasons
    alone = method != "occlusion"
    flat = effects(regions_alone(clip, grid) if alone else without_regions(clip, grid), alone)
    return value, moments, tuple(flat[r * grid[1] : (r + 1) * grid[1]] for r in range(grid[0])), reasons


def _by_gradient(
    reward: Reward, clip: Clip, windows: dict[str, MomentWindows], grid: tuple[int, int] | None, step: Step
) -> Found:
    value = value_of(reward, clip)
    parts = integrated_gradients(reward, clip, grid or (1, 1), step)
    times = {}
    if "video" in parts:
        times["video"] = clip.times
    if "audio" in parts:
        times["audio"] = torch.arange(len(parts["audio"]), dtype=torch.float64) / clip.sample_rate
    moments: dict[str, tuple[float | None, ...]] = {}
    for stream, own in windows.items():
        if own.start and stream in parts:
            moments[stream] = tuple(_summed(parts[stream].flatten(1).sum(1), times[stream], own).tolist())
    missing = [t for t in ("video", "audio") if t not in parts and (clip.has_video if t == "video" else clip.has_audio)]
    notes = [f"{track}: no gradient of {reward} reaches it" for track in missing]
    regions = tuple(map(tuple, parts["video"].sum(0).tolist())) if "video" in parts and grid else None
    return value, moments, regions, notes


def _summed(values: Tensor, times: Tensor, windows: MomentWindows) -> Tensor:
    """Return the sum of values (n,) at `times` (n,) in each window."""
    total = torch.cat([values.new_zeros(1), values.cumsum(0)])
    edges = [torch.tensor(ends, dtype=torch.float64) - 1e-6 for ends in (windows.start, windows.stop)]
    first, end = (torch.searchsorted(times.double().cpu(), edge) for edge in edges)
    return (total[end] - total[first]).cpu()


def _chosen(reward: RewardLike | Rater) -> Reward:
    return reward[dimension_of(reward, None)] if isinstance(reward, Rater) else as_reward(reward)


def _check(reward: Reward, method: str, moment: float | None, grid: tuple[int, int]) -> None:
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if moment is not None and not (isinstance(moment, int | float) and 0.02 <= moment < math.inf):
        raise ArgumentError("moment", "a length of at least 0.02 s", moment)
    if not (len(grid) == 2 and all(isinstance(side, int) and 1 <= side <= MOST_BLOCKS for side in grid)):
        raise ArgumentError("grid", f"rows and columns, each from 1 to {MOST_BLOCKS}", grid)
    if method == "gradient" and not reward.differentiable:
        blocking = ", ".join(term.name for term in reward.terms if not term.rater.differentiable)
        raise ArgumentError("method", "'mixed', 'occlusion' or 'alone'", method, f"{blocking} has no gradient")


def _read(reward: Reward, clip: Clip) -> list[str]:
    """Return those tracks of the clip that the reward may depend on."""
    read = frozenset[str]().union(*(term.rater.reads(term.dimension) for term in reward.terms))
    return [track for track in ("video", "audio") if track in read and track not in clip.missing]


def _parts(read: Sequence[str], asked: Sequence[str] | None, method: Method) -> list[str]:
    streams = ["clip"] if method == "alone" and len(read) == 2 else read
    known = [*streams, *(["frame"] if "video" in read else [])]
    for part in asked or ():
        if part not in known:
            raise unknown_name("parts", part, known)
    return [part for part in known if asked is None or part in asked]


def _whole(clip: Clip, read: Sequence[str], method: Method) -> tuple[Clip, list[str]]:
    """Return the tracks that are read in memory, and a note if the video was scaled down."""
    texts = {"prompt": clip.prompt, "texts": clip.texts}
    if "video" not in read:
        return Clip(audio=clip.sound(), sample_rate=clip.sample_rate, **texts), []  # type: ignore[arg-type]
    whole = gradient_clip(clip, None if method == "gradient" else OCCLUSION_BYTES)
    notes = []
    if whole.height != clip.height:
        notes = [f"video: rated at {whole.width} × {whole.height} pixels, since at full size it takes too much memory"]
    if "audio" in read or not clip.has_audio:
        return whole, notes
    return Clip(video=whole.video, times=whole.times, **texts), notes  # type: ignore[arg-type]


def _windows(clip: Clip, parts: Sequence[str], moment: float | None, method: Method) -> dict[str, MomentWindows]:
    """Return the windows of each stream among `parts`."""
    ends = {**clip.ends, "clip": min(clip.ends.values())}
    usual = MOMENT_ALONE if method == "alone" else MOMENT
    interval = float(clip.times.diff().median()) if clip.has_video and len(clip.times) > 1 else math.inf
    found = {}
    for part in parts:
        if part != "frame":
            length = max(usual, 2 * ends[part] / MOST_MOMENTS) if moment is None else float(moment)
            found[part] = MomentWindows.over(ends[part], length, 0.02 if part == "audio" else 2 * interval)
    return found
