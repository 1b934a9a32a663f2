"""AIGV-Assessor (Wang et al., CVPR 2025, arXiv:2411.17221): four qualities of a generated video, levels, features."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from numbers import Real
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, unknown_name
from avreward.raters._loop import check_clips
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.aigv_assessor._card import Range, dimensions
from avreward.raters.aigv_assessor._network import ScoreHead
from avreward.raters.aigv_assessor._version import VERSION
from avreward.raters.base import Work
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm.prompt import Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import LEVEL_WORDS, FiveLevels, Head, applied, first_tokens

# The question of static quality and its answer are the original's, verbatim. Those of the other three follow its
# pattern; where the prompt is placed in the last one is ours, since the original's data with it was not published.
_QUESTION = "How would you rate the {} of this video?"
_ANSWER = "The {} of the video is"
_ASKED: Mapping[str, tuple[str, str]] = {
    "static_quality": (_QUESTION.format("static quality"), _ANSWER.format("static quality")),
    "temporal_smoothness": (_QUESTION.format("temporal smoothness"), _ANSWER.format("temporal smoothness")),
    "dynamic_degree": (_QUESTION.format("dynamic degree"), _ANSWER.format("dynamic degree")),
    "tv_correspondence": (
        "The prompt of this video is: {{prompt}}\n{}".format(_QUESTION.format("text-video correspondence")),
        _ANSWER.format("text-video correspondence"),
    ),
}


@dataclass(frozen=True, eq=False)
class AssessorReadout:
    """The score head and the five level words at one position: the token before the level word.

    Args:
        score: hidden states → scores.
        head: hidden states → logits.
        ids: first tokens of the level words, best first.
    """

    score: ScoreHead
    head: Head
    ids: tuple[int, ...]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the score and the expected level from 1 to 5, (2,)."""
        return torch.cat([self.score(hidden[-1:]), FiveLevels(self.head, self.ids, 1.0, 5.0)(hidden)])


class AigvAssessorRater(LmmRater):
    """AIGV-Assessor: static quality, temporal smoothness, dynamic degree and text-video correspondence of a video.

    The language model reads eight frames, a motion token, a question and the answer up to its level word, one text a
    dimension; a score head reads the hidden state of the last token. The level word itself comes after it and changes
    nothing. All questions share the work on the video. `tv_correspondence` needs a prompt; without one it is missing.

    Each dimension has a detail, such as ``static_quality_level``: the expected level by the model's own words, from 1
    (bad) to 5 (excellent).

    Args:
        backbone: the network with its preprocessing.
        mos_range: lowest and highest mean opinion score of the training data (*optional*). With it the scores have
            levels (`Scores.levels`): five equal widths of the range, as the original makes them.
        checkpointing: as for `LmmRater`.

    Raises:
        ArgumentError: for a range that is none.
        AvrewardError: for a tokenizer in which two level words begin with the same token.

    Example:
        >>> from tiny.assessor import tiny_assessor
        >>> rater = tiny_assessor()  # of a trained checkpoint: load_rater("FOLDER")
        >>> rater([Clip(video=torch.rand(9, 3, 30, 40), fps=8)])["static_quality"].shape
        torch.Size([1])
    """

    versions = MappingProxyType({**LmmRater.versions, "aigv_assessor": VERSION})

    def __init__(
        self, backbone: AssessorBackbone, *, mos_range: Range | None = None, checkpointing: Checkpointing = False
    ) -> None:
        self.mos_range = _checked_range(mos_range)
        questions = [_question(backbone, name) for name in _ASKED]
        super().__init__("aigv_assessor", backbone, questions, dimensions(self.mos_range), checkpointing=checkpointing)
        self.backbone: AssessorBackbone = backbone

    @property
    def origin(self) -> dict[str, Any]:
        """What `load` needs beside the weights, as JSON."""
        options = {"mos_range": self.mos_range}
        return {"rater": "aigv_assessor", "network": self.backbone.module.config.to_dict(), "options": options}

    def quality_levels(self, clips: Sequence[Clip]) -> list[dict[str, str]]:
        """Return the level that the language model names for each clip and dimension.

        Args:
            clips: any mix of files and tensors.

        Returns:
            One dictionary a clip: dimension → ``"excellent"``, ``"good"``, ``"fair"``, ``"poor"`` or ``"bad"``, the
            most probable of the five. A dimension that the clip can't be rated on is left out.

        Example:
            >>> from tiny.assessor import tiny_assessor
            >>> [levels] = tiny_assessor().quality_levels([Clip(video=torch.rand(9, 3, 30, 40), fps=8)])
            >>> sorted(levels)
            ['dynamic_degree', 'static_quality', 'temporal_smoothness']
        """
        ids = {question.dimensions[0]: question.readout.ids for question in self.questions}  # type: ignore[attr-defined]
        with torch.no_grad():
            return [
                {
                    name: LEVEL_WORDS[int(applied(self.backbone.head, hidden, ids[name]).argmax())]
                    for name, hidden in found.items()
                }
                for found in self._hidden(clips, tuple(_ASKED))
            ]

    def features(self, clips: Sequence[Clip], dimension: str = "static_quality") -> Tensor:
        """Return the features (clips, width) that a judge network compares: what the score head reads.

        Each clip is computed by itself, so its features are bit for bit the same whatever it is compared with. Clips
        that share video and prompt share the work. Differentiable.

        Args:
            clips: any mix of files and tensors.
            dimension: which question is asked.

        Returns:
            Float32 or wider; a row of NaN for a clip that can't be rated on the dimension.

        Raises:
            ArgumentError: for an unknown dimension.

        Example:
            >>> from functools import partial
            >>> from avreward.preferences import FromJudge, JudgeNetwork
            >>> from tiny.assessor import tiny_assessor
            >>> rater, judge = tiny_assessor(), JudgeNetwork(width=16)
            >>> preference = FromJudge(judge, partial(rater.features, dimension="dynamic_degree"))
            >>> one, other = (Clip(video=torch.rand(9, 3, 30, 40), fps=8) for _ in range(2))
            >>> bool(preference([one], [other]).win == preference([other], [one]).loss)
            True
        """
        if dimension not in _ASKED:
            raise unknown_name("dimension", dimension, _ASKED)
        found = [rows.get(dimension) for rows in self._hidden(clips, (dimension,))]
        language = self.backbone.language
        wide = torch.float64 if language.dtype == torch.float64 else torch.float32
        nothing = torch.full((language.config.hidden_size,), float("nan"), dtype=wide, device=language.device)
        return torch.stack([nothing if row is None else row.to(wide) for row in found]) if found else nothing[None][:0]

    def _hidden(self, clips: Sequence[Clip], names: Sequence[str]) -> list[dict[str, Tensor]]:
        """Return dimension → hidden state (width,) for each clip, one clip at a time."""
        known: dict[Hashable, dict[str, Tensor]] = {}
        found = []
        for clip in check_clips(clips):
            key = (clip.work_key("video") if clip.has_video else None, clip.prompt)
            if key not in known:
                known[key] = self._hidden_of(clip, names)
            found.append(known[key])
        return found

    def _hidden_of(self, clip: Clip, names: Sequence[str]) -> dict[str, Tensor]:
        work = Work()
        sample = self.load(clip, work)
        asked = [question for question in self._asked(sample) if question.dimensions[0] in names]

        def step(some: Sequence[Question]) -> list[Tensor]:
            return read(self.backbone, [self.rendered(sample, question.prompt, work) for question in some])

        answers = self.run(step, asked, [sample]) if asked else []
        return {question.dimensions[0]: hidden[-1] for question, hidden in zip(asked, answers, strict=True)}


def _question(backbone: AssessorBackbone, name: str) -> Question:
    question, stem = _ASKED[name]
    ids = first_tokens(backbone.tokenizer, stem, [f" {word}" for word in LEVEL_WORDS])
    readout = AssessorReadout(backbone.module.score, backbone.head, ids)
    prompt = backbone.chat([Slot("video"), question], [stem])
    return Question((name, f"{name}_level"), tuple(prompt), readout)


def _checked_range(given: Any) -> Range | None:
    if given is None:
        return None
    try:
        low, high = given
        if not (isinstance(low, Real) and isinstance(high, Real)) or isinstance(given, str):
            raise TypeError
        low, high = float(low), float(high)
    except (TypeError, ValueError) as error:
        raise ArgumentError("mos_range", "two numbers, lowest and highest", given) from error
    if not -inf < low < high < inf:
        raise ArgumentError("mos_range", "two finite numbers, the lower first", given)
    return low, high
