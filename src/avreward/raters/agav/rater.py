"""AGAV-Rater (Cao et al., ICML 2025, arXiv:2501.18314): audio quality, audio-visual consistency, overall quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import nn

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters.agav._backbone import RATE, AgavBackbone
from avreward.raters.agav._card import DIMENSIONS, Task
from avreward.raters.agav._version import VERSION
from avreward.raters.base import Sample, Work
from avreward.raters.lmm.prompt import Prompt, Read, Slot, Text
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import AttentionPooling, Regression, applied

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

Scheme = Literal["last", "masked", "single", "pooled"]

PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType({
    f"33_sora_elevenlabs_{clip}": dict(zip(("audio_quality", "av_consistency", "overall"), scores, strict=True))
    for clip, scores in {
        2: (50.5938, 63.5000, 52.8438),
        0: (41.4375, 50.5938, 41.4375),
        1: (25.7812, 56.4375, 37.8438),
        4: (21.0000, 52.3438, 33.8125),
    }.items()
})  # fmt: skip
"""Scores that the authors published for the checkpoint, in float16: beginning of a file name → dimension → score."""

_VIDEO, _AUDIO = Slot("video"), Slot("audio")
# Verbatim from the published inference code, including the literal "/n".
_LAST_USER = (
    "\nPlease evaluate the audio quality, audio-visual content consistency and overall audio-visual quality of the "
    "given content one by one. Provide three words to characterize each quality dimension."
)
_LAST_ANSWER = "Audio quality: /n, audio-visual consistency: /n, overall audio-visual quality: /n."
# Section 4.2: the question after the slots, and the text before each mask.
_MASKED: Mapping[Task, tuple[str, tuple[str, ...]]] = {
    "v2a": (
        "Can you evaluate the audio quality, audio-visual content consistency, and overall audio-visual quality of the "
        "given content one by one?",
        ("Audio quality: ", ", audio-visual consistency: ", ", overall audio-visual quality: "),
    ),
    "tta": (
        "The text is {prompt}. Can you evaluate the audio quality and audio-text content consistency of the given "
        "content one by one?",
        ("Audio quality: ", ", audio-text consistency: "),
    ),
    "ttm": (
        "The text is {prompt}. Can you evaluate the music quality and music-text content consistency of the given "
        "content one by one?",
        ("Music quality: ", ", music-text consistency: "),
    ),
}


class AgavRater(LmmRater):
    """AGAV-Rater: three scores of a dubbed video from one pass of a multimodal language model.

    The scores are raw: they were trained by correlation, so only their order is meaningful, not their scale (published
    scores lie between 20 and 65). Clips need both tracks; the scores of a clip without audio are missing.

    Args:
        backbone: the network with its preprocessing.
        scheme: ``"last"``: all scores are read at the last token of the answer, as in the published checkpoint;
            ``"masked"``: one score is read at each of the masked levels, as in section 4.2 of the paper, for new
            training; ``"single"``: an instruction for each score, an ablation of the paper's table 4; ``"pooled"``: all
            scores are read from the whole masked answer, each pooled by an attention of its own, for new training.
        task: ``"v2a"`` as published; ``"tta"`` and ``"ttm"`` (text-to-audio, text-to-music; experimental) need a
            prompt instead of a video, and use the masked scheme in place of the last position.
        zeros_for_missing: give a clip without audio 30 s of zeros, as in the original. Only to reproduce its numbers.
        checkpointing: recompute layers in the backward pass to save memory; see `LmmRater`.

    Raises:
        ArgumentError: for an unknown scheme or task, or if the head's number of scores differs from the task's.

    Example:
        >>> rater = load_rater("checkpoints/a")  # or "caoyuqin/AGAV-Rater", the published one
        >>> scores = rater([Clip.open("dub1.mp4")])
        >>> scores.values.shape, [dimension.name for dimension in scores.dimensions]
        (torch.Size([1, 3]), ['audio_quality', 'av_consistency', 'overall'])
    """

    versions = MappingProxyType({**LmmRater.versions, "agav": VERSION})

    def __init__(
        self,
        backbone: AgavBackbone,
        scheme: Scheme = "last",
        task: Task = "v2a",
        *,
        zeros_for_missing: bool = False,
        checkpointing: Checkpointing = False,
    ) -> None:
        for name, value, known in (("scheme", scheme, get_args(Scheme)), ("task", task, get_args(Task))):
            if value not in known:
                raise unknown_name(name, value, known)
        self.scheme: Scheme = "masked" if task != "v2a" and scheme == "last" else scheme
        self.task, self.zeros_for_missing = task, zeros_for_missing
        dimensions = DIMENSIONS[task]
        rows = backbone.module.config.scores
        if rows != len(dimensions):
            got = Described(f"{task!r} with {len(dimensions)}")
            raise ArgumentError("task", f"a task with as many scores as the checkpoint's head ({rows})", got)
        questions = _questions(backbone, self.scheme, task)
        if (self.scheme, task) == ("last", "v2a"):
            self.published = PUBLISHED
        super().__init__("agav", backbone, questions, dimensions, checkpointing=checkpointing)
        self.backbone: AgavBackbone = backbone

    @property
    def origin(self) -> dict[str, Any]:
        """The options that `load` needs besides the weights, as plain values for JSON."""
        network = self.backbone.module.config.to_dict()
        options = {"scheme": self.scheme, "task": self.task, "reach_end": self.backbone.reach_end}
        options["zeros_for_missing"] = self.zeros_for_missing
        return {"rater": "agav", "network": network, "options": options}

    @property
    def settings(self) -> Mapping[str, str]:
        """Preprocessing, precision and attention: label → value."""
        return {**super().settings, "zeros for missing sound": str(self.zeros_for_missing)}

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Decode a clip; see `Rater.load`."""
        if self.zeros_for_missing and "audio" in clip.missing:
            clip = clip.with_audio(torch.zeros(30 * RATE), RATE)
        return super().load(clip, work)


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    scheme: Scheme | None = None,
    task: Task | None = None,
    reach_end: bool | None = None,
    zeros_for_missing: bool | None = None,
    original_gradients: bool = False,
    head_seed: int | None = None,
) -> AgavRater:
    """Load the rater in `folder`, in the layout of the published checkpoint or of `save_pretrained`.

    Args:
        folder: the checkpoint.
        config: the content of its ``config.json``.
        loading: how to load the network.
        scheme: see `AgavRater` (*optional*: as saved; ``"last"`` for a published checkpoint).
        task: see `AgavRater` (*optional*: as saved; ``"v2a"`` for a published checkpoint).
        reach_end: see `AgavBackbone` (*optional*: as saved; False for a published checkpoint).
        zeros_for_missing: see `AgavRater` (*optional*: as saved; False for a published checkpoint).
        head_seed: draw a new regression from this seed, for a checkpoint without one (VideoLLaMA2.1-7B-AV, from which
            the original was trained).
        original_gradients: multiply gradients by 0.6 at each layer of BEATs, as in the original, also in evaluation.

    Raises:
        ArgumentError: for an unknown option, or an adapter.
        AvrewardError: if the checkpoint is damaged or doesn't belong to AGAV-Rater.
    """
    with extra("lmm"):
        from accelerate import init_empty_weights

    from avreward.raters.agav._keys import config_from_official, official_to_ours
    from avreward.raters.agav._network import AgavConfig, AgavNetwork
    from avreward.raters.checkpoints._networks import load_tokenizer
    from avreward.raters.checkpoints._weights import load_matching, read_weights, shapes, weight_files

    if loading.adapter is not None:
        raise ArgumentError(
            "adapter", "none, because the weights of AGAV-Rater are merged", loading.adapter, "leave it out"
        )
    files = weight_files(folder)
    ours = config.get("format") == "avreward"
    drawn = {} if head_seed is None else _new_head(config, task or "v2a", head_seed)
    there = {**shapes(files), **{name: tuple(weight.shape) for name, weight in drawn.items()}}
    sizes = AgavConfig.from_dict(config["network"]) if ours else config_from_official(config, there)
    if sizes.audio_features not in (None, sizes.audio.width):
        problem = f"expected a projector for BEATs' {sizes.audio.width} channels, got one for {sizes.audio_features}"
        raise AvrewardError(f"{folder}: {problem}; use a checkpoint whose parts fit each other")
    allow = tuple(loading.allow)
    if (scheme or config.get("options", {}).get("scheme")) == "pooled" and not sizes.pooling:
        sizes, allow = replace(sizes, pooling=True), (*allow, "pooling.weight")  # new queries are zeros: the mean
    with init_empty_weights(include_buffers=False):
        network = AgavNetwork(sizes, loading.attention)
    rename = str if ours else official_to_ours
    load_matching(network, {**read_weights(files), **drawn}, allow, rename, folder)
    network.audio.gradient_ratio = 0.6 if original_gradients else 1.0
    loading.placed(network)
    given = {"scheme": scheme, "task": task, "reach_end": reach_end}
    given["zeros_for_missing"] = zeros_for_missing
    options = {**config.get("options", {}), **{name: value for name, value in given.items() if value is not None}}
    tokenizer = load_tokenizer(folder)
    backbone = AgavBackbone(network, tokenizer, loading.rounding, options.pop("reach_end", False))
    return AgavRater(backbone, **options, checkpointing=loading.checkpointing)


def _new_head(config: Mapping[str, Any], task: Task, seed: int) -> dict[str, torch.Tensor]:
    """Return new weights of the regression by their published name."""
    if config.get("format") == "avreward":
        raise ArgumentError("head_seed", "nothing for a folder that avreward saved", seed, "leave it out")
    shape = len(DIMENSIONS[task]), int(config["hidden_size"])
    return {"lm_head_reg.weight": 0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))}


@dataclass(frozen=True, eq=False)
class RegressionRow:
    """One row of a linear head at the last of the positions.

    Args:
        head: hidden states → scores.
        row: which score.
    """

    head: nn.Module
    row: int

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the score (1,)."""
        return applied(self.head, hidden[-1], [self.row])


def _questions(backbone: AgavBackbone, scheme: Scheme, task: Task) -> list[Question]:
    names = tuple(dimension.name for dimension in DIMENSIONS[task])
    head = backbone.module.regression
    if scheme == "single":
        each = _single(backbone, task)
        return [Question((name,), each[i], RegressionRow(head, i)) for i, name in enumerate(names)]
    if scheme == "pooled":
        return [Question(names, _pooled(backbone, task), AttentionPooling(backbone.module.pooling, head))]
    prompt = _last(backbone) if scheme == "last" else _masked(backbone, task)
    return [Question(names, prompt, Regression(head))]


def _single(backbone: AgavBackbone, task: Task) -> list[Prompt]:
    """Return an instruction for each score; the wording follows that of the masked scheme."""
    question, stems = _MASKED[task]
    before = question.partition("Can you")[0]
    prompts: list[Prompt] = []
    for stem in (text.strip(", ") for text in stems):
        name = stem.removesuffix(":")
        asked = f"{before}Can you evaluate the {name[0].lower()}{name[1:]} of the given content?"
        answer: Prompt = [f"{name[0].upper()}{name[1:]}: ", Read("[Mask]"), "."]
        slots = [_AUDIO, _VIDEO] if task == "v2a" else [_AUDIO]
        prompts.append(tuple(backbone.chat([*slots, asked], answer, closed=True)))
    return prompts


def _pooled(backbone: AgavBackbone, task: Task) -> Prompt:
    """Return the masked prompt, whose whole answer is read."""
    question, stems = _MASKED[task]
    slots = [_AUDIO, _VIDEO] if task == "v2a" else [_AUDIO]
    ids = backbone.tokenizer("".join(f"{stem}[Mask]" for stem in stems) + ".", add_special_tokens=False)["input_ids"]
    return tuple(backbone.chat([*slots, question], [Text(tuple(ids), tuple(range(len(ids))))], closed=True))


def _last(backbone: AgavBackbone) -> Prompt:
    return tuple(backbone.chat([_VIDEO, _AUDIO, _LAST_USER], [_LAST_ANSWER], closed=True))


def _masked(backbone: AgavBackbone, task: Task) -> Prompt:
    """Section 4.2. Audio comes first, so dubs of one video can't share the language model's work on the video."""
    question, stems = _MASKED[task]
    slots = [_AUDIO, _VIDEO] if task == "v2a" else [_AUDIO]
    answer = [part for stem in stems for part in (stem, Read("[Mask]"))]
    return tuple(backbone.chat([*slots, question], [*answer, "."], closed=True))
