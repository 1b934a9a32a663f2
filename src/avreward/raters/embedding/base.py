"""Base of embedding raters: encode each side of a clip as vectors and compare pairs of sides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward.errors import ArgumentError, unknown_name
from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.raters.base import Sample, Work
from avreward.raters.checkpoints.loading import Loading
from avreward.raters.checkpoints.network_rater import Row, TransformersNetwork
from avreward.raters.embedding._card import Side, dimensions_of
from avreward.raters.embedding._checkpoint import preprocessing, read_network
from avreward.raters.embedding._version import VERSION
from avreward.raters.lmm._template import has_text, why_no_text
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Score = Literal["cosine", "probability"]


class EmbeddingRater(TransformersNetwork):
    """Compares the embeddings of two sides of a clip; a side that clips share is embedded once.

    Args:
        module: a model of `transformers`; put into evaluation mode and frozen.
        tokenizer: of its text encoder. A prompt that is too long for it is truncated.
        rounding: mode of the rounding steps of the original preprocessing; see `avreward.media.rounding`.
        score: ``"cosine"`` of the two embeddings, −1 … 1; or ``"probability"`` that they belong together, 0 … 1, for
            models that were trained to give one for a single pair.

    Raises:
        ArgumentError: for a score that the model does not have.
    """

    pairs: ClassVar[Mapping[str, tuple[Side, Side]]]
    """Dimension → the two sides that it compares."""
    model_types: ClassVar[tuple[str, ...]]
    """`model_type` of the checkpoints that it reads."""
    prompt_anchored = True
    versions = MappingProxyType({**TransformersNetwork.versions, "embedding": VERSION})
    libraries = (*TransformersNetwork.libraries, "transformers")

    def __init__(self, module: nn.Module, tokenizer: PreTrainedTokenizerBase, rounding: Rounding, score: Score) -> None:
        if score not in get_args(Score):
            raise unknown_name("score", score, get_args(Score))
        if score == "probability" and not self.has_probability(module):
            expected = f"'cosine' for {type(module).__name__}, which has no probability of a single pair"
            raise ArgumentError("score", expected, score)
        super().__init__(self.name, module)
        self.tokenizer: PreTrainedTokenizerBase = tokenizer
        self.rounding, self.measure = rounding, score
        self.dimensions = dimensions_of(self.pairs, -1.0 if score == "cosine" else 0.0)
        if rounding == "exact":  # which rounds gradients to zero
            self.differentiable = False

    @classmethod
    def from_pretrained(  # type: ignore[override]  # it reads what transformers wrote, whatever load_rater knows
        cls,
        folder: str | PathLike[str],
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        rounding: Rounding = "straight_through",
        score: Score = "cosine",
        allow: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """Load the rater from a checkpoint: a folder, or the name of a repository on the hub.

        Sizes, means and rates come from the checkpoint's preprocessor files.

        Args:
            folder: of the checkpoint, or its name on the hub.
            device: as for `avreward.raters.Loading` (*optional*).
            dtype: as for `avreward.raters.Loading` (*optional*).
            rounding: as for the constructor.
            score: as for the constructor.
            allow: as for `avreward.raters.Loading`.
            **options: other arguments of the constructor.

        Raises:
            AvrewardError: if it is not a checkpoint of this kind, or its weights differ.
        """
        module, tokenizer = read_network(folder, cls.model_types, Loading(device=device, dtype=dtype, allow=allow))
        prepared = cls.prepared(preprocessing(folder), module.config)
        return cls(module, tokenizer, rounding=rounding, score=score, **{**prepared, **options})

    @classmethod
    @abstractmethod
    def prepared(cls, files: Mapping[str, Any], config: Any) -> dict[str, Any]:
        """Return arguments of the constructor from a checkpoint's preprocessor files and its configuration."""

    @abstractmethod
    def embed(self, side: Side, loaded: Any) -> Mapping[str, Tensor]:
        """Return for each dimension of `side` its vectors, float (n, width), all of equal weight.

        `loaded` is the output of `load_track`, or the prompt.
        """

    @classmethod
    def has_probability(cls, module: nn.Module) -> bool:
        """Return whether the model was trained to give the probability of a single pair."""
        return False

    def logits(self, dimension: str, first: Tensor, second: Tensor) -> Tensor:
        """Return log-odds (n, m) that vectors (n, width) and (m, width) belong together, if the model has them."""
        raise NotImplementedError

    @property
    @abstractmethod
    def preparation(self) -> Mapping[str, str]:
        """Settings of the preprocessing: label → value."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of preprocessing, precision and score."""
        return {
            **self.preparation,
            "text": f"{self.text_limit} tokens at most",
            "rounding": self.rounding,
            "score": self.measure,
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "attention": str(getattr(self.network.config, "_attn_implementation", "")),
        }

    @property
    def text_limit(self) -> int:
        """How many tokens of a prompt are read."""
        return int(min(self.tokenizer.model_max_length, self.network.config.text_config.max_position_embeddings))

    def tokens(self, prompt: str, **options: Any) -> dict[str, Tensor]:
        """Return the inputs of the text encoder, (1, n) each, on its device."""
        made = self.tokenizer(prompt, truncation=True, max_length=self.text_limit, return_tensors="pt", **options)
        return {name: made[name].to(self.network.device) for name in ("input_ids", "attention_mask") if name in made}

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the two sides that a score compares."""
        return super().reads() if dimension is None else frozenset(self.pairs[self.dimension(dimension).name])

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded; a batch too large for memory is halved, except with a graph."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable):
            return super().rate(samples, work)

    def _row(self, sample: Sample, work: Work) -> Row:
        own = self.decoding
        values, reasons = {}, {}

        def vectors(side: Side) -> Mapping[str, Tensor]:
            loaded = sample.clip.prompt if side == "prompt" else sample.tracks[side]
            key = (own, "embedding", side, sample.clip.work_key(side))
            return work.results.get(key, partial(self.embed, side, loaded))

        for dimension, sides in self.pairs.items():
            lacking = [reason for side in sides if (reason := _lacking(sample, side))]
            if lacking:
                reasons[dimension] = "; ".join(lacking)
            else:
                values[dimension] = self._compared(dimension, *(vectors(side)[dimension] for side in sides))
        return values, reasons, {}

    def _compared(self, dimension: str, first: Tensor, second: Tensor) -> Tensor:
        first, second = widened(first), widened(second)
        if self.measure == "cosine":
            return (F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T).mean()
        return self.logits(dimension, first, second).sigmoid().mean()


def _lacking(sample: Sample, side: Side) -> str | None:
    """Return why the sample has no such side, or `None`."""
    if side == "prompt":
        return None if has_text(sample.clip, "prompt") else why_no_text("prompt")
    return None if side in sample.tracks else sample.missing.get(side, f"no {side}")
