"""Backbones: a multimodal language model with its encoders, preprocessing and chat format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan
from avreward.raters.base import Track
from avreward.raters.lmm.prompt import Encoded, Prompt, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Backbone(ABC):
    """A network with encoders and a language model, and the text format that it was trained with.

    There is one subclass for each family of models. Questions and scores belong to the rater.

    Args:
        module: the complete network, as `transformers` (or this package) defines it.
        tokenizer: of its language model.
        rounding: how to apply the rounding steps of the original preprocessing; see `avreward.media.rounding`.
    """

    tracks: ClassVar[tuple[Track, ...]]
    """The tracks that it takes."""
    network: ClassVar[str] = ""
    """Its network's class in `transformers`; empty if this package defines the network."""
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Versions of the subpackages that it uses besides `media` and `lmm`."""

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
        """The layer from hidden states (…, width) to logits (…, vocabulary)."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """All preprocessing settings that a score depends on: label → value."""

    def frame_plans(self, clip: Clip) -> Sequence[FramePlan]:
        """Return which frames of a clip with video `load` reads: those of the rule `frames`, where there is one.

        A file's frames are converted as the originals' readers do (decord, torchvision, OpenCV).
        """
        rule = getattr(self, "frames", None)
        return [] if rule is None else [FramePlan(rule, conversion="fast")]

    @abstractmethod
    def load(self, clip: Clip, track: Track) -> Any:
        """Decode a track and preprocess it for the network, in torch and differentiably.

        The result is a tensor or a small frozen dataclass of tensors, on the device of the clip. May be called from
        several threads.

        Raises:
            UnusableTrack: if the track can't be used, such as audio that is too short.
        """

    @abstractmethod
    def encode(self, track: Track, loaded: Any) -> Encoded:
        """Return the feature tokens of the result of `load`, with the delimiters and time stamps of the model's format.

        Moves tensors to the encoder's device and dtype differentiably. Encodes one clip at a time, so that its tokens
        don't depend on others.
        """

    @abstractmethod
    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return the user's turn in the model's chat format, followed by the beginning of the answer.

        Args:
            user: the user's turn.
            answer: the beginning of the answer (*optional*).
            closed: whether to end the answer's turn; otherwise the model would continue it.
        """

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Return the position ids of a sequence, int64 (axes, length): by default 0 … length − 1 on one axis.

        A position depends only on the parts before it, so that sequences can share a beginning.
        """
        return torch.arange(sum(part.length for part in parts))[None]
