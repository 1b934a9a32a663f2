"""Card of public multimodal models, without importing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import SAME_AS_CHECKPOINT, Layout, RaterCard
from avreward.raters.lmm.backbones._families import FAMILIES
from avreward.raters.scores import Dimension
from avreward.raters.zero_shot.questions import ASKED

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_PROMPT = "{prompt}"


def _dimensions() -> tuple[Dimension, ...]:
    """Return the dimensions of a model with video and audio input, each with its smallest needs."""
    needs: dict[str, frozenset[str]] = {}
    first: dict[str, str] = {}
    for asked in ASKED:
        one = frozenset(asked.slots) | ({"prompt"} if _PROMPT in asked.question else set())
        needs[asked.dimension] = needs.get(asked.dimension, one) & one
        first.setdefault(asked.dimension, f"asked: {asked.question.strip()}")
    return tuple(Dimension(name, 0, 100, need, description=first[name]) for name, need in needs.items())


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in FAMILIES


def _loader() -> Callable[..., Rater]:
    from avreward.raters.zero_shot.rater import load

    return load


CARD = RaterCard(
    "public",
    _dimensions(),
    licence=SAME_AS_CHECKPOINT,
    checkpoint="a public multimodal model, such as Qwen/Qwen2.5-Omni-7B",
    layout=Layout(f"a public model of type {', '.join(sorted(FAMILIES))}", _recognises, _loader),
)
