"""How steady a reward's gradient is when a clip changes by less than anybody sees or hears."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.audit.ascent import built
from avreward.audit.probes import gradient_clip
from avreward.clip import Clip
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward

DRAWS = 4
PICTURE_NOISE = 1 / 255  # standard deviation: a level of 8 bits
SOUND_NOISE = 1e-4  # −80 dBFS


def gradient_snr(reward: RewardLike, clip: Clip, *, draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """Signal-to-noise ratio of the gradient with respect to ``video`` and ``audio``, those that it reaches.

    The gradient g is taken at `draws` copies of the clip with Gaussian noise of 1/255 in the picture and −80 dBFS in
    the sound. Noise is its variance Σ‖g_k − ḡ‖²/(K − 1), signal ‖ḡ‖² less what noise adds to it (variance/K, so the
    estimate is unbiased, and may be a little below 0 where there is no signal). 10 and more: the same way each time;
    below 1: mostly chance, and more clips a step are needed.

    Args:
        reward: differentiable, with a value for this clip; else `MissingScore`, or torch's own error.
        clip: any clip that fits in memory with its gradient.
        draws: how many, at least 2.
        seed: of the noise.

    >>> clip = Clip(audio=0.1 * torch.sin(torch.arange(8000) * 0.3)[None], sample_rate=8000)
    >>> sorted(gradient_snr(load_rater("signals")["audio_quality"], clip))
    ['audio']
    """
    if draws < 2:
        raise ValueError(f"draws: {draws}; give at least 2, or there is no spread")
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
    """(draws, values) → signal over noise."""
    draws, mean = len(gradients), gradients.mean(0)
    noise = float((gradients - mean).square().sum()) / (draws - 1)
    signal = float(mean.square().sum()) - noise / draws
    return signal / noise if noise > 0 else float("inf")
