"""What the tests of Qwen backbones share: clips, and our parts in the library's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward import Clip
from avreward.raters.lmm.parts import Text, Tokens


def noise(samples: int) -> Tensor:
    """Sound (samples,)."""
    return 0.5 * torch.randn(samples, generator=torch.Generator().manual_seed(samples)).clamp(-1.9, 1.9)


def film(frames: int, height: int = 50, width: int = 90) -> Tensor:
    """Frames (frames, 3, height, width)."""
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(frames * height))


def clip_of(frames: int = 8, height: int = 50, width: int = 90, fps: float = 8, samples: int = 0) -> Clip:
    """A clip with a picture, and a sound if it has samples."""
    sound: dict[str, Any] = {"audio": noise(samples), "sample_rate": 16000} if samples else {}
    return Clip(video=film(frames, height, width), fps=fps, **sound)


def library_ids(parts: Sequence[Text | Tokens], seen: int, heard: int = -1) -> Tensor:
    """Ids (1, n) as the library's processors give them: `seen` for tokens with a grid, `heard` for the others."""
    ids: list[int] = []
    for part in parts:
        ids += part.ids if isinstance(part, Text) else [heard if part.grid is None else seen] * part.length
    return torch.tensor([ids])


def rendered(tokenizer: Any, template: str, tracks: Sequence[str], question: str, answer: str | None = None) -> str:
    """What a published chat template makes of one exchange, with one placeholder a track."""
    content = [{"type": track, track: ""} for track in tracks] + [{"type": "text", "text": question}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    turns += [{"role": "assistant", "content": answer}] if answer is not None else []
    return tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=answer is None
    )
