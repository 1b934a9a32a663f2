"""What the tests of Qwen backbones share: clips, and our parts in the library's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward import Clip
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Text, Tokens


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


def extracted(sound: Tensor, seconds: int = 30, **options: Any) -> dict[str, Tensor]:
    """What the library's extractor makes of sound (samples,), filled up to a window unless options say otherwise."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=seconds)
    how: dict[str, Any] = {"padding": "max_length", "return_attention_mask": True, "return_tensors": "pt"} | options
    found = extractor(sound.numpy(), sampling_rate=16000, **how)
    return {"input_features": found["input_features"], "feature_attention_mask": found["attention_mask"]}


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


def read_deep(backbone: Backbone, parts: Sequence[Text | Tokens]) -> Tensor:
    """The decoder's last hidden states (n, width) where films have features for its first layers, too."""
    embed = backbone.language.get_input_embeddings()
    values = [embed(torch.tensor(part.ids)) if isinstance(part, Text) else part.values for part in parts]
    embeds = torch.cat(values)[None]
    films = [part for part in parts if isinstance(part, Tokens) and part.deep]
    masks = [torch.full((part.length,), any(part is film for film in films)) for part in parts]
    deep = [torch.cat(layer) for layer in zip(*(film.deep for film in films), strict=True)]
    return backbone.language(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
        position_ids=backbone.positions(parts)[:, None],
        visual_pos_masks=torch.cat(masks)[None] if films else None,
        deepstack_visual_embeds=deep or None,
        use_cache=False,
    ).last_hidden_state[0]
