"""AVBench's evaluators that are language models: their prompts, and what they look at."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from avreward.errors import ArgumentError, Described
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Prompt, Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import BinaryConfidence, first_tokens
from avreward.raters.scores import Dimension

# Verbatim from evaluation/evaluate_{av,vt,at}_consistency.py in github.com/YaJialiang/AVBench. They contain a
# backslash and an n where line breaks were meant, and the networks were trained with them. The prompt of Qwen2-Audio
# has no chat format.
AUDIO_VIDEO = "Is this audio and video properly matched?"
VIDEO_TEXT = r"Does the video match this description?\n{prompt}\nAnswer Yes or No."
AUDIO_TEXT = (
    r"\nAudio Description: DESCRIPTION\n\nDoes this audio description accurately match the audio content? "
    "Answer only Yes or No."
)
WITH_SPEECH = 'Audio Observation: {texts.audio_prompt} Speech Content: "{texts.speech}"'
WITHOUT_SPEECH = "{texts.audio_prompt}"

LOOK: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "audio_video": {"frames": QwenFrames(1.0), "max_pixels": 480 * 640, "max_audio_seconds": 9.9,
                    "resampler": "ffmpeg", "through_wav": True},
    "video_text": {"frames": QwenFrames(1.0), "max_pixels": 360 * 420},
    "audio_text": {"resampler": "ffmpeg", "through_wav": True},
})  # fmt: skip
"""Evaluator → its preprocessing: keyword arguments of `Qwen2_5Omni`, `Qwen2_5Omni` and `Qwen2Audio`."""

LANGUAGE_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "audio_video": "the fine-tuned Qwen2.5-Omni-7B",
        "video_text": "the fine-tuned Qwen2.5-Omni-7B",
        "audio_text": "the fine-tuned Qwen2-Audio-7B",
    }
)


class AvBenchEvaluator(LmmRater):
    """One of AVBench's evaluators that are language models, made by `evaluator`."""

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        network = self.backbone.module.config.to_dict()  # type: ignore[union-attr,operator]
        return {"rater": "avbench", "network": network, "options": {"dimension": self.dimensions[0].name}}


def evaluator(dimension: Dimension, backbone: Backbone, checkpointing: Checkpointing) -> AvBenchEvaluator:
    """Return the rater of one dimension; raise `ArgumentError` for a model that cannot read one of its tracks."""
    lacking = [track for track in ("video", "audio") if track in dimension.needs and track not in backbone.tracks]
    if lacking:
        got = Described(type(backbone).__name__)
        raise ArgumentError(dimension.name, f"a model that reads {lacking[0]}", got, "pass another model")
    readout = BinaryConfidence(backbone.head, first_tokens(backbone.tokenizer, "", ["Yes", "No"]))
    questions = [Question((dimension.name,), prompt, readout) for prompt in _prompts(dimension.name, backbone)]
    return AvBenchEvaluator(f"avbench.{dimension.name}", backbone, questions, [dimension], checkpointing=checkpointing)


def _prompts(name: str, backbone: Backbone) -> list[Prompt]:
    """Return the prompts of one evaluator; the first for which a clip has all inputs is used."""
    if name == "audio_video":
        return [tuple(backbone.chat([Slot("video"), Slot("audio"), AUDIO_VIDEO]))]
    if name == "video_text":
        return [tuple(backbone.chat([Slot("video"), VIDEO_TEXT]))]
    descriptions = (WITH_SPEECH, WITHOUT_SPEECH)
    return [(Slot("audio"), AUDIO_TEXT.replace("DESCRIPTION", description)) for description in descriptions]
