"""What tests of backbones share: a prompt read in the plainest way, and gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from avreward import Clip
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Slot, Text, Tokens


def parts_of(backbone: Backbone, pieces: Sequence[Any], clip: Clip) -> list[Text | Tokens]:
    """A chat with its slots filled from one clip; strings that follow each other are one text."""
    filled: list[str | Tokens] = []
    for piece in pieces:
        new = backbone.encode(piece.track, backbone.load(clip, piece.track)) if isinstance(piece, Slot) else [piece]
        for part in new:
            if isinstance(part, str) and filled and isinstance(filled[-1], str):
                filled[-1] += part
            else:
                filled.append(part)
    tokenize = backbone.tokenizer
    return [
        Text(tuple(tokenize(part, add_special_tokens=False)["input_ids"])) if isinstance(part, str) else part
        for part in filled
    ]


def ids_of(parts: Sequence[Text | Tokens], placeholder: int) -> Tensor:
    """What the library's processors give: ids (1, n), the feature tokens as so many placeholders."""
    ids = [part.ids if isinstance(part, Text) else (placeholder,) * part.length for part in parts]
    return torch.tensor([[number for some in ids for number in some]])


def read(backbone: Backbone, parts: Sequence[Text | Tokens]) -> Tensor:
    """The decoder's last hidden states (n, width), with explicit positions and a mask, in one go."""
    embed = backbone.language.get_input_embeddings()
    values = [embed(torch.tensor(part.ids)) if isinstance(part, Text) else part.values for part in parts]
    embeds = torch.cat(values)[None]
    positions = backbone.positions(parts)
    return backbone.language(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
        position_ids=positions[:, None] if len(positions) > 1 else positions,
        use_cache=False,
    ).last_hidden_state[0]


def check_gradient(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-6, rtol: float = 1e-5) -> None:
    """Compare the gradient with central differences along random directions; everything is float64."""
    generator = torch.Generator().manual_seed(7)
    point = at.double().requires_grad_()
    out = function(point)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((out * weights).sum(), point)
    assert gradient.isfinite().all()
    for _ in range(3):
        direction = torch.randn(point.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        with torch.no_grad():
            ahead, behind = (function(point + sign * step * direction) for sign in (1, -1))
            numeric = float(((ahead - behind) * weights).sum()) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=rtol, abs=rtol * 1e-2)
