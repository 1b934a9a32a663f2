"""Raters that ask a multimodal language model: encoders, template, language model, readout."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.group import Group
from avreward.media._precision import no_autocast
from avreward.media.sampling import FramePlan
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints.network_rater import NetworkRater, Row
from avreward.raters.lmm._comparison import compare
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._shared_attention import attention_name
from avreward.raters.lmm._template import Rendered, fields, has_text, render, why_no_text
from avreward.raters.lmm._version import VERSION
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Prompt, Read, Slot
from avreward.raters.lmm.readout import Readout
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing


@dataclass(frozen=True, eq=False)
class Question:
    """A prompt for the language model, and the scores that are read from its answer.

    Args:
        dimensions: names of the scores, in the readout's order.
        prompt: the complete text, in the model's chat format, with slots.
        readout: hidden states where answers are read → scores.
    """

    dimensions: tuple[str, ...]
    prompt: Prompt
    readout: Readout

    @property
    def needs(self) -> frozenset[str]:
        """The tracks in its slots and the texts that it quotes."""
        return frozenset(part.track for part in self.prompt if isinstance(part, Slot)) | fields(self.prompt)

    def identity(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return all that the scores depend on besides clip and weights: the text, its tokens, and the readout."""
        texts = [part.text if isinstance(part, Read) else part for part in self.prompt if isinstance(part, Read | str)]
        tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        plain = {k: v for k, v in vars(self.readout).items() if isinstance(v, int | float | str | tuple)}
        return repr((self.dimensions, tuple(self.prompt), tokens, type(self.readout).__name__, plain))


class LmmRater(NetworkRater):
    """A rater that asks a large multimodal model about each clip; a published system is a backbone and questions.

    A dimension's score comes from the first of `questions` that has this dimension and whose needs the clip meets.
    Shared work is done once: each track is encoded once, and the language model reads a common beginning once (the
    video of several dubs, the clip of several questions).

    Args:
        name: as used in expressions.
        backbone: encoders, language model and text format.
        questions: the prompts and their readouts.
        dimensions: the columns of the scores; each belongs to at least one question.
        checkpointing: trade time for memory in the backward pass; scores and gradients stay the same.
        module: the module with all weights, if the backbone's is only a part (*optional*).
    """

    versions: Mapping[str, int] = MappingProxyType({**NetworkRater.versions, "lmm": VERSION})
    libraries = (*NetworkRater.libraries, "transformers")
    published: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """Scores published by its authors: beginning of a file name → dimension → score."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        questions: Sequence[Question],
        dimensions: Sequence[Dimension],
        *,
        checkpointing: Checkpointing = False,
        module: nn.Module | None = None,
    ) -> None:
        held = backbone.module if module is None else module
        super().__init__(name, held, checkpointing=checkpointing, versions=backbone.versions)
        self.backbone, self.tokenizer = backbone, backbone.tokenizer
        self.questions, self.dimensions = tuple(questions), tuple(dimensions)
        needs = frozenset[str]().union(*(question.needs for question in questions))
        self.tracks: tuple[Track, ...] = tuple(track for track in backbone.tracks if track in needs)
        self.prompt_anchored = "prompt" in needs
        self.differentiable = backbone.rounding != "exact"  # which rounds gradients to zero
        self._identities = {f"question {i}": q.identity(backbone.tokenizer) for i, q in enumerate(self.questions)}

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Identifies the weights, the questions, every setting and the versions of the code."""
        return self._fingerprint.of({**self.settings, **self._identities})

    @property
    def settings(self) -> Mapping[str, str]:
        """Preprocessing, precision and attention: label → value."""
        language = self.backbone.language
        return {
            **self.backbone.settings,
            "rounding": self.backbone.rounding,
            "dtype": str(language.dtype).removeprefix("torch."),
            "attention": attention_name(language),
        }

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: all tracks and texts in the questions about it."""
        if dimension is None:
            return super().reads()
        name = self.dimension(dimension).name
        return frozenset[str]().union(*(q.needs for q in self.questions if name in q.dimensions))

    @property
    def decoding(self) -> Hashable:
        """Key for shared decoding: raters with the same backbone and settings decode and encode in the same way."""
        return type(self), self.backbone, tuple(sorted(self.settings.items()))

    def frame_plans(self, clip: Clip) -> Sequence[FramePlan]:
        """Return which frames the backbone reads."""
        return self.backbone.frame_plans(clip)

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Decode a track and preprocess it for the backbone's network."""
        with no_autocast():
            return self.backbone.load(clip, track)

    def _rows(self, samples: Sequence[Sample], work: Work) -> list[Row]:
        asked = [(row, question) for row, sample in enumerate(samples) for question in self._asked(sample)]
        values: list[dict[str, Tensor]] = [{} for _ in samples]
        if asked:
            sequences = [self.rendered(samples[row], question.prompt, work) for row, question in asked]
            answers = read(self.backbone, sequences, work.prefixes)
            for (row, question), hidden in zip(asked, answers, strict=True):
                found = zip(question.dimensions, question.readout(hidden), strict=True)
                values[row] = {**dict(found), **values[row]}  # the first answer about a dimension counts
        return [(found, self._reasons(sample, found), {}) for sample, found in zip(samples, values, strict=True)]

    def rendered(self, sample: Sample, prompt: Prompt, work: Work) -> Rendered:
        """Render `prompt` for a sample; tracks are encoded unless `work` has their tokens."""
        encode = partial(self.encoded, sample, work=work)
        return render(prompt, sample.clip, encode, self.backbone.tokenizer)

    def encoded(self, sample: Sample, slot: Slot, work: Work) -> tuple[Hashable, Encoded]:
        """Return a key for a track's content, and its tokens, encoded unless `work` has them."""
        # results without gradients are not reused with gradients; the same holds in the language model's cache
        key = (slot.track, sample.clip.work_key(slot.track), torch.is_grad_enabled())
        return key, work.tokens.get(key, partial(self.backbone.encode, slot.track, sample.tracks[slot.track]))  # type: ignore[arg-type]

    def compare(self, clips: Sequence[Clip] | Group, work: Work | None = None) -> Tensor:
        """Return the probability (n,) of each of n dubs of one video to be the best; they sum to 1.

        All dubs are compared in one prompt (AGAV-Rater, section 3.3). The order of `clips` makes no difference.

        Args:
            clips: 2 to 9 dubs of one video.
            work: results to share with other calls (*optional*).

        Raises:
            ArgumentError: for fewer than 2 or more than 9 dubs, different videos, or a clip without audio or video.
        """
        return compare(self, clips, work)

    def _asked(self, sample: Sample) -> list[Question]:
        """Return the questions that are needed and for which the sample has all tracks and texts."""
        found: list[Question] = []
        open_dimensions = {dimension.name for dimension in self.dimensions}
        for question in self.questions:
            if open_dimensions & set(question.dimensions) and not _lacking(sample, question):
                found.append(question)
                open_dimensions -= set(question.dimensions)
        return found

    def _reasons(self, sample: Sample, found: Mapping[str, Tensor]) -> dict[str, str]:
        reasons = {}
        for dimension in self.dimensions:
            if dimension.name not in found:
                lacking = [_lacking(sample, q) for q in self.questions if dimension.name in q.dimensions]
                reasons[dimension.name] = "; ".join(dict.fromkeys(min(lacking, key=len).values()))
        return reasons


def _lacking(sample: Sample, question: Question) -> dict[str, str]:
    """Return the question's needs that the sample lacks → why."""
    lacking = {}
    for need in sorted(question.needs):
        if need in ("video", "audio"):
            if need not in sample.tracks:
                lacking[need] = sample.missing.get(need, f"no {need}")
        elif not has_text(sample.clip, need):
            lacking[need] = why_no_text(need)
    return lacking
