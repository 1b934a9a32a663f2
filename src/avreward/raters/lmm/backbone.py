"""A language model with its encoders: how a clip becomes what it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.raters.base import Track
from avreward.raters.lmm.prompt import Encoded, Prompt, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Backbone(ABC):
    """A network with encoders and a language model, and the text format that it was trained with.

    One subclass a family of models. It holds no scores and no questions: those are a rater's.

    Args:
        module: the whole network, as `transformers` (or this package) defines it.
        tokenizer: of its language model.
        rounding: what becomes of the rounding steps of the original preprocessing; see `avreward.media.rounding`.
    """

    tracks: ClassVar[tuple[Track, ...]]
    """What it can take in."""
    network: ClassVar[str] = ""
    """Its network's class in `transformers`; empty where this package defines the network."""
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Versions of the subpackages that it uses beside `media` and `lmm`."""

    def __init__(
        self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, rounding: Rounding = "straight_through"
    ) -> None:
        self.module, self.tokenizer, self.rounding = module, tokenizer, rounding

    @property
    @abstractmethod
    def language(self) -> PreTrainedModel:
        """The decoder without its head.

        It takes `inputs_embeds`, `attention_mask`, `position_ids`, `past_key_values` and `use_cache`.
        """

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """From hidden states (…, width) to logits (…, vocabulary)."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Every choice of the preprocessing that a score depends on: label → value."""

    @abstractmethod
    def load(self, clip: Clip, track: Track) -> Any:
        """Decodes a track and prepares it up to the network's input, in torch and differentiably.

        The result is a tensor or a small frozen dataclass of tensors, on the device of the clip. It may be called from
        several threads. A track that can't be used (too short) raises `UnusableTrack`.
        """

    @abstractmethod
    def encode(self, track: Track, loaded: Any) -> Encoded:
        """The feature tokens of what `load` gave, with the delimiters and time stamps that the model expects.

        Moves tensors to the encoder's device and dtype differentiably. One clip at a time: its tokens can't depend on
        others.
        """

    @abstractmethod
    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """The model's chat format around a user's turn, and the answer as far as it is given.

        `closed` ends the answer's turn; else the model would go on right after it.
        """

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Position ids of a whole sequence, int64 (axes, length): 0 … length − 1 on one axis unless a model differs.

        A position depends only on what stands before it, so that sequences can share a beginning.
        """
        return torch.arange(sum(part.length for part in parts))[None]
