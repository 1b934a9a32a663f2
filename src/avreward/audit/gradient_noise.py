"""Signal-to-noise ratio of a reward's gradient under imperceptible changes of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.audit.ascent import built
from avreward.audit.probes import gradient_clip
from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward

DRAWS = 4
PICTURE_NOISE = 1 / 255  # standard deviation: a level of 8 bits
SOUND_NOISE = 1e-4  # −80 dBFS


def gradient_snr(reward: RewardLike, clip: Clip, *, draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """Return the signal-to-noise ratio of the gradient for each track that it reaches: ``video``, ``audio``.

    The gradient g is taken at `draws` copies of the clip with Gaussian noise of 1/255 in the video and −80 dBFS in the
    audio. The noise is its variance Σ‖g_k − ḡ‖²/(K − 1); the signal is ‖ḡ‖² minus variance/K, which makes the estimate
    unbiased (it may be slightly below 0 without a signal). From 10 on, the gradient is nearly the same in each copy;
    below 1 it is mostly chance, and a training step needs more clips.

    Args:
        reward: a differentiable reward.
        clip: any clip that fits in memory with its gradient.
        draws: the number of copies, at least 2.
        seed: of the noise.

    Raises:
        ArgumentError: if `draws` is below 2.
        MissingScore: if the clip has no reward.

    Example:
        >>> clip = Clip(audio=0.1 * torch.sin(torch.arange(8000) * 0.3)[None], sample_rate=8000)
        >>> sorted(gradient_snr(load_rater("signals")["audio_quality"], clip))
        ['audio']
    """
    if draws < 2:
        raise ArgumentError("draws", "an integer of at least 2", draws)
    reward, whole = as_reward(reward), gradient_clip(clip)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = {}
    for _ in range(draws):
        for track, gradient in _gradients(reward, whole, generator).items():
            found.setdefault(track, []).append(gradient.flatten().double())
    return {track: _ratio(torch.stack(each)) for track, each in found.items() if len(each) == draws}


def _gradients(reward: Reward, clip: Clip, generator: torch.Generator) -> dict[str, Tensor]:
    tracks: dict[str, Tensor] = {}
    if clip.has_video:
        tracks["video"] = _noisy(clip.video, PICTURE_NOISE, generator)
    if clip.has_audio:
        tracks["audio"] = _noisy(clip.sound(), SOUND_NOISE, generator)
    value = reward([built(clip, tracks)])[0]
    gradients = torch.autograd.grad(value, list(tracks.values()), allow_unused=True)
    return {t: g for t, g in zip(tracks, gradients, strict=True) if g is not None and g.any()}


def _noisy(track: Tensor, size: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(track.shape, generator=generator)
    return (track.detach() + size * noise.to(track)).requires_grad_()


def _ratio(gradients: Tensor) -> float:
    """Return signal over noise of gradients (draws, values)."""
    draws, mean = len(gradients), gradients.mean(0)
    noise = float((gradients - mean).square().sum()) / (draws - 1)
    signal = float(mean.square().sum()) - noise / draws
    return signal / noise if noise > 0 else float("inf")
