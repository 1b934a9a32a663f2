"""Gradient ascent from a real clip: does a held-out reward rise with the reward that is ascended?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.audit._statistics import Difference, Values, mean_difference
from avreward.audit.probes import gradient_clip
from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.scoring.evaluator import Evaluator

STEPS = 8
PICTURE_STEP = 1 / 255  # each video value moves by at most this in a step: one level of 8 bits
SOUND_STEP = 0.002  # likewise each sample: −54 dBFS


@dataclass(frozen=True)
class Ascent:
    """The gradient ascent of one clip.

    Attributes:
        name: of the clip.
        trained: the reward before the first step and after each.
        held_out: the held-out reward likewise; `None` where it is missing, everywhere without a held-out reward.
        reason: why the ascent is missing or ended early; `None` if it is complete.
    """

    name: str
    trained: tuple[float, ...]
    held_out: tuple[float | None, ...]
    reason: str | None = None


def ascend(
    reward: RewardLike,
    clip: Clip,
    *,
    held_out: RewardLike | None = None,
    steps: int = STEPS,
    picture_step: float = PICTURE_STEP,
    sound_step: float = SOUND_STEP,
    name: str | None = None,
) -> Ascent:
    """Raise the reward of a real clip by steps along the sign of its gradient, within the range of values.

    x ← clip(x + step·sign(∂reward/∂x)), for video and audio together (Madry et al., arXiv:1706.06083, eq. 1, without
    the ball). The size of a step is fixed, so a step may also lower the reward. Nothing is random.

    Args:
        reward: a differentiable reward; for any other, the `Ascent` only has a reason.
        clip: a real clip; prompt and texts are kept. A large video is scaled down first (`gradient_clip`).
        held_out: a reward that is evaluated at every step, without its gradient (*optional*).
        steps: the number of steps.
        picture_step: how far each video value moves in a step, from 0 to 1.
        sound_step: how far each audio sample moves in a step, from 0 to 1.
        name: of the clip (*optional*, its file's name).

    Example:
        >>> clip = Clip(audio=0.1 * torch.sin(torch.arange(8000) * 0.3)[None], sample_rate=8000)
        >>> way = ascend(load_rater("signals")["audio_quality"], clip, steps=2)
        >>> len(way.trained), way.held_out
        (3, (None, None, None))
    """
    reward, held_out = as_reward(reward), None if held_out is None else as_reward(held_out, "held_out")
    name = clip.name if name is None else name
    if not reward.differentiable:
        blocking = [term.name for term in reward.terms if not term.rater.differentiable]
        return Ascent(name, (), (), f"not differentiable: {', '.join(blocking)}")
    try:
        point = _AscentState(gradient_clip(clip))
    except MediaError as error:
        return Ascent(name, (), (), str(error))
    other = None if held_out is None else Evaluator(held_out)
    trained: list[float] = []
    held: list[float | None] = []
    for step in range(steps + 1):
        rewards = reward.evaluate([point.clip()])
        if not rewards.present[0]:
            return Ascent(name, tuple(trained), tuple(held), rewards.reasons[0])
        trained.append(float(rewards.values[0].detach()))
        held.append(None if other is None else _alone(other, point.clip()))
        if step < steps and not point.move(rewards.values[0], picture_step, sound_step):
            return Ascent(name, tuple(trained), tuple(held), f"after step {step} the gradient is 0 everywhere")
    return Ascent(name, tuple(trained), tuple(held))


def _alone(evaluator: Evaluator[Reward], clip: Clip) -> float | None:
    evaluator.forget()
    rewards = evaluator.evaluate([clip])
    return float(rewards.values[0]) if rewards.present[0] else None


class _AscentState:
    """The current point of an ascent: a clip's tracks as leaf tensors, and the ranges of their values."""

    def __init__(self, clip: Clip) -> None:
        self.of = clip
        self.tracks: dict[str, Tensor] = {}
        self.ends: dict[str, tuple[Tensor, Tensor]] = {}
        for track, low in (("video", 0.0), ("audio", -1.0)):
            if clip.has_video if track == "video" else clip.has_audio:
                start = (clip.video if track == "video" else clip.sound()).detach()
                # Values from a decoder may exceed the range; it is then widened to them.
                self.ends[track] = start.clamp(max=low), start.clamp(min=1.0)
                self.tracks[track] = start.clone().requires_grad_()

    def clip(self) -> Clip:
        """Return the clip at this point."""
        return built(self.of, self.tracks)

    def move(self, value: Tensor, picture_step: float, sound_step: float) -> bool:
        """Take one step up; return `False` if no track has a gradient."""
        names = list(self.tracks)
        gradients = torch.autograd.grad(value, [self.tracks[n] for n in names], allow_unused=True)
        moved = False
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is None or not gradient.any():
                continue
            size = picture_step if name == "video" else sound_step
            low, high = self.ends[name]
            there = self.tracks[name].detach() + size * gradient.sign()
            self.tracks[name] = torch.minimum(torch.maximum(there, low), high).requires_grad_()
            moved = True
        return moved


def built(like: Clip, tracks: dict[str, Tensor]) -> Clip:
    """Return a clip of these tracks (``video``, ``audio``), with the frame times, sample rate and texts of `like`."""
    texts = {"prompt": like.prompt, "texts": like.texts}
    if "video" not in tracks:
        return Clip(audio=tracks["audio"], sample_rate=like.sample_rate, **texts)  # type: ignore[arg-type]
    clip = Clip(video=tracks["video"], times=like.times, **texts)  # type: ignore[arg-type]
    return clip.with_audio(tracks["audio"], like.sample_rate) if "audio" in tracks else clip


@dataclass(frozen=True)
class Climb:
    """The ascents of several clips together.

    Attributes:
        ways: the ascent of each clip.
        trained: mean gain of the reward at each step, from the start on; `None` for a step that no clip reached.
        held_out: mean gain of the held-out reward likewise.
        gain: total gain, over the clips whose ascent is complete.
        held_out_gain: total gain of the held-out reward.
        opposed: share of the clips whose reward rose while the held-out reward fell; `None` if no clip has both.
    """

    ways: tuple[Ascent, ...]
    trained: tuple[float | None, ...]
    held_out: tuple[float | None, ...]
    gain: Difference | None
    held_out_gain: Difference | None
    opposed: float | None

    @property
    def disagreement(self) -> float | None:
        """Gain minus held-out gain, each in standard deviations of the real clips' rewards: 0 if both agree."""
        gains = [gain.sds for gain in (self.gain, self.held_out_gain) if gain is not None]
        first, second = gains if len(gains) == 2 else (None, None)
        return None if first is None or second is None else first - second


def climb(
    reward: RewardLike,
    clips: Sequence[Clip],
    *,
    held_out: RewardLike | None = None,
    names: Sequence[str] | None = None,
    real: tuple[Values | None, Values | None] = (None, None),
    steps: int = STEPS,
    step: Callable[[str], None] = lambda doing: None,
) -> Climb:
    """Run `ascend` from each of `clips` and summarize the gains.

    Args:
        reward: a differentiable reward.
        clips: real clips.
        held_out: a reward that is evaluated at every step (*optional*).
        names: of the clips (*optional*, their files' names).
        real: rewards and held-out rewards whose standard deviations are the unit of `sds` (*optional*, those at the
            start of the ascents).
        steps: the number of steps.
        step: called with a line for each clip.
    """
    reward, held_out = as_reward(reward), None if held_out is None else as_reward(held_out, "held_out")
    called = [clip.name for clip in clips] if names is None else names
    ways = []
    for name, clip in zip(called, clips, strict=True):
        step(f"{name}: gradient ascent")
        ways.append(ascend(reward, clip, held_out=held_out, steps=steps, name=name))
    return summarized(ways, steps, real)


def summarized(ways: Sequence[Ascent], steps: int, real: tuple[Values | None, Values | None] = (None, None)) -> Climb:
    """Return the summary of attacks of `steps` steps; see `climb`."""
    full = [way for way in ways if len(way.trained) == steps + 1]
    mine, theirs = [way.trained for way in full], [way.held_out for way in full]
    pairs = [(a[-1] - a[0], b[-1] - b[0]) for a, b in zip(mine, theirs, strict=True) if _both(b[0], b[-1])]  # type: ignore[operator]
    return Climb(
        tuple(ways),
        _course(mine, steps),
        _course(theirs, steps),
        mean_difference([w[-1] for w in mine], [w[0] for w in mine], real[0]),
        mean_difference([w[-1] for w in theirs], [w[0] for w in theirs], real[1]),
        sum(up > 0 > down for up, down in pairs) / len(pairs) if pairs else None,
    )


def _both(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None


def _course(ways: Sequence[Values], steps: int) -> tuple[float | None, ...]:
    """Return the mean gain at each step, over the clips that have a reward there and at the start."""
    gains = [mean_difference([w[k] for w in ways], [w[0] for w in ways]) for k in range(steps + 1)]
    return tuple(None if gain is None else gain.value for gain in gains)
