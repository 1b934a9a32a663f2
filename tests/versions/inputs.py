"""What the golden cases are made of: exact inputs, weights that no library draws, and a few numbers for a tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from lmm_checks import widen
from torch import Tensor, nn

from avreward import Clip


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """In [0, 1), float64; the same bits on every machine."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def video(frames: int = 8, height: int = 56, width: int = 64, seed: int = 0) -> Tensor:
    """A bright square that moves over a noisy ground, float64 (frames, 3, height, width)."""
    out = 0.2 + 0.3 * uniform(frames, 3, height, width, seed=seed)
    for i in range(frames):
        left = 3 * i % (width - 16)
        out[i, :, 20:36, left : left + 16] += torch.tensor([0.4, 0.3, 0.1], dtype=torch.float64)[:, None, None]
    return out


def audio(samples: int, rate: int, channels: int = 1, seed: int = 0) -> Tensor:
    """Two tones, clicks twice a second and noise, float64 (channels, samples)."""
    time = torch.arange(samples, dtype=torch.float64) / rate
    wave = 0.2 * torch.sin(2 * torch.pi * 220 * time) + 0.1 * torch.sin(2 * torch.pi * 1330 * time)
    wave = wave + 0.4 * (time % 0.5 < 0.01)
    return wave + 0.05 * (uniform(channels, samples, seed=seed) - 0.5)


def clip(frames: int = 8, seconds: float = 1.0, rate: int = 16000, fps: float = 8, **options: Any) -> Clip:
    """Both of them; a track of length 0 is absent."""
    tracks: dict[str, Any] = {}
    if frames:
        tracks |= {"video": video(frames), "fps": fps}
    if seconds:
        tracks |= {"audio": audio(int(rate * seconds), rate), "sample_rate": rate}
    return Clip(**tracks, **options)


def opened(**options: Any) -> Clip:
    """A file: H.264 in 4:2:0 and AAC, so that colours and sample rate are converted as the rater wants."""
    return Clip.open(Path(__file__).parent / "media" / "h264_aac.mp4", **options)


def filled(module: Any) -> Any:
    """`module` in float64, with weights that follow from their names alone."""
    for name, weight in module.named_parameters():
        drawn = 2 * uniform(*weight.shape, seed=crc32(name.encode())) - 1
        if weight.ndim > 1:
            drawn *= (3 / weight[0].numel()) ** 0.5
        elif weight.ndim == 1:
            drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.1 * drawn
        else:
            drawn = 0.5 + 0.3 * drawn
        weight.data = drawn
    for part in module.modules():
        if hasattr(getattr(part, "config", None), "_experts_implementation"):
            part.config._experts_implementation = "eager"  # the grouped product of matrices knows no float64
    widen(module)
    return module


def numbers(tensor: Tensor) -> list[Any]:
    """Shape, mean, root mean square and two random projections: every entry shows in them."""
    flat = tensor.detach().double().flatten()
    weights = 2 * uniform(2, len(flat), seed=3) - 1
    projections = (weights @ flat / max(1, len(flat)) ** 0.5).tolist()
    return [list(tensor.shape), float(flat.mean()), float(flat.square().mean().sqrt()), *projections]


def scores(rater: Any, *clips: Clip) -> list[dict[str, float | None]]:
    """Dimension → score of each clip; `None` where it is missing."""
    found = rater(list(clips))
    rows = zip(found.values.double().tolist(), found.present.tolist(), strict=True)
    return [
        {name: value if there else None for name, value, there in zip(found.names, values, present, strict=True)}
        for values, present in rows
    ]


def network(module: nn.Module) -> nn.Module:
    """`filled`, in evaluation mode and frozen."""
    return filled(module).eval().requires_grad_(False)
